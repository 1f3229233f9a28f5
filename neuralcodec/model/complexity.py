"""How much work a decoder has with a model, counted from the shapes of its layers."""

import math
import re
from collections.abc import Mapping

Shape = tuple[int, ...]

# Without those of `config`, which brings PyTorch along: `ncodec models` answers at once.
_LATENT_SIDE = 16  # luma samples per side of a latent position
_FEATURE_SIDE = 8  # of a position of the feature maps, and of a motion block

# Of an inter frame's networks, those that work once for each latent position.
_AT_LATENTS = ("inter.linear.", "inter.expand.", "inter.summary.", "inter.means.", "inter_prior.")
_DECODING = ("inter.", "inter_prior.", "motion_prior.")
_MOTION_STEP = re.compile(r"motion_prior\.read\.\d+\.weight")
_ENCODER_ONLY = ("inter.analysis.", "inter.linear.forward_basis")


def kmac_per_pixel(shapes: Mapping[str, Shape]) -> float:
    """Thousands of multiplications and additions for each luma sample of an inter frame.

    shapes: of all tensors of a model, by their names in `VideoModel`. Weights that are used once
    at each position: whatever the kind of layer, as many as there are. Motion compensation and
    what works sample by sample are left out.
    """
    steps = max(1, sum(bool(_MOTION_STEP.fullmatch(name)) for name in shapes))
    total = 0.0
    for name, shape in shapes.items():
        is_used = name.startswith(_DECODING) and not name.startswith(_ENCODER_ONLY)
        if is_used and name.endswith(("weight", "_basis")):
            side = _LATENT_SIDE if name.startswith(_AT_LATENTS) else _FEATURE_SIDE
            # each motion block is filled in by one of the steps; their networks are of one size
            share = steps if name.startswith("motion_prior.") else 1
            total += math.prod(shape) / side**2 / share
    return total / 1000
