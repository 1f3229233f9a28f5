"""Experiment 3: latent channels, blocks, width and the linear path, trained equally long.

    python scripts/experiments/sizes.py CACHE --runs runs/sizes --out results/experiments/sizes.json

Every variant starts from nothing (KLT from the data) with the same seed and batches; its score on
the clips held out is the mean log2 of bpp + λ·MSE over four qualities: 0.1 less is about 7 % fewer
bits. A run that is found in --runs is not repeated.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from curves import HELD_OUT, Experiment

from neuralcodec.model.complexity import decode_kmac_per_pixel
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.beginning import Beginning, begin_run
from neuralcodec.training.models import FAST
from neuralcodec.training.run_log import read_log
from neuralcodec.training.run_options import RunOptions
from neuralcodec.training.schedule import Phase, Schedule
from neuralcodec.training.team import Team
from neuralcodec.training.trainer import Trainer

VALIDATIONS = 4  # in a run
PHASE = Phase(0.0, items=4, length=3, size=128)


def _freeze(model: VideoModel) -> None:
    for coder in (model.intra, model.inter):
        coder.linear.requires_grad_(False)


def _remove(model: VideoModel) -> None:
    _freeze(model)
    for coder in (model.intra, model.inter):
        for basis in coder.linear.parameters():
            basis.detach().zero_()


@dataclass(frozen=True)
class Variant:
    """change: what is done to the networks after `at`, a fraction of the run."""

    config: ModelConfig = FAST.config
    change: Callable[[VideoModel], None] | None = None
    at: float = 0.0


def _blocks(more: int) -> ModelConfig:
    c = FAST.config
    return replace(
        c,
        intra_analysis_blocks=c.intra_analysis_blocks + more,
        intra_synthesis_blocks=c.intra_synthesis_blocks + more,
        context_blocks=c.context_blocks + more,
        inter_analysis_blocks=c.inter_analysis_blocks + more,
        inter_synthesis_blocks=c.inter_synthesis_blocks + more,
    )


VARIANTS = {
    "as shipped (C 96, N 320)": Variant(),
    "N 192": Variant(replace(FAST.config, latents=192, groups=(8, 24, 56, 112, 192))),
    "N 96": Variant(replace(FAST.config, latents=96, groups=(8, 24, 56, 96))),
    "C 64": Variant(replace(FAST.config, channels=64)),
    "C 128": Variant(replace(FAST.config, channels=128)),
    "one block less everywhere": Variant(_blocks(-1)),
    "one block more everywhere": Variant(_blocks(1)),
    "KLT frozen": Variant(change=_freeze),
    "KLT removed after three quarters": Variant(change=_remove, at=0.75),
    "no KLT": Variant(change=_remove),
}


def train(variant: Variant, cache: Path, folder: Path, steps: int) -> None:
    options = RunOptions(
        cache, folder, held_out=HELD_OUT, validate_every=steps // VALIDATIONS, count_vectors=False
    )
    schedule = Schedule(steps, FAST.learning_rate, phases=(PHASE,))
    trainer = begin_run(Beginning(variant.config), schedule, options, Team())
    if variant.change is not None:
        _run_to(trainer, int(variant.at * steps))
        variant.change(trainer.state.model)
        variant.change(trainer.state.averaged)
    _run_to(trainer, steps)


def _run_to(trainer: Trainer, step: int) -> None:
    if step:
        trainer.run(until=step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    curves = {}
    for name, variant in VARIANTS.items():
        folder = arguments.runs / name.replace(" ", "-")
        if not (folder / "done").exists():
            train(variant, arguments.cache, folder, arguments.steps)
            (folder / "done").touch()
        scores = [
            (entry["step"], entry["validation"]["score"])
            for entry in read_log(folder)
            if "validation" in entry
        ]
        macs = decode_kmac_per_pixel(variant.config)
        curves[f"{name}: {macs:.1f} kMAC/pixel"] = scores
        print(f"{name}: {macs:.1f} kMAC/pixel, {scores[-1][1]:.3f}", flush=True)
        Experiment(
            "Sizes and the linear path, from nothing",
            "steps (4 sequences of 3 frames, 128x128)",
            "mean log2(bpp + λ MSE), clips held out",
            __doc__ or "",
            curves,
        ).write(arguments.out)


if __name__ == "__main__":
    main()
