"""The scale indices of a GOP's frames, pass after pass, as its symbols become known.

Either by the layers of `scale_prior` or, where kernels can be compiled, by the same in integers.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from neuralcodec.kernels.compiled import can_run
from neuralcodec.kernels.parsing.exact_layers import (
    ACTIVATION_UNITS,
    IntegerLayer,
    index_sums,
    look_around,
    rectify_sums,
    sums,
)
from neuralcodec.kernels.parsing.scale_inputs import (
    advance_history,
    write_magnitudes,
    write_motion,
    write_uses,
)
from neuralcodec.model.exact import QUALITY_CENTRE, log_magnitude, table_in_units
from neuralcodec.model.kept import kept
from neuralcodec.model.lattice import parity_map, steps_of_positions
from neuralcodec.model.scale_prior import (
    LEVEL_UNITS,
    MOTION_CHANNELS,
    SIDE_CHANNELS,
    USE_UNITS,
    GroupNetwork,
    History,
    Pass,
    Past,
    ScalePrior,
    Stage,
)
from neuralcodec.model.skip_prior import activity_of
from neuralcodec.model.video_model import VideoModel

Memory = TypeVar("Memory")  # what the symbols of a frame leave to those that refer to it


@dataclass(frozen=True)
class FramePast(Generic[Memory]):
    """What is known of an inter frame before its latent. motion (5, 2h, 2w): as in
    `recurrence.Recurrence`; before: what both frames have left that it refers to; distances: to
    both, see `inter.Referred`."""

    motion: Tensor
    before: tuple[Memory, Memory]
    level: int
    distances: tuple[int, int]


class GopScales(ABC, Generic[Memory]):
    """For each frame: `begin`; for each pass `indices`, then `tell`; `end`. All arrays are
    (h, w, channels of the group)."""

    def __init__(self, model: VideoModel, height: int, width: int) -> None:
        """height, width: of the latent."""
        self.model, self.height, self.width = model, height, width

    def passes(self, intra: bool) -> list[Pass]:
        return list(self._prior(intra).passes(self.height, self.width, torch.device("cpu")))

    @abstractmethod
    def begin(self, q: int, past: "FramePast[Memory] | None") -> None:
        """past: None: an intra frame."""

    @abstractmethod
    def activity(self) -> Tensor:
        """Of an inter frame, (1, h, w, 2): see `skip_prior.activity_of`."""

    @abstractmethod
    def indices(self, coded: Pass) -> np.ndarray:
        """uint8, of which the pass takes its own."""

    @abstractmethod
    def tell(self, coded: Pass, values: np.ndarray) -> None:
        """The symbols of the group, int16: of this pass and those before, else 0."""

    @abstractmethod
    def end(self) -> Memory:
        """What the frame leaves."""

    def _prior(self, intra: bool) -> ScalePrior:
        return self.model.intra_prior if intra else self.model.inter_prior


def gop_scales(model: VideoModel, height: int, width: int) -> GopScales[Any]:
    if can_run(model.log_table):
        return CompiledScales(model, height, width)
    return TensorScales(model, height, width)


class TensorScales(GopScales[History]):
    """Float maps through the layers themselves."""

    def begin(self, q: int, past: FramePast[History] | None) -> None:
        shape = 1, self.height, self.width
        self._is_intra = past is None
        self._history = None if past is None else History.of_both(*past.before)
        known = None
        if past is not None and self._history is not None:
            level, distances = torch.tensor([past.level]), torch.tensor([past.distances])
            known = Past(self._history, past.motion[None], level, distances)
        self._side = self._prior(self._is_intra).side_information(
            torch.tensor([q], device="cpu"), shape, self.model.log_table, known
        )
        self._magnitudes = torch.zeros(
            *shape, self.model.config.latents, dtype=torch.float32, device="cpu"
        )

    def activity(self) -> Tensor:
        assert self._history is not None
        return activity_of(self._history.last, self._history.mean)

    def indices(self, coded: Pass) -> np.ndarray:
        found = self._prior(self._is_intra).indices(coded, self._side, self._magnitudes)
        array: np.ndarray = found[0].to(torch.uint8).numpy()
        return array

    def tell(self, coded: Pass, values: np.ndarray) -> None:
        magnitudes = log_magnitude(torch.from_numpy(values), self.model.log_table)
        self._magnitudes[0, :, :, coded.channels] = magnitudes

    def end(self) -> History:
        if self._history is None:
            return History.begin(self._magnitudes)
        return self._history.advance(self._magnitudes)


@dataclass(frozen=True)
class _IntegerNetwork:
    """A `GroupNetwork`, its inputs in the order of `_Columns`."""

    read: IntegerLayer
    look: IntegerLayer
    mix: IntegerLayer
    around: IntegerLayer | None
    write: IntegerLayer


@dataclass(frozen=True)
class _Columns:
    """Where the wide map has what the networks of a prior see and leave: what is seen around
    symbols of the own group, up to `hidden`; hidden; side; magnitudes of all channels."""

    hidden: int
    side: int
    magnitudes: int
    end: int


@dataclass(frozen=True)
class _IntegerPrior:
    columns: _Columns
    summarise: IntegerLayer | None
    networks: dict[Stage, list[_IntegerNetwork]]

    @classmethod
    def of(cls, prior: ScalePrior) -> "_IntegerPrior":
        widest = max(end - start for start, end in prior.bounds)
        hidden = widest if prior.second else 0
        side = hidden + prior.hidden
        magnitudes = side + prior.side
        columns = _Columns(hidden, side, magnitudes, magnitudes + prior.bounds[-1][1])

        def integers(networks: Iterable[nn.Module]) -> list[_IntegerNetwork]:
            found = []
            # Between halves, only the first groups have any
            for network, (before, _) in zip(networks, prior.bounds, strict=False):
                assert isinstance(network, GroupNetwork)
                found.append(_integer_network(network, prior.side, before))
            return found

        return cls(
            columns,
            None if prior.summarise is None else prior.summarise.in_integers(),
            {stage: integers(prior.of_stage(stage)) for stage in Stage},
        )


def _integer_network(network: GroupNetwork, side: int, before: int) -> _IntegerNetwork:
    """before: channels of the groups before, the first inputs of all."""
    around, hidden = network.around, network.mix.weight.shape[0]
    own = 0 if around is None else around.weight.shape[0]
    inputs = [before, side, own]
    return _IntegerNetwork(
        read=network.read.in_integers().with_inputs(inputs, [1, 0, 2]),
        look=network.look.in_integers(),
        mix=network.mix.in_integers(),
        around=None if around is None else around.in_integers(),
        write=network.write.in_integers().with_inputs([hidden, *inputs, own], [4, 0, 2, 1, 3]),
    )


@dataclass(frozen=True)
class IntegerHistory:
    """maps (positions, 2N) int8: `History.last`, then `History.mean`."""

    maps: Tensor
    after_intra: bool

    @classmethod
    def of_both(cls, first: "IntegerHistory", second: "IntegerHistory") -> "IntegerHistory":
        """As `History.of_both`."""
        if first is second:
            return first
        latents = first.maps.shape[1] // 2
        last = torch.maximum(first.maps[:, :latents], second.maps[:, :latents])
        mean = first.maps[:, latents:].to(torch.int16).add_(second.maps[:, latents:]) >> 1
        maps = torch.cat([last, mean.to(torch.int8)], 1)
        return cls(maps, first.after_intra or second.after_intra)


class CompiledScales(GopScales[IntegerHistory]):
    """One wide map of integers, that passes append to. See `parsing.exact_layers`."""

    def __init__(self, model: VideoModel, height: int, width: int) -> None:
        super().__init__(model, height, width)
        self._positions = height * width
        self._table = table_in_units(model.log_table)
        self._maps: Tensor | None = None  # (positions and one of zeros, columns) int8
        self._is_intra = False

    def begin(self, q: int, past: FramePast[IntegerHistory] | None) -> None:
        is_intra = past is None
        if self._maps is None or is_intra != self._is_intra:
            self._make_maps(is_intra)
        assert self._maps is not None
        maps, side = self._maps[: self._positions], self._integers.columns.side
        maps[:, side] = q - QUALITY_CENTRE
        self._history = None
        if past is not None:
            self._history = IntegerHistory.of_both(*past.before)
            assert self._integers.summarise is not None
            seen, layer = self._history.maps, self._integers.summarise
            rectify_sums(sums(seen, layer), layer.bias, self._array, side + SIDE_CHANNELS)
            self._write_motion(past, self._history.after_intra)

    def _write_motion(self, past: FramePast[IntegerHistory], after_intra: bool) -> None:
        """In the order of `scale_prior.MOTION_CHANNELS`."""
        assert self._maps is not None
        maps = self._maps[: self._positions]
        at = self._integers.columns.magnitudes - MOTION_CHANNELS
        motion = past.motion.contiguous().numpy()
        write_motion(motion[1:3], self._table, self._array, at)
        write_motion(motion[3:5], self._table, self._array, at + 4)
        write_uses(motion[0], USE_UNITS, self._array, at + 8)
        far = len(self._table) - 1
        distances = (
            int(self._table[min(abs(d), far)]) * (1 if d > 0 else -1) for d in past.distances
        )
        constants = LEVEL_UNITS * past.level, *distances, ACTIVATION_UNITS * after_intra
        for column, value in enumerate(constants, at + 10):
            maps[:, column] = value

    def activity(self) -> Tensor:
        assert self._history is not None
        maps = self._history.maps.view(1, self.height, self.width, -1)
        return activity_of(*maps.chunk(2, -1)).float() / ACTIVATION_UNITS

    def indices(self, coded: Pass) -> np.ndarray:
        assert self._maps is not None
        network = self._integers.networks[coded.stage][coded.group]
        columns, n = self._integers.columns, self._positions
        size = self.height, self.width
        start = columns.hidden
        own = columns.magnitudes + coded.channels.start
        end = columns.magnitudes + coded.channels.stop if coded.known is not None else own
        read, looked = self._hidden
        x = self._maps[:n, columns.side : end]
        rectify_sums(sums(x, network.read), network.read.bias, read.numpy(), 0)
        weight, bias = network.look.weight.numpy(), network.look.bias
        look_around(read.numpy(), 0, weight, bias, *size, looked.numpy(), 0)
        mixed = sums(looked[:n], network.mix)
        rectify_sums(mixed, network.mix.bias, self._array, columns.hidden)
        if network.around is not None:
            weight, bias = network.around.weight.numpy(), network.around.bias
            start -= len(bias)
            look_around(self._array, own, weight, bias, *size, self._array, start)
        written = sums(self._maps[:n, start:end], network.write)
        indices = np.empty(written.shape, np.uint8)
        index_sums(written, network.write.bias, indices)
        return indices.reshape(*size, -1)

    def tell(self, coded: Pass, values: np.ndarray) -> None:
        column = self._integers.columns.magnitudes + coded.channels.start
        flat = values.reshape(self._positions, -1)
        write_magnitudes(flat, self._table, self._array, column)

    def end(self) -> IntegerHistory:
        assert self._maps is not None
        first = self._integers.columns.magnitudes
        if self._history is None:
            return IntegerHistory(self._maps[: self._positions, first:].repeat(1, 2), True)
        left = self._history.maps.clone()
        advance_history(self._array, first, left.numpy())
        return IntegerHistory(left, False)

    def _make_maps(self, is_intra: bool) -> None:
        prior = self._prior(is_intra)
        self._is_intra = is_intra
        self._integers = kept(prior, lambda: _IntegerPrior.of(prior))
        columns, rows = self._integers.columns, self._positions + 1
        self._maps = torch.zeros(rows, columns.end, dtype=torch.int8, device="cpu")
        self._array = self._maps.numpy()
        self._hidden = torch.zeros(
            2, rows, columns.side - columns.hidden, dtype=torch.int8, device="cpu"
        )
        size, cpu = (self.height, self.width), torch.device("cpu")
        known = [parity_map(*size, 1, cpu)]
        if is_intra:
            known.append(steps_of_positions(*size, cpu))
        for column, values in enumerate(torch.cat(known, -1).unbind(-1), columns.side + 1):
            self._maps[: self._positions, column] = ACTIVATION_UNITS * values.flatten()
