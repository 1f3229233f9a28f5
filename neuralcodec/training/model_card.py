"""`python -m neuralcodec.training.model_card`: what runs left, as table and plot in docs/models.

A model may have been trained in stages, each a run that started from the one before.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from safetensors import SafetensorError, safe_open

from neuralcodec.atomic_file import AtomicFile
from neuralcodec.errors import InputError, NcodecError, UsageError
from neuralcodec.model.config import ModelConfig
from neuralcodec.training.crops import FRAMES
from neuralcodec.training.models import decode_kmac_per_pixel
from neuralcodec.training.run_log import read_log
from neuralcodec.training.validation import QUALITIES

BEGIN = "<!-- figures: made by python -m neuralcodec.training.model_card; do not edit -->"
END = "<!-- end of figures -->"
SHOWN_VALIDATIONS = 8  # of each stage, at most


@dataclass(frozen=True)
class Stage:
    """One run: the record of its best weights, and its log."""

    folder: Path
    config: ModelConfig
    parameters: int
    record: dict[str, Any]
    log: list[dict[str, Any]]

    @property
    def validations(self) -> list[dict[str, Any]]:
        return [entry for entry in self.log if "validation" in entry]

    @property
    def steps(self) -> int:
        return max(entry["step"] for entry in self.log)

    @property
    def hours(self) -> float:
        return max((entry.get("seconds", 0) for entry in self.log), default=0) / 3600


def read_stage(folder: Path) -> Stage:
    """Raises InputError for what is no folder of a run."""
    try:
        with safe_open(folder / "best.safetensors", framework="numpy") as file:
            metadata = file.metadata() or {}
            keys = [k for k in file.keys() if k.startswith("model.") and "log_table" not in k]  # noqa: SIM118
            parameters = sum(file.get_tensor(key).size for key in keys)
        config = ModelConfig.from_json(metadata["config"])
        log = read_log(folder)
        record = json.loads(metadata["record"])
        stage = Stage(folder, config, parameters, record, log)
        if not stage.validations:
            raise ValueError("no validation in its log")
    except (OSError, LookupError, ValueError, TypeError, SafetensorError) as error:
        raise InputError(f"{folder} is no folder of a finished run ({error})") from error
    return stage


def card_text(stages: Sequence[Stage], plot_name: str) -> str:
    """Markdown: sizes, stages, validation, data."""
    last = stages[-1]
    kmac = decode_kmac_per_pixel(last.config)
    lines = [
        f"{last.parameters / 1e6:.1f} million parameters; {kmac:.1f} kMAC for each luma sample to "
        f"decode an inter frame; {last.config.channels} feature channels, {last.config.latents} "
        "latent channels.",
        "",
        "| stage | steps | skipped | hours | device | seed | learning rate | sequences | from |",
        "| --- | ---: | ---: | ---: | --- | ---: | ---: | --- | --- |",
    ]
    lines += [_stage_row(number, stage) for number, stage in enumerate(stages, 1)]
    lines += [
        "",
        f"![Validation over the steps]({plot_name})",
        "",
        f"Means over {len(last.record['held_out'])} clips held out: their middle, "
        f"{FRAMES} frames as one GOP, bits of the latents. Score: mean log2 of bpp + λ·MSE; 0.1 "
        "less is about 7 % fewer bits. Beside it that of as many crops of the clips trained on.",
        "",
        _row("step", *(f"q {q}" for q in QUALITIES), "score", "trained on"),
        _row("---", *("---" for _ in QUALITIES), "---:", "---:"),
    ]
    for number, stage in enumerate(stages, 1):
        lines += [_validation_row(number, entry) for entry in _some(stage.validations)]
    held_out = set(last.record["held_out"])
    names = sorted({name for stage in stages for name in stage.record["data"]})
    lines += [
        "",
        f"Trained on {len(names)} clips: {', '.join(names)}. Held out: "
        f"{', '.join(sorted(held_out))}.",
    ]
    return "\n".join(lines)


def _stage_row(number: int, stage: Stage) -> str:
    schedule = stage.record["schedule"]
    used = [p for p in schedule["phases"] if _end_of(p, schedule) > schedule["first_phase"]]
    lengths = [phase["length"] for phase in used]
    skipped = max(entry.get("skipped", 0) for entry in stage.log)
    return _row(
        number,
        f"{stage.steps:,}",
        skipped,
        f"{stage.hours:.1f}",
        stage.record["device"],
        stage.record["seed"],
        f"{schedule['learning_rate']:g}",
        f"{min(lengths)} to {max(lengths)} frames",
        stage.record["started_from"] or "nothing",
    )


def _end_of(phase: dict[str, Any], schedule: dict[str, Any]) -> float:
    later = [p["start"] for p in schedule["phases"] if p["start"] > phase["start"]]
    return min(later, default=float("inf"))


def _validation_row(number: int, entry: dict[str, Any]) -> str:
    found = entry["validation"]
    trained = entry.get("training_crops")
    return _row(
        f"stage {number}, {entry['step']:,}",
        *(f"{found[f'bpp_{q}']:.4f} bpp {found[f'psnr_{q}']:.2f} dB" for q in QUALITIES),
        f"{found['score']:.3f}",
        f"{trained['score']:.3f}" if trained else "",
    )


def _some(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Spread over the run, with the first, the last and the best."""
    best = min(entries, key=lambda entry: entry["validation"]["score"])
    count = len(entries)
    shown = {round(i * (count - 1) / (SHOWN_VALIDATIONS - 1)) for i in range(SHOWN_VALIDATIONS)}
    return [entry for i, entry in enumerate(entries) if i in shown or entry is best]


