"""What is made of a network's weights, kept for as long as they stay as they are."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from torch import Tensor, nn

Made = TypeVar("Made")


@dataclass(frozen=True)
class _Kept:
    parameters: list[Tensor]  # their memory too, so that it is not given to others
    versions: list[int]
    made: Any

    def is_of(self, parameters: list[nn.Parameter]) -> bool:
        return [p._version for p in parameters] == self.versions and all(
            now.data_ptr() == then.data_ptr()
            for now, then in zip(parameters, self.parameters, strict=True)
        )


_all_kept: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()


def kept(module: nn.Module, make: Callable[[], Made]) -> Made:
    """make(), of the parameters of the module; once, unless they are being trained or changed."""
    parameters = list(module.parameters())
    if any(p.requires_grad or p.is_inference() for p in parameters):
        return make()
    found = _all_kept.get(module)
    if found is not None and found.is_of(parameters):
        made: Made = found.made
        return made
    fresh = make()
    versions = [p._version for p in parameters]
    _all_kept[module] = _Kept([p.detach() for p in parameters], versions, fresh)
    return fresh
