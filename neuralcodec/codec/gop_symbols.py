"""The symbols of a GOP <-> frame payloads: the small exact program that both sides run on the CPU.

It sees symbols only, no picture: a whole GOP can be parsed, checked or cut without the transforms.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from neuralcodec.codec.filtered_symbols import (
    AFTER_INTRA,
    FilteredPlanes,
    decode_filtered,
    encode_filtered,
)
from neuralcodec.codec.skip_symbols import decode_skipped, encode_skipped
from neuralcodec.entropy import Coder, SymbolDecoder, SymbolEncoder
from neuralcodec.entropy.coder import Malformed
from neuralcodec.kernels.parsing.motion_walk import (
    BOTH_USED,
    CANDIDATES,
    SCALES_AT,
    SECOND_USED,
    VECTOR_LIMIT,
)
from neuralcodec.model.config import BLOCK, VECTOR_BLOCK
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.gop_scales import FramePast, gop_scales
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_integers import FrameSetting, OpenBlocks, StepArrays
from neuralcodec.model.motion_values import BOTH, FIRST, SECOND
from neuralcodec.model.scale_prior import Pass
from neuralcodec.model.skip_prior import SkipContext
from neuralcodec.model.tables import PRECISION
from neuralcodec.model.temporal_motion import ReferenceMotion, mirrored, temporal_motion
from neuralcodec.references import SLOTS, Placement


@dataclass(frozen=True)
class FrameSymbols:
    """All that is transmitted of a frame, as int16: motion (5, 2h, 2w), see
    `recurrence.Recurrence`, None in an intra frame; latent (h, w, N); of an inter frame, which
    blocks are filtered, and which positions (h, w) are skipped, where the latent is 0."""

    motion: np.ndarray | None
    latent: np.ndarray
    filtered: FilteredPlanes | None = None
    skipped: np.ndarray | None = None

    def checksum(self, before: int) -> int:
        """CRC-32 of the symbols as little-endian int16, continued from the frame before."""
        for part in (self.filtered, self.motion, self.skipped, self.latent):
            if part is not None:
                before = zlib.crc32(np.ascontiguousarray(part, "<i2").data, before)
        return before


def build_coder(installed: InstalledModel) -> Coder:
    tables = installed.tables
    symbols = [table.numpy() for table in tables.symbols]
    return Coder.build(symbols, tables.decisions.numpy(), PRECISION)


@dataclass(frozen=True)
class _Memory:
    """What the symbols of a frame leave to those that refer to it."""

    motion: ReferenceMotion
    filtered: FilteredPlanes
    scales: Any  # as `GopScales.end` gave it
    skipped: torch.Tensor  # (1, 1, h, w) of 0 and 1


class _GopContext:
    """What the frames of a GOP so far mean for the next; starts afresh with each GOP."""

    def __init__(self, installed: InstalledModel, coder: Coder, height: int, width: int) -> None:
        """height, width: of the grid of 16x16 blocks."""
        self.model, self.coder = installed.model, coder
        self.height, self.width = height, width
        self.scales = gop_scales(installed.model, height, width)
        self.checksum = 0
        self._slots: list[_Memory | None] = [None] * SLOTS

    @property
    def motion_grid(self) -> tuple[int, int]:
        """(rows, columns) of 8x8 blocks: whole latent positions, so that both grids fit."""
        per_side = BLOCK // VECTOR_BLOCK
        return per_side * self.height, per_side * self.width

    def _no_motion(self) -> torch.Tensor:
        return torch.zeros(1, 5, *self.motion_grid, dtype=torch.float32, device="cpu")

    def _before(self, place: Placement) -> tuple[_Memory, _Memory] | None:
        """Of both frames referred to. Raises Malformed where a slot is empty."""
        if place.slots is None:
            return None
        first, second = (self._slots[slot] for slot in place.slots)
        if first is None or second is None:
            raise Malformed("it refers to a frame that is not there")
        if place.shown in (first.motion.time, second.motion.time):
            raise Malformed("it refers to a frame that is shown at the same time")
        return first, second

    def _begin_scales(
        self, setting: FrameSetting, motion: torch.Tensor, before: "_Both"
    ) -> SkipContext:
        """motion (1, 5, 2h, 2w)."""
        memories = before[0].scales, before[1].scales
        past = FramePast(motion[0], memories, setting.level, setting.distances)
        self.scales.begin(setting.q, past)
        return SkipContext(
            torch.tensor([setting.q], device="cpu"),
            motion,
            torch.tensor([setting.level], device="cpu"),
            torch.tensor([setting.distances], device="cpu"),
            self.scales.activity(),
            torch.cat([before[0].skipped, before[1].skipped], 1),
        )

    def _indices(self, coded: Pass, skipped: np.ndarray | None) -> np.ndarray:
        """Of scales; those of skipped positions, which have no symbols, are 0: certain zeros."""
        indices = self.scales.indices(coded)
        return indices if skipped is None else indices * ~skipped[..., None]

    def _walk(self, motion: torch.Tensor, setting: FrameSetting) -> Iterator[StepArrays]:
        return self.model.motion_prior.array_walk(motion[0], setting, self.model.log_table)

    def _end(self, symbols: FrameSymbols, place: Placement, before: "_Both | None") -> None:
        scales = self.scales.end()
        if place.stored is not None:
            field = symbols.motion
            if field is None:
                field = np.zeros((5, *self.motion_grid), np.int16)
            distances = (0, 0) if before is None else _distances(place, before)
            motion = ReferenceMotion(field, place.shown, distances)
            skipped = torch.zeros(1, 1, self.height, self.width, dtype=torch.float32, device="cpu")
            if symbols.skipped is not None:
                skipped[0, 0] = torch.from_numpy(symbols.skipped)
            filtered = symbols.filtered or AFTER_INTRA
            self._slots[place.stored] = _Memory(motion, filtered, scales, skipped)
        self.checksum = symbols.checksum(self.checksum)


_Both = tuple[_Memory, _Memory]


def _distances(place: Placement, before: _Both) -> tuple[int, int]:
    return place.shown - before[0].motion.time, place.shown - before[1].motion.time


def _setting(q: int, place: Placement, before: _Both) -> FrameSetting:
    temporal = temporal_motion(place.shown, (before[0].motion, before[1].motion))
    return FrameSetting(
        torch.from_numpy(temporal).float(), _distances(place, before), place.level, q
    )


class GopSymbolEncoder(_GopContext):
    """Frame after frame of one GOP to bytes; `checksum` covers all frames so far."""

    def encode(self, symbols: FrameSymbols, q: int, place: Placement) -> bytes:
        encoder = SymbolEncoder(self.coder)
        before = self._before(place)
        with torch.no_grad(), exact_float32("cpu"):
            if before is None:
                self.scales.begin(q, None)
            else:
                self._encode_before_latent(encoder, symbols, _setting(q, place, before), before)
            for coded in self.scales.passes(before is None):
                indices = self._indices(coded, symbols.skipped)
                values = symbols.latent[:, :, coded.channels]
                chosen = None if coded.chosen is None else coded.chosen.numpy()
                encoder.symbols(values, indices, chosen)
                self.scales.tell(coded, coded.values_known_after(values))
            self._end(symbols, place, before)
        return encoder.to_bytes()

    def _encode_before_latent(
        self, encoder: SymbolEncoder, symbols: FrameSymbols, setting: FrameSetting, before: _Both
    ) -> None:
        """All of an inter frame but its latent."""
        assert symbols.filtered is not None and symbols.motion is not None
        assert symbols.skipped is not None
        encode_filtered(encoder, symbols.filtered, before[0].filtered)
        motion = torch.from_numpy(symbols.motion.astype(np.float32))[None]
        self._encode_motion(encoder, motion, setting)
        context = self._begin_scales(setting, motion, before)
        self._encode_skipped(encoder, symbols.skipped, context)

    def _encode_skipped(
        self, encoder: SymbolEncoder, skipped: np.ndarray, context: SkipContext
    ) -> None:
        encode_skipped(encoder, skipped, context, self.model)

    def _encode_motion(
        self, encoder: SymbolEncoder, motion: torch.Tensor, setting: FrameSetting
    ) -> None:
        field = motion[0].flatten(1).numpy()
        for step in self._walk(motion, setting):
            wanted = np.ascontiguousarray(field[:, step.blocks].T, np.int32)
            blocks = OpenBlocks(step)
            for i in range(CANDIDATES):
                asked, indices = blocks.asked(i)
                hits = blocks.compare(i, asked, wanted)
                encoder.decisions(hits, indices)
                blocks.take(i, asked, hits)
            left = np.flatnonzero(blocks.is_open)
            which, indices = wanted[left, 0], step.indices[left]
            if setting.is_two:
                encoder.decisions(which == BOTH, indices[:, BOTH_USED])
                single = which != BOTH
                encoder.decisions(which[single] == SECOND, indices[single, SECOND_USED])
            for k, other in enumerate((SECOND, FIRST)):
                uses = which != other
                chosen = left[uses]
                predicted = _predicted(step, k, chosen, wanted[chosen], setting.distances)
                for axis in (2 * k, 2 * k + 1):
                    difference = wanted[chosen, 1 + axis] - predicted[:, axis % 2]
                    encoder.symbols(difference, indices[uses, SCALES_AT + axis])


def _predicted(
    step: StepArrays, k: int, chosen: np.ndarray, motion: np.ndarray, distances: tuple[int, int]
) -> np.ndarray:
    """Vectors (n, 2) in reference k, of the chosen blocks of a step that use it, whose motion
    (n, 5) is known up to them."""
    predicted = step.prediction[chosen, 2 * k : 2 * k + 2]
    if k == 0:
        return predicted
    opposite = mirrored(motion[:, 1:3], distances[1], distances[0])
    return np.where(motion[:, :1] == BOTH, opposite, predicted)


class GopSymbolDecoder(_GopContext):
    """Bytes to symbols, frame after frame of one GOP."""

    def decode(self, payload: bytes, q: int, place: Placement) -> FrameSymbols:
        """Raises Malformed when these bytes are no frame of that place."""
        before = self._before(place)
        decoder = SymbolDecoder(self.coder, payload)
        filtered = field = skipped = None
        with torch.no_grad(), exact_float32("cpu"):
            if before is None:
                self.scales.begin(q, None)
            else:
                setting = _setting(q, place, before)
                filtered = decode_filtered(decoder, before[0].filtered)
                motion = self._decode_motion(decoder, setting)
                field = motion[0].numpy().astype(np.int16)
                context = self._begin_scales(setting, motion, before)
                skipped = decode_skipped(decoder, context, self.model)
            latent = np.zeros((self.height, self.width, self.model.config.latents), np.int16)
            for coded in self.scales.passes(before is None):
                indices = self._indices(coded, skipped)
                chosen = None if coded.chosen is None else coded.chosen.numpy()
                values = latent[:, :, coded.channels]
                self.scales.tell(coded, decoder.symbols(indices, chosen, values))
            decoder.finish()
            if skipped is not None and latent[skipped].any():
                raise Malformed("symbols at a position that is skipped")
            symbols = FrameSymbols(field, latent, filtered, skipped)
            self._end(symbols, place, before)
        return symbols

    def _decode_motion(self, decoder: SymbolDecoder, setting: FrameSetting) -> torch.Tensor:
        motion = self._no_motion()
        field = motion[0].flatten(1).numpy()  # the same memory
        for step in self._walk(motion, setting):
            blocks = OpenBlocks(step)
            for i in range(CANDIDATES):
                asked, indices = blocks.asked(i)
                blocks.take(i, asked, decoder.decisions(indices))
            left = np.flatnonzero(blocks.is_open)
            new, indices = blocks.motion[left], step.indices[left]
            if setting.is_two:
                is_both = decoder.decisions(indices[:, BOTH_USED])
                new[is_both, 0] = BOTH
                new[~is_both, 0] = decoder.decisions(indices[~is_both, SECOND_USED])
            for k, other in enumerate((SECOND, FIRST)):
                uses = new[:, 0] != other
                chosen = left[uses]
                predicted = _predicted(step, k, chosen, new[uses], setting.distances)
                for axis in (2 * k, 2 * k + 1):
                    difference = decoder.symbols(indices[uses, SCALES_AT + axis])
                    new[uses, 1 + axis] = predicted[:, axis % 2] + difference
            if np.abs(new[:, 1:]).max(initial=0) > VECTOR_LIMIT:
                raise Malformed("a motion vector that is too long")
            blocks.motion[left] = new
            blocks.write(field)
        return motion