def _row(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def write_curve(stages: Sequence[Stage], path: Path) -> None:
    """Scores over the steps of all stages, as a PNG."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("the plot needs matplotlib: pip install 'neuralcodec[bench]'") from error
    figure = Figure((6, 4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    scores = figure.subplots()
    start = 0
    for number, stage in enumerate(stages):
        if number:
            scores.axvline(start, color="#888888", linewidth=0.8, linestyle=":")
        for part, color, label in (
            ("validation", "#d62728", "clips held out"),
            ("training_crops", "#1f77b4", "clips trained on"),
        ):
            entries = [entry for entry in stage.validations if part in entry]
            steps = [start + entry["step"] for entry in entries]
            name = label if number == 0 else None
            scores.plot(steps, [e[part]["score"] for e in entries], color=color, label=name)
        start += stage.steps
    scores.set_title("score: log2 of bpp + λ·MSE", fontsize=10)
    scores.set_xlabel("steps")
    scores.grid(True, alpha=0.2)
    scores.legend(frameon=False, fontsize=9)
    with AtomicFile(path, overwrite=True) as file:
        figure.savefig(file.file, format="png", metadata={"Software": None})


def with_figures(page: str, name: str, figures: str) -> str:
    """The page with its figures replaced, or put at its end where it had none."""
    block = f"{BEGIN}\n\n{figures}\n\n{END}"
    if BEGIN in page and END in page:
        before, rest = page.split(BEGIN, 1)
        return before + block + rest.split(END, 1)[1]
    return f"{page or f'# Model `{name}`'}".rstrip("\n") + f"\n\n{block}\n"


def write_card(folders: Sequence[Path], docs: Path) -> Path:
    """Writes NAME.md and NAME-curve.png; gives the page. Raises NcodecError."""
    stages = [read_stage(folder) for folder in folders]
    name = stages[-1].config.name
    page = docs / f"{name}.md"
    plot = docs / f"{name}-curve.png"
    write_curve(stages, plot)
    before = page.read_text() if page.exists() else ""
    text = with_figures(before, name, card_text(stages, plot.name))
    with AtomicFile(page, overwrite=True) as file:
        file.file.write(text.encode())
    return page


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument(
    "runs",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--docs", default="docs/models", type=click.Path(path_type=Path), help="Its folder.")
def main(runs: tuple[Path, ...], docs: Path) -> None:
    """Write the figures of a model, trained in RUNS one after the other, into its page."""
    try:
        click.echo(f"wrote {write_card(runs, docs)}", err=True)
    except NcodecError as error:
        click.echo(error, err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
