"""The float side of coding: pictures <-> symbols, one time step of B GOPs at a call."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from neuralcodec.codec.device import keep_freed_memory
from neuralcodec.codec.gop_symbols import FrameSymbols
from neuralcodec.codec.pictures import TensorFrame, to_frames, to_tensor_frames, to_tensors
from neuralcodec.entropy.coder import LARGEST
from neuralcodec.model.config import VECTOR_BLOCK
from neuralcodec.model.motion_search import search_vectors
from neuralcodec.model.state import State
from neuralcodec.model.video_model import VideoModel
from neuralcodec.video import Frame, VideoFormat


@dataclass(frozen=True)
class IntraTrial:
    """What a frame would be as an intra frame."""

    symbols: FrameSymbols
    shown: Frame
    state: State


class Transforms:
    """Holds the recurrent state of each GOP of a batch; `begin` starts new ones.

    All GOPs of a batch are at the same time step; those that end early are dropped with `keep`.
    """

    def __init__(
        self, model: VideoModel, fmt: VideoFormat, device: torch.device, precision: torch.dtype
    ) -> None:
        keep_freed_memory()
        self.model = model.with_fast_networks(precision).to(device)
        self.fmt, self.device, self.precision = fmt, device, precision
        self._state: State | None = None
        self._vectors: Tensor | None = None

    def begin(self) -> None:
        """The next frames are intra frames."""
        self._state = None
        self._vectors = None

    def keep(self, items: list[int]) -> None:
        """Go on with these items of the batch only."""
        chosen = torch.tensor(items, device=self.device)
        if self._state is not None:
            s = self._state
            self._state = State(*(part[chosen] for part in (s.y, s.uv, s.feature, s.latent)))
        if self._vectors is not None:
            self._vectors = self._vectors[chosen]

    def encode(
        self, frames: Sequence[Frame], qualities: Sequence[int]
    ) -> tuple[list[FrameSymbols], list[Frame]]:
        """One frame of each GOP -> its symbols, and the frame as a decoder will show it."""
        with self._context():
            y, uv = to_tensors(frames, self.fmt, self.device)
            q = torch.tensor(qualities, device=self.device)
            if self._state is None:
                symbols, shown = self._encode_intra(y, uv, q)
                vectors = None
            else:
                vectors = self._search(y, q)
                inter = self.model.inter
                prediction = inter.predict(self._state, vectors, q)
                latent = inter.analyse(y, uv, prediction, q)
                means, rounded = inter.means.quantise(latent, prediction.side, inter.gain(q))
                shown = inter.synthesise(rounded, prediction, q)
                symbols = (rounded - means).round()
            self._state, self._vectors = shown, vectors
            pictures = to_frames(shown.y, shown.uv, self.fmt, [f.pts for f in frames])
            return _to_symbols(symbols, vectors), pictures

    def try_intra(self, frame: Frame, quality: int) -> IntraTrial:
        """A frame as an intra frame, the state left as it is."""
        with self._context():
            y, uv = to_tensors([frame], self.fmt, self.device)
            q = torch.tensor([quality], device=self.device)
            symbols, state = self._encode_intra(y, uv, q)
            pictures = to_frames(state.y, state.uv, self.fmt, [frame.pts])
            return IntraTrial(_to_symbols(symbols, None)[0], pictures[0], state)

    def adopt(self, item: int, intra: IntraTrial) -> None:
        """One item of the batch goes on from an intra frame."""
        assert self._state is not None
        for part in ("y", "uv", "feature", "latent"):
            getattr(self._state, part)[item] = getattr(intra.state, part)[0]
        if self._vectors is not None:
            self._vectors[item] = 0

    def _encode_intra(self, y: Tensor, uv: Tensor, q: Tensor) -> tuple[Tensor, State]:
        intra = self.model.intra
        latent = intra.analyse(y, uv, q)
        means, rounded = intra.means.quantise(latent, None, intra.gain(q))
        return (rounded - means).round(), intra.synthesise(rounded, q)

    def decode(
        self, symbols: Sequence[FrameSymbols], qualities: Sequence[int], pts: Sequence[int]
    ) -> list[Frame]:
        """Symbols of one frame of each GOP -> the frames."""
        shown = self._decode(symbols, qualities)
        return to_frames(shown.y, shown.uv, self.fmt, pts)

    def decode_tensors(
        self, symbols: Sequence[FrameSymbols], qualities: Sequence[int], pts: Sequence[int]
    ) -> list[TensorFrame]:
        """As `decode`; the frames stay on the device."""
        shown = self._decode(symbols, qualities)
        return to_tensor_frames(shown.y, shown.uv, self.fmt, pts)

    def _decode(self, symbols: Sequence[FrameSymbols], qualities: Sequence[int]) -> State:
        with self._context():
            q = torch.tensor(qualities, device=self.device)
            latent = self._gather([s.latent for s in symbols]).permute(0, 3, 1, 2)
            if self._state is None:
                intra = self.model.intra
                shown = intra.synthesise(intra.means.restore(latent, None, intra.gain(q)), q)
            else:
                vectors = self._gather([_vectors_of(s) for s in symbols])
                inter = self.model.inter
                prediction = inter.predict(self._state, vectors, q)
                rounded = inter.means.restore(latent, prediction.side, inter.gain(q))
                shown = inter.synthesise(rounded, prediction, q)
            self._state = shown
            return shown

    def _search(self, y: Tensor, q: Tensor) -> Tensor:
        assert self._state is not None
        last = self._vectors
        if last is None:
            batch, _, height, width = y.shape
            last = y.new_zeros(batch, 2, height // VECTOR_BLOCK, width // VECTOR_BLOCK)
        return search_vectors(y, self._state.y, last, self.model.config.quality_lambdas(q))

    def _gather(self, arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self.device).float()

    @contextmanager
    def _context(self) -> Iterator[None]:
        reduced = self.precision != torch.float32
        with (
            torch.no_grad(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=reduced),
        ):
            yield


def _vectors_of(symbols: FrameSymbols) -> np.ndarray:
    assert symbols.vectors is not None  # the parser gives them to every frame but the first
    return symbols.vectors


def _to_symbols(symbols: Tensor, vectors: Tensor | None) -> list[FrameSymbols]:
    maps = symbols.clamp(-LARGEST, LARGEST).permute(0, 2, 3, 1).to(torch.int16)
    latents = maps.contiguous().cpu().numpy()
    if vectors is None:
        return [FrameSymbols(None, latent) for latent in latents]
    fields = vectors.to(torch.int16).cpu().numpy()
    return [FrameSymbols(f, latent) for f, latent in zip(fields, latents, strict=True)]
