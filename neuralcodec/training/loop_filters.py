"""`python -m neuralcodec.training.loop_filters`: the loop filters of a model, trained alone.

They are few numbers, and every sample teaches all of them. They learn on long sequences, since what
they take away from a picture is missing in all that follow; so does the scale prior of inter
frames, whose symbols they change, and all else of the model stays as it is.
"""

from pathlib import Path

from torch import nn

from neuralcodec.model.model_file import load_model
from neuralcodec.training.alone import LONG, alone_command, train_alone, write_as
from neuralcodec.training.sampling import Sampler, open_cache

LEARNING_RATE = 1e-3


@alone_command
def main(
    trained: Path,
    cache: Path,
    out: Path,
    steps: int,
    held_out: tuple[str, ...],
    seed: int,
) -> None:
    """Train the loop filters of the model TRAINED on, from the clips in CACHE."""
    installed = load_model(str(trained))
    model = installed.model
    record = {**installed.record, "loop_filter_steps": steps}
    parts: list[nn.Module] = [model.intra.filters, model.inter.filters, model.inter_prior]
    sampler = Sampler(open_cache(cache, frozenset(held_out)), seed)
    train_alone(model, parts, sampler, steps, LONG, LEARNING_RATE)
    write_as(trained, model, record, out)


if __name__ == "__main__":
    main()
