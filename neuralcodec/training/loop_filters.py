"""`python -m neuralcodec.training.loop_filters`: loop filters for a trained model.

They are few numbers, and every sample teaches all of them. They learn on long sequences, since what
they take away from a picture is missing in all that follow; so does the scale prior of inter
frames, whose symbols they change, and all else of the model stays as it is.
"""

from dataclasses import replace
from pathlib import Path

from torch import nn

from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_model
from neuralcodec.training.alone import LONG, alone_command, train_alone, write_as
from neuralcodec.training.sampling import Sampler, open_cache

LEARNING_RATE = 1e-3


def with_loop_filters(model: VideoModel) -> VideoModel:
    """A copy that has them; where the model has none, as they begin."""
    filtered = VideoModel(replace(model.config, loop_filters=True))
    filtered.load_state_dict({**filtered.state_dict(), **model.state_dict()})
    return filtered


@alone_command
def main(
    trained: Path, cache: Path, out: Path, steps: int, held_out: tuple[str, ...], seed: int
) -> None:
    """Give the model TRAINED loop filters, or better ones, learned from the clips in CACHE."""
    installed = load_model(str(trained))
    model = with_loop_filters(installed.model)
    parts: list[nn.Module] = [
        coder.filters for coder in (model.intra, model.inter) if coder.filters is not None
    ]
    parts.append(model.inter_prior)
    sampler = Sampler(open_cache(cache, frozenset(held_out)), seed)
    train_alone(model, parts, sampler, steps, LONG, LEARNING_RATE)
    write_as(trained, model, {**installed.record, "loop_filter_steps": steps}, out)


if __name__ == "__main__":
    main()
