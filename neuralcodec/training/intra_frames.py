"""`python -m neuralcodec.training.intra_frames`: the intra frames of a trained model by themselves.

In sequences one frame of many is an intra frame, and its networks see few. Here every frame is one,
at a fifth of the work. What follows them in a video still leans on them: their errors weigh as much
more as sequences have taught them, and the features that they leave for the next frame stay near
those that its networks know.
"""

import copy
from pathlib import Path

import torch
from torch import Tensor

from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_model
from neuralcodec.training.alone import alone_command, descend, write_as
from neuralcodec.training.objective import BALANCE, intra_cost
from neuralcodec.training.sampling import Sampler, open_cache
from neuralcodec.training.schedule import Schedule

LEARNING_RATE = 4e-4
ITEMS, SIZE = 8, 128
LEANING = 1.5  # times λ; at 1, pictures of the same q end 0.8 dB lower
FEATURE_WEIGHT = 0.1  # of the squared distance between features, over their mean square


def train_intra(model: VideoModel, sampler: Sampler, steps: int) -> None:
    before = copy.deepcopy(model.intra).eval().requires_grad_(False)
    schedule = Schedule(steps, LEARNING_RATE)

    def loss(step: int) -> Tensor:
        sampler.start_step(step)
        y, uv, q = (batch[:, 0] for batch in sampler.batch(ITEMS, 1, SIZE))
        cost, _ = intra_cost(model, y, uv, q)
        weight = model.config.quality_lambdas(q)
        worth = cost.latent_bpp + LEANING * weight * cost.distortion
        with torch.no_grad():
            _, rounded = before.means.quantise(before.analyse(y, uv, q), None, before.gain(q))
            known = before.synthesise(rounded, q).feature
        distance = (cost.shown.feature - known).square().mean() / known.square().mean()
        return (worth * (weight / 1000) ** -BALANCE).mean() + FEATURE_WEIGHT * distance

    model.train()
    descend(model, [model.intra, model.intra_prior], steps, loss, schedule.rate)


@alone_command
def main(
    trained: Path, cache: Path, out: Path, steps: int, held_out: tuple[str, ...], seed: int
) -> None:
    """Train what codes the intra frames of the model TRAINED further, on the clips in CACHE."""
    installed = load_model(str(trained))
    torch.manual_seed(seed)  # the noise in place of rounding
    sampler = Sampler(open_cache(cache, frozenset(held_out)), seed)
    train_intra(installed.model, sampler, steps)
    record = {**installed.record, "intra_steps": steps}
    write_as(trained, installed.model, record, out)


if __name__ == "__main__":
    main()
