"""`python -m neuralcodec.training.loop_filters`: loop filters for a trained model.

They are few numbers, and every sample teaches all of them. They learn on long sequences, since what
they take away from a picture is missing in all that follow; so does the scale prior of inter
frames, whose symbols they change, and all else of the model stays as it is.
"""

from dataclasses import replace
from pathlib import Path

import click
from torch import nn

from neuralcodec.model.video_model import VideoModel
from neuralcodec.model.zoo import load_model
from neuralcodec.training.alone import LONG, alone_command, train_alone, write_as
from neuralcodec.training.grow import grow
from neuralcodec.training.sampling import Sampler, open_cache

LEARNING_RATE = 1e-3
IS_OF = ".filters."  # in the names of their weights


def with_loop_filters(model: VideoModel) -> VideoModel:
    """A copy that has them; where the model has none, as they begin."""
    filtered = VideoModel(replace(model.config, loop_filters=True, filter_choice=True))
    filtered.load_state_dict({**filtered.state_dict(), **model.state_dict()})
    return filtered


def take_filters(model: VideoModel, other: VideoModel) -> None:
    """Those of a model of the same sizes, or of a smaller one that this one was grown out of: their
    features have the same meaning as far as both have them. Raises UsageError as `grow` does."""
    filters = {key: t for key, t in grow(other, model.config).state_dict().items() if IS_OF in key}
    model.load_state_dict(model.state_dict() | filters)


@alone_command
@click.option(
    "--filters-of",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Begin with the filters of this model, which TRAINED was grown out of.",
)
def main(
    trained: Path,
    cache: Path,
    out: Path,
    steps: int,
    held_out: tuple[str, ...],
    seed: int,
    filters_of: Path | None,
) -> None:
    """Give the model TRAINED loop filters, or better ones, learned from the clips in CACHE."""
    installed = load_model(str(trained))
    model = with_loop_filters(installed.model)
    record = {**installed.record, "loop_filter_steps": steps}
    if filters_of is not None:
        take_filters(model, load_model(str(filters_of)).model)
        record["filters_of"] = filters_of.name
    parts: list[nn.Module] = [
        coder.filters for coder in (model.intra, model.inter) if coder.filters is not None
    ]
    parts.append(model.inter_prior)
    sampler = Sampler(open_cache(cache, frozenset(held_out)), seed)
    train_alone(model, parts, sampler, steps, LONG, LEARNING_RATE)
    write_as(trained, model, record, out)


if __name__ == "__main__":
    main()
