"""`python -m neuralcodec.training.scale_priors`: the scale prior of inter frames by itself.

On long sequences: inter frames see a running mean of magnitudes, in which the intra frame stays
visible for some ten frames. They cost little here, since nothing goes back through the networks.
The prior of intra frames, of which so few come by, stays as it is: it would get worse.
"""

import copy
from pathlib import Path

from neuralcodec.model.model_file import load_model
from neuralcodec.training.alone import LONG, alone_command, train_alone, write_as
from neuralcodec.training.sampling import Sampler, open_cache

LEARNING_RATE = 7e-4


@alone_command
def main(
    trained: Path, cache: Path, out: Path, steps: int, held_out: tuple[str, ...], seed: int
) -> None:
    """Train the scale prior of inter frames of the model TRAINED, on long sequences of the clips in
    CACHE."""
    installed = load_model(str(trained))
    model = copy.deepcopy(installed.model)
    sampler = Sampler(open_cache(cache, frozenset(held_out)), seed)
    train_alone(model, [model.inter_prior], sampler, steps, LONG, LEARNING_RATE)
    write_as(trained, model, {**installed.record, "scale_prior_steps": steps}, out)


if __name__ == "__main__":
    main()
