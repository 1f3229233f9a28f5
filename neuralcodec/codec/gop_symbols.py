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
from neuralcodec.entropy import Coder, SymbolDecoder, SymbolEncoder
from neuralcodec.entropy.coder import Malformed
from neuralcodec.kernels.parsing.vector_steps import CANDIDATES
from neuralcodec.model.config import BLOCK, VECTOR_BLOCK
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.gop_scales import FramePast, gop_scales
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_integers import OpenBlocks, StepArrays
from neuralcodec.model.motion_prior import VECTOR_LIMIT
from neuralcodec.model.tables import PRECISION
from neuralcodec.references import SLOTS, Placement


@dataclass(frozen=True)
class FrameSymbols:
    """All that is transmitted of a frame, as int16: vectors (2, 2h, 2w), None in an intra frame, in
    quarter samples; latent (h, w, N); of an inter frame, which blocks are filtered."""

    vectors: np.ndarray | None
    latent: np.ndarray
    filtered: FilteredPlanes | None = None

    def checksum(self, before: int) -> int:
        """CRC-32 of the symbols as little-endian int16, continued from the frame before."""
        for part in (self.filtered, self.vectors, self.latent):
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

    vectors: torch.Tensor  # (1, 2, 2h, 2w)
    filtered: FilteredPlanes
    scales: Any  # as `GopScales.end` gave it
    shown: int  # see `Placement`


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
    def vector_grid(self) -> tuple[int, int]:
        """(rows, columns) of 8x8 blocks: whole latent positions, so that both grids fit."""
        per_side = BLOCK // VECTOR_BLOCK
        return per_side * self.height, per_side * self.width

    def _no_vectors(self) -> torch.Tensor:
        return torch.zeros(1, 2, *self.vector_grid, dtype=torch.float32, device="cpu")

    def _before(self, place: Placement) -> tuple[_Memory, _Memory] | None:
        """Of both frames referred to. Raises Malformed where a slot is empty."""
        if place.slots is None:
            return None
        first, second = (self._slots[slot] for slot in place.slots)
        if first is None or second is None:
            raise Malformed("it refers to a frame that is not there")
        return first, second

    def _begin_scales(
        self, q: int, place: Placement, vectors: torch.Tensor | None, before: "_Both | None"
    ) -> None:
        if before is None or vectors is None:
            self.scales.begin(q, None)
            return
        first, second = before
        none = torch.zeros_like(vectors[0, :1])
        motion = torch.cat([none, vectors[0], none, none])
        distances = place.shown - first.shown, place.shown - second.shown
        past = FramePast(motion, (first.scales, second.scales), place.level, distances)
        self.scales.begin(q, past)

    def _walk(self, vectors: torch.Tensor, q: int, before: "_Both") -> Iterator[StepArrays]:
        prior, log_table = self.model.vector_prior, self.model.log_table
        return prior.array_walk(vectors[0], before[0].vectors[0], q, log_table)

    def _end(self, symbols: FrameSymbols, vectors: torch.Tensor | None, place: Placement) -> None:
        scales = self.scales.end()
        if place.stored is not None:
            if vectors is None:
                vectors = self._no_vectors()
            memory = _Memory(vectors, symbols.filtered or AFTER_INTRA, scales, place.shown)
            self._slots[place.stored] = memory
        self.checksum = symbols.checksum(self.checksum)


_Both = tuple[_Memory, _Memory]


class GopSymbolEncoder(_GopContext):
    """Frame after frame of one GOP to bytes; `checksum` covers all frames so far."""

    def encode(self, symbols: FrameSymbols, q: int, place: Placement) -> bytes:
        encoder = SymbolEncoder(self.coder)
        vectors, before = None, self._before(place)
        with torch.no_grad(), exact_float32("cpu"):
            if before is not None:
                assert symbols.filtered is not None and symbols.vectors is not None
                encode_filtered(encoder, symbols.filtered, before[0].filtered)
                vectors = torch.from_numpy(symbols.vectors.astype(np.float32))[None]
                self._encode_vectors(encoder, vectors, q, before)
            self._begin_scales(q, place, vectors, before)
            for coded in self.scales.passes(vectors is None):
                indices = self.scales.indices(coded)
                values = symbols.latent[:, :, coded.channels]
                chosen = None if coded.chosen is None else coded.chosen.numpy()
                encoder.symbols(values, indices, chosen)
                known = values if chosen is None or coded.is_second else values * chosen
                self.scales.tell(coded, known)
            self._end(symbols, vectors, place)
        return encoder.to_bytes()

    def _encode_vectors(
        self, encoder: SymbolEncoder, vectors: torch.Tensor, q: int, before: _Both
    ) -> None:
        field = vectors[0].flatten(1).numpy()
        for step in self._walk(vectors, q, before):
            wanted = np.ascontiguousarray(field[:, step.blocks].T, np.int32)
            blocks = OpenBlocks(step)
            for i in range(CANDIDATES):
                asked, indices = blocks.asked(i)
                hits = blocks.compare(i, asked, wanted)
                encoder.decisions(hits, indices)
                blocks.take(i, asked, hits)
            left = np.flatnonzero(blocks.is_open)
            difference = wanted[left] - step.prediction[left]
            for axis in range(2):
                encoder.symbols(difference[:, axis], step.indices[left, CANDIDATES + axis])


class GopSymbolDecoder(_GopContext):
    """Bytes to symbols, frame after frame of one GOP."""

    def decode(self, payload: bytes, q: int, place: Placement) -> FrameSymbols:
        """Raises Malformed when these bytes are no frame of that place."""
        before = self._before(place)
        decoder = SymbolDecoder(self.coder, payload)
        filtered = vectors = None
        with torch.no_grad(), exact_float32("cpu"):
            if before is not None:
                filtered = decode_filtered(decoder, before[0].filtered)
                vectors = self._decode_vectors(decoder, q, before)
            latent = np.zeros((self.height, self.width, self.model.config.latents), np.int16)
            self._begin_scales(q, place, vectors, before)
            for coded in self.scales.passes(before is None):
                indices = self.scales.indices(coded)
                chosen = None if coded.chosen is None else coded.chosen.numpy()
                values = latent[:, :, coded.channels]
                self.scales.tell(coded, decoder.symbols(indices, chosen, values))
            decoder.finish()
            array = None if vectors is None else vectors[0].numpy().astype(np.int16)
            symbols = FrameSymbols(array, latent, filtered)
            self._end(symbols, vectors, place)
        return symbols

    def _decode_vectors(self, decoder: SymbolDecoder, q: int, before: _Both) -> torch.Tensor:
        vectors = self._no_vectors()
        field = vectors[0].flatten(1).numpy()  # the same memory
        for step in self._walk(vectors, q, before):
            blocks = OpenBlocks(step)
            for i in range(CANDIDATES):
                asked, indices = blocks.asked(i)
                blocks.take(i, asked, decoder.decisions(indices))
            left = np.flatnonzero(blocks.is_open)
            for axis in range(2):
                difference = decoder.symbols(step.indices[left, CANDIDATES + axis])
                blocks.vectors[left, axis] += difference
            if np.abs(blocks.vectors).max(initial=0) > VECTOR_LIMIT:
                raise Malformed("a motion vector that is too long")
            blocks.write(field)
        return vectors
