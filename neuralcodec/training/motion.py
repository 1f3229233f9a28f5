"""`python -m neuralcodec.training.motion`: the prior of motion, trained on that which the encoder
chooses.

The motion that training sequences are made with comes from a plain search between the source's own
frames. The encoder's differs: it searches in decoded pictures, and takes what the prior charges
little for. So the two are brought into agreement by turns: code sequences with the present prior,
train it on their motion. Nothing else of the model changes.

What the networks of a step see and what they are to foretell follows from the motion alone: it is
gathered once, block by block.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import click
import torch
from torch import Tensor

from neuralcodec.encoder.frame_encoder import FrameEncoder, FrameTask
from neuralcodec.encoder.motion.motion_setting import motion_setting
from neuralcodec.encoder.motion.seen_motion import SeenMotion
from neuralcodec.encoder.structure.small_motion import SmallPicture
from neuralcodec.encoder.structure.structure_choice import Window
from neuralcodec.kernels.parsing.exact_layers import ACTIVATION_UNITS
from neuralcodec.model.code_length import StepSymbols
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.model_file import load_model, model_bytes
from neuralcodec.model.motion_prior import MotionSetting
from neuralcodec.model.motion_steps import STEPS
from neuralcodec.model.recurrence import Recurrence
from neuralcodec.model.video_model import VideoModel
from neuralcodec.references import Placement
from neuralcodec.training.sampling import Clip, Sampler, open_cache
from neuralcodec.video import Frame, VideoFormat

SIZE = 240  # luma samples per side of a sequence; no clip of a cache is smaller
LENGTHS = (9, 17)  # frames of sequences, in turns
BATCHES = 32  # that the blocks of each step are drawn in, for one pass over all
LEARNING_RATE = 1e-3
CHECKED_SHARE = 8  # for so many sequences one is coded that is not trained on


@dataclass(frozen=True)
class StepRows:
    """Blocks of one step, of many frames: inputs (n, INPUTS) int8, and what is coded of them, as in
    `StepSymbols`, without a batch."""

    inputs: Tensor
    symbols: StepSymbols

    def __len__(self) -> int:
        return len(self.inputs)

    def select(self, chosen: Tensor) -> "StepRows":
        parts = {name: part[chosen] for name, part in vars(self.symbols).items()}
        return StepRows(self.inputs[chosen], StepSymbols(**parts))

    @classmethod
    def cat(cls, rows: "Sequence[StepRows]") -> "StepRows":
        parts = {
            name: torch.cat([getattr(row.symbols, name) for row in rows])
            for name in vars(rows[0].symbols)
        }
        return cls(torch.cat([row.inputs for row in rows]), StepSymbols(**parts))


def coded_rows(model: VideoModel, sampler: Sampler, sequences: int, first: int) -> list[StepRows]:
    """Of each step. Codes sequences `first`, `first` + 1, ... of the sampler as `ncodec encode`
    would."""
    encoder = FrameEncoder(
        model, VideoFormat(SIZE, SIZE, Fraction(1, 25)), torch.device("cpu"), torch.float32
    )
    found: list[list[StepRows]] = [[] for _ in STEPS]
    for number in range(first, first + sequences):
        sampler.start_step(number)
        for motion, setting in _coded(encoder, sampler, LENGTHS[number % len(LENGTHS)]):
            for rows, step in zip(found, rows_of(model, motion, setting), strict=True):
                rows.append(step)
    return [StepRows.cat(rows) for rows in found]


def _coded(
    encoder: FrameEncoder, sampler: Sampler, length: int
) -> list[tuple[Tensor, MotionSetting]]:
    """The motion of the inter frames of a sequence, and what was known of them before."""
    drawn = sampler.batch(1, length, SIZE)
    stride, qualities = int(drawn.stride[0]), [round(q) for q in drawn.q[0].tolist()]
    frames = [_frame(y, uv) for y, uv in zip(drawn.y[0], drawn.uv[0], strict=True)]
    window = Window([SmallPicture(frame) for frame in frames])
    left: dict[int, Recurrence] = {}

    def code(
        t: int,
        place: Placement,
        references: tuple[Recurrence, Recurrence] | None,
        seen: SeenMotion | None,
    ) -> None:
        task = FrameTask(
            frame=frames[t], q=qualities[t], place=place, references=references, motion=seen
        )
        [coded] = encoder.encode([task])
        left[t] = coded.recurrence

    code(0, Placement(0), None, None)
    found = []
    for planned in drawn.structure:
        t, (first, second) = planned.frame, planned.references
        references = left[first], left[second]
        place = Placement(t * stride, planned.level, (first, second))
        seen = window.seen_motion(t, sorted({t - first, t - second}))
        by_time = {away * stride: field for away, field in seen.fields.items()}
        code(t, place, references, SeenMotion(by_time, seen.scale))
        known = (torch.tensor([n]) for n in (place.shown, place.level, qualities[t]))
        found.append((left[t].motion, motion_setting(references, *known)))
    return found


@torch.no_grad()
def rows_of(model: VideoModel, motion: Tensor, setting: MotionSetting) -> list[StepRows]:
    """Of the motion (B, 5, h, w) of frames, step by step."""
    found = []
    with exact_float32("cpu"):
        for step in model.motion_prior.walk(motion, setting, model.log_table):
            symbols = StepSymbols.of(step, motion, setting.distances)
            parts = {name: part.flatten(0, 1) for name, part in vars(symbols).items()}
            found.append(StepRows(step.inputs.flatten(0, 1), StepSymbols(**parts)))
    return found


def train_prior(model: VideoModel, rows: list[StepRows], passes: int, seed: int) -> None:
    """Few passes: the first steps have few blocks, and many weights to learn them by heart."""
    prior = model.motion_prior.requires_grad_(True)
    optimizer = torch.optim.AdamW(prior.parameters(), LEARNING_RATE, weight_decay=0)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, passes * BATCHES)
    draw = torch.Generator().manual_seed(seed)
    for _ in range(passes * BATCHES):
        optimizer.zero_grad(set_to_none=True)
        for number, step in enumerate(rows):
            drawn = torch.randint(len(step), (-(-len(step) // BATCHES),), generator=draw)
            _bits(model, number, step.select(drawn)).mean().backward()
        optimizer.step()
        decay.step()
    prior.requires_grad_(False)


@torch.no_grad()
def bits_per_block(model: VideoModel, rows: list[StepRows]) -> float:
    bits = sum(float(_bits(model, number, step).sum()) for number, step in enumerate(rows))
    return bits / sum(map(len, rows))


def _bits(model: VideoModel, number: int, rows: StepRows) -> Tensor:
    """Of each row of a step."""
    with exact_float32("cpu"):
        x = rows.inputs.float() / ACTIVATION_UNITS
        return rows.symbols.bits(model.motion_prior.indices(number, x))


def _frame(y: Tensor, uv: Tensor) -> Frame:
    """y (1, S, S), uv (2, S/2, S/2) in [0, 1]."""
    luma, u, v = ((255 * p).round().to(torch.uint8).numpy() for p in (y[0], uv[0], uv[1]))
    return Frame(luma, u, v, 0)


def _parted(cache: Path, held_out: tuple[str, ...]) -> tuple[list[Clip], list[Clip]]:
    """Clips to train on, and to check with: those held out, or the same if none are."""
    every = open_cache(cache)
    checked = [clip for clip in every if clip.name in held_out]
    return [clip for clip in every if clip.name not in held_out], checked or every


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.argument("trained", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("cache", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Model file.")
@click.option("--rounds", default=3, type=click.IntRange(1), help="Turns of coding and training.")
@click.option("--sequences", default=120, type=click.IntRange(2), help="Coded in each round.")
@click.option("--passes", default=6, type=click.IntRange(1), help="Over what was coded.")
@click.option(
    "--prior-from",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Begin with the prior of this model.",
)
@click.option(
    "--held-out", multiple=True, help="Clip not to learn from but to check with; may be repeated."
)
@click.option("--seed", default=0)
def main(
    trained: Path,
    cache: Path,
    out: Path,
    rounds: int,
    sequences: int,
    passes: int,
    prior_from: Path | None,
    held_out: tuple[str, ...],
    seed: int,
) -> None:
    """Train the motion prior of the model TRAINED on what the encoder makes of clips in CACHE."""
    installed = load_model(str(trained))
    model = copy.deepcopy(installed.model)
    if prior_from:
        model.motion_prior.load_state_dict(
            load_model(str(prior_from)).model.motion_prior.state_dict()
        )
    sampler, checks = (Sampler(clips, seed) for clips in _parted(cache, held_out))
    of_checks = -(-sequences // CHECKED_SHARE)

    def check(beginning: str) -> None:
        """On sequences coded anew: motion that an earlier prior made cheap is dear to a later."""
        bits = bits_per_block(model, coded_rows(model, checks, of_checks, rounds * sequences))
        click.echo(f"{beginning}: {bits:.3f} bits a block", err=True)

    check("at first")
    for number in range(rounds):
        rows = coded_rows(model, sampler, sequences, number * sequences)
        train_prior(model, rows, passes, seed + number)
        record = {**installed.record, "motion_rounds": number + 1}
        out.write_bytes(model_bytes(model, record))
        check(f"round {number + 1}")


if __name__ == "__main__":
    main()
