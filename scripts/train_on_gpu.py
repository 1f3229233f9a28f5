"""Train for some minutes on a machine that may be taken away: all ends and is written in time.

    python scripts/train_on_gpu.py --bundle /tmp/bundle --minutes 8 --out results

The bundle is made by scripts/pack_gpu_bundle.py. docs/training-on-a-gpu.md tells the rest.
"""

# ruff: noqa: E402 (the clock starts before the imports, which take seconds; the package need not
# be installed)

import time

STARTED = time.monotonic()

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from neuralcodec.atomic_file import AtomicFile, output_errors
from neuralcodec.errors import NcodecError
from neuralcodec.training.clip_shards import MIB, Bundle, read_bundle
from neuralcodec.training.frame_cache import FRAME_LIMIT
from neuralcodec.training.gpu_beginning import fetch_earlier, gpu_beginning
from neuralcodec.training.gpu_recipe import gpu_schedule
from neuralcodec.training.interruption import stop_requests
from neuralcodec.training.models import MODELS
from neuralcodec.training.run_log import Observer
from neuralcodec.training.run_options import RunOptions
from neuralcodec.training.sampling import open_cache
from neuralcodec.training.shard_cache import READERS, fill_cache
from neuralcodec.training.timed_run import Returned, TimedRun
from neuralcodec.training.trainer import device_text
from neuralcodec.training.validation import QUALITIES, Figures

MOST_WORKERS = 14  # that draw batches: each holds PyTorch in its memory


class Lines(Observer):
    """The log with the seconds since the start, to see where they go."""

    def logged(self, entry: dict[str, Any]) -> None:
        say(" ".join(f"{name} {value}" for name, value in entry.items() if name != "validation"))

    def noticed(self, text: str) -> None:
        say(text)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--bundle", "folder", type=click.Path(path_type=Path), required=True)
@click.option("--minutes", default=8.0, help="From start to end, set-up and validation included.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("results"))
@click.option("--model", default="fast", type=click.Choice(sorted(MODELS)))
@click.option(
    "--start-from",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Weights to begin with.  [default: those installed]",
)
@click.option(
    "--resume",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder that an earlier call gave back.",
)
@click.option("--plan-minutes", type=float, help="Training over all calls [default: up to now].")
@click.option("--prepare", is_flag=True, help="Only decode the shards that are there.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("/tmp/ncodec-training"))
@click.option("--device", default="cuda" if torch.cuda.is_available() else "cpu")
@click.option(
    "--search",
    type=click.Choice(["auto", "device", "workers"]),
    default="auto",
    help="Where motion is searched for; auto: on the device if it is a GPU.",
)
@click.option("--workers", type=click.IntRange(0), help="Processes that draw batches and decode.")
@click.option("--frames", default=FRAME_LIMIT, help="At most so many frames of each clip.")
@click.option("--reader", type=click.Choice(READERS), help="[default: av where it is]")
@click.option("--rate", type=float, help="Highest learning rate.  [default: the model's]")
@click.option("--seed", default=0, type=click.IntRange(0))
@click.option("--compile", "compiled", is_flag=True, help="The blocks, by torch.compile.")
@click.option("--graphs/--no-graphs", default=True, help="Record steps as CUDA graphs.")
@click.option("--piece-mib", default=15.0, help="Largest file that may go back.")
@click.option("--return-mib", default=60.0, help="Of all files together; a checkpoint larger than "
    "that stays in WORK.")  # fmt: skip
def main(**given: Any) -> None:
    """Train on a bundle of clips; a run found in WORK or in --resume goes on."""
    try:
        run(Wishes(**given))
    except NcodecError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)


@dataclass(frozen=True)
class Wishes:
    """The options of the command line."""

    folder: Path
    minutes: float
    out: Path
    model: str
    start_from: Path | None
    resume: Path | None
    plan_minutes: float | None
    prepare: bool
    work: Path
    device: str
    search: str
    workers: int | None
    frames: int
    reader: str | None
    rate: float | None
    seed: int
    compiled: bool
    graphs: bool
    piece_mib: float
    return_mib: float


def run(wishes: Wishes) -> None:
    workers = max(1, (os.cpu_count() or 1) - 1) if wishes.workers is None else wishes.workers
    bundle, cache = read_bundle(wishes.folder), wishes.work / f"cache-{wishes.frames}"
    say(f"{len(bundle.clips)} clips in {len(bundle.shards)} shards")
    report = fill_cache(bundle, cache, workers, wishes.reader, wishes.frames)
    for notice in report.notices:
        say(notice)
    say(f"{report.decoded} clips decoded by {report.reader}, {report.clips} in the cache")
    if not wishes.prepare:
        train(wishes, bundle, cache, workers)


def train(wishes: Wishes, bundle: Bundle, cache: Path, workers: int) -> None:
    with output_errors(wishes.out):
        wishes.out.mkdir(parents=True, exist_ok=True)
    device = torch.device(wishes.device)
    on_gpu = device.type == "cuda"
    torch.backends.cudnn.allow_tf32 = False  # the linear transforms stay in float32
    folder = wishes.work / f"run-{wishes.model}"
    if wishes.resume:
        fetch_earlier(wishes.resume, folder)
    beginning = gpu_beginning(wishes.model, wishes.start_from, folder)
    schedule = gpu_schedule(
        wishes.rate or beginning.rate, beginning.is_trained, on_gpu, beginning.step
    )
    present = {clip.name for clip in open_cache(cache)}
    held_out = tuple(name for name in bundle.held_out if name in present)
    model, sentence = beginning.build(cache, frozenset(held_out), wishes.seed)
    say(f"{wishes.model} {sentence}")
    options = RunOptions(
        cache,
        folder,
        wishes.seed,
        held_out,
        compile=wishes.compiled,
        started_from=beginning.weights.name if beginning.weights else None,
    )
    returned = Returned(wishes.out, int(wishes.piece_mib * MIB), int(wishes.return_mib * MIB))
    deadline = STARTED + 60 * wishes.minutes
    with stop_requests() as stop:
        timed = TimedRun(model, schedule, options, device, returned, deadline, [Lines()], stop)
        if not wishes.graphs:
            timed.graphed = None
        timed.resume()
        timed.begin_at(beginning.step, beginning.seconds)
        say(f"on {device_text(device)}, from step {timed.state.position.step}")
        planned = 60 * wishes.plan_minutes if wishes.plan_minutes else None
        search = wishes.search == "workers" or (wishes.search == "auto" and not on_gpu)
        timed.run_until_deadline(planned, min(workers, MOST_WORKERS), search)
    table = table_of(timed.table)
    with AtomicFile(wishes.out / "validation.md", overwrite=True) as file:
        file.file.write(table.encode())
    say(f"done at step {timed.state.position.step}\n{table}")


def table_of(rows: list[tuple[int, Figures]]) -> str:
    head = ["step", *(f"q {q}" for q in QUALITIES), "score"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for step, figures in rows:
        entry = figures.entry()
        cells = [f"{entry[f'bpp_{q}']:.4f} bpp {entry[f'db_{q}']:.2f} dB" for q in QUALITIES]
        lines.append(f"| {step:,} | " + " | ".join(cells) + f" | {figures.score:.3f} |")
    return "\n".join(lines) + "\n"


def say(text: str) -> None:
    print(f"[{time.monotonic() - STARTED:6.1f} s] {text}", flush=True)


if __name__ == "__main__":
    main()
