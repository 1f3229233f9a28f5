"""A wider and deeper model out of a trained one.

The new model computes what the trained one does, to the last few bits: its new channels are random
functions that nothing trained reads yet, its new blocks give back what they are given. Training
goes on from there instead of from nothing (function-preserving growth as in Net2Net, Chen et al.,
ICLR 2016, but with weights of zero where that copies channels).
"""

from dataclasses import replace

import torch
from torch import Tensor

from neuralcodec.errors import UsageError
from neuralcodec.model.config import ModelConfig
from neuralcodec.model.video_model import VideoModel

TOKENS = 96  # channels of a picture at 1/8 resolution
LAST_OF_BLOCK = ("mix_out", "gate_out")  # layers that add to what a block was given


def grow(small: VideoModel, config: ModelConfig) -> VideoModel:
    """A model of these sizes, which may have more channels and blocks than `small`.

    Raises UsageError where `can_grow` says no."""
    if not can_grow(small.config, config):
        raise UsageError(f"'{config.name}' is not a wider or deeper '{small.config.name}'")
    large = VideoModel(config)
    trained, grown = small.state_dict(), large.state_dict()
    old, new = small.config.channels, config.channels
    for key, fresh in grown.items():
        name = _trained_name(key, small.config, config)
        if name is None:
            if key.split(".")[-2] in LAST_OF_BLOCK:
                fresh[:old] = 0
        elif key.endswith("anchors"):
            fresh[:, : trained[name].shape[1]] = trained[name]
        else:
            _place(key, fresh, trained[name], old, new)
    large.load_state_dict(grown)
    return large


def can_grow(small: ModelConfig, config: ModelConfig) -> bool:
    """Whether sizes differ in width and depth alone, and none is smaller."""
    sizes = ["channels", *(key for key in vars(config) if key.endswith("_blocks"))]
    grown = {key: getattr(config, key) for key in sizes}
    return replace(small, name=config.name, **grown) == config and all(
        getattr(small, key) <= size for key, size in grown.items()
    )


def _trained_name(key: str, small: ModelConfig, large: ModelConfig) -> str | None:
    """What a tensor is called in the small model; None in a block that it lacks."""
    coder, network, number, *rest = [*key.split("."), "", ""]
    counts = [getattr(c, _blocks_key(coder, network), None) for c in (small, large)]
    if counts[0] is None or counts[1] is None:
        return key
    first = int(network == "analysis")  # a convolution, and another one after the blocks
    block = int(number) - first
    if block < counts[0]:
        return key
    if block < counts[1]:
        return None
    return ".".join([coder, network, str(counts[0] + first), *filter(None, rest)])


def _blocks_key(coder: str, network: str) -> str:
    return "context_blocks" if network == "context" else f"{coder}_{network}_blocks"


def _place(key: str, fresh: Tensor, trained: Tensor, old: int, new: int) -> None:
    """Weights or biases of a layer into those of a wider one. What its old outputs would read of
    new inputs is zero."""
    layer = key.rsplit(".", 1)[0]
    # of the value, then of the gate
    rows = _places(len(trained), old if layer.endswith("gate_in") else None, new - old)
    if trained.dim() == 1:
        fresh[rows] = trained
        return
    fresh[rows] = 0
    columns = _places(trained.shape[1], _inputs_before_new(layer, old), new - old)
    fresh[rows[:, None], columns] = trained


def _inputs_before_new(layer: str, old: int) -> int | None:
    """How many of a layer's inputs stay before the new channels; None: all of them."""
    if layer == "inter.gather":  # a picture and the feature; then motion
        return TOKENS + old
    if layer == "inter.gather_second":  # how two pictures and features differ; then motion
        return 2 * TOKENS + old
    if layer in ("inter.fuse", "inter.means.first.0", "inter.means.second.0"):
        return old
    return None


def _places(count: int, before: int | None, added: int) -> Tensor:
    """Where `count` channels go: those after the first `before` move behind the new ones."""
    places = torch.arange(count)
    if before is not None:
        places[before:] += added
    return places
