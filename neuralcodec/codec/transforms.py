"""The float side of coding: pictures <-> symbols, one time step of B GOPs at a call."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from neuralcodec.codec.best_filtered import BestFiltered
from neuralcodec.codec.device import is_out_of_memory, keep_freed_memory
from neuralcodec.codec.gop_symbols import FrameSymbols
from neuralcodec.codec.pictures import (
    TensorFrame,
    grid_size,
    to_frames,
    to_tensor_frames,
    to_tensors,
)
from neuralcodec.codec.presets import MEDIUM, Effort
from neuralcodec.codec.refinement import FrameCoding, linear_curvature, refine_latent
from neuralcodec.entropy.coder import LARGEST
from neuralcodec.errors import DeviceError
from neuralcodec.model.config import VECTOR_BLOCK
from neuralcodec.model.exact import exact_float32, log_magnitude
from neuralcodec.model.inter import Prediction
from neuralcodec.model.loop_filters import Filtered
from neuralcodec.model.motion_search import padded_planes, search_vectors
from neuralcodec.model.priors import History, ScalePrior
from neuralcodec.model.state import State
from neuralcodec.model.vector_choice import choose_vectors
from neuralcodec.model.video_model import VideoModel
from neuralcodec.video import Frame, VideoFormat

Turn = TypeVar("Turn")


@dataclass(frozen=True)
class IntraTrial:
    """What a frame would be as an intra frame."""

    symbols: FrameSymbols
    shown: Frame
    state: State


class Transforms:
    """Holds the recurrent state of each GOP of a batch; `begin` starts new ones.

    All GOPs of a batch are at the same time step; those that end early are dropped with `keep`.
    An effort that refines symbols takes one GOP only: see `SideBySide`.

    Where memory does not suffice for all GOPs of a batch at once, they are taken in turns from then
    on, and `notices` says so. Raises DeviceError where it does not suffice for one.
    """

    def __init__(
        self,
        model: VideoModel,
        fmt: VideoFormat,
        device: torch.device,
        precision: torch.dtype,
        effort: Effort = MEDIUM,
    ) -> None:
        keep_freed_memory()
        self.model = model.with_fast_networks(precision).to(device)
        self.fmt, self.device, self.precision = fmt, device, precision
        self.effort = effort
        self.notices: list[str] = []
        self._at_once: int | None = None  # most GOPs of a batch; None: all
        self.begin()

    def begin(self) -> None:
        """The next frames are intra frames."""
        self._state: State | None = None
        self._vectors: Tensor | None = None
        self._history: History | None = None  # of the symbols, where they are refined

    def keep(self, items: list[int]) -> None:
        """Go on with these items of the batch only."""
        chosen = torch.tensor(items, device=self.device)
        if self._state is not None:
            self._state = State(*(tensor[chosen] for tensor in _tensors(self._state)))
        if self._vectors is not None:
            self._vectors = self._vectors[chosen]

    def encode(
        self, frames: Sequence[Frame], qualities: Sequence[int]
    ) -> tuple[list[FrameSymbols], list[Frame]]:
        """One frame of each GOP -> its symbols, and the frame as a decoder will show it."""
        turns = self._in_turns(
            len(frames), lambda part: self._encode(frames[part], qualities[part])
        )
        return [s for turn in turns for s in turn[0]], [f for turn in turns for f in turn[1]]

    def _encode(
        self, frames: Sequence[Frame], qualities: Sequence[int]
    ) -> tuple[list[FrameSymbols], list[Frame]]:
        with self._context():
            y, uv = to_tensors(frames, self.fmt, self.device)
            q = torch.tensor(qualities, device=self.device)
            if self._state is None:
                symbols, shown = self._encode_intra(y, uv, q)
                vectors = filtered = None
            else:
                vectors = self._search(y, q)
                symbols, shown, filtered = self._encode_inter(y, uv, vectors, q)
            self._remember(symbols, inter=vectors is not None)
            self._state, self._vectors = shown, vectors
            pictures = to_frames(shown.y, shown.uv, self.fmt, [f.pts for f in frames])
            return _to_symbols(symbols, vectors, filtered), pictures

    def try_intra(self, frame: Frame, quality: int) -> IntraTrial:
        """A frame as an intra frame, the state left as it is."""
        with self._context(), self._enough_memory():
            y, uv = to_tensors([frame], self.fmt, self.device)
            q = torch.tensor([quality], device=self.device)
            symbols, state = self._encode_intra(y, uv, q)
            pictures = to_frames(state.y, state.uv, self.fmt, [frame.pts])
            return IntraTrial(_to_symbols(symbols, None, None)[0], pictures[0], state)

    def adopt(self, item: int, intra: IntraTrial) -> None:
        """One item of the batch goes on from an intra frame."""
        assert self._state is not None
        for part in ("y", "uv", "feature", "latent"):
            getattr(self._state, part)[item] = getattr(intra.state, part)[0]
        if self._vectors is not None:
            self._vectors[item] = 0
        latent = torch.from_numpy(intra.symbols.latent)[None].to(self.device)
        self._remember(latent.permute(0, 3, 1, 2), inter=False)

    def _encode_intra(self, y: Tensor, uv: Tensor, q: Tensor) -> tuple[Tensor, State]:
        intra = self.model.intra
        latent = intra.analyse(y, uv, q)
        if self.effort.symbol_rounds:
            latent = self._refine(latent, self._intra_coding(q), y, uv, q)
        means, rounded = intra.means.quantise(latent, None, intra.gain(q))
        return (rounded - means).round(), intra.synthesise(rounded, q)

    def _encode_inter(
        self, y: Tensor, uv: Tensor, vectors: Tensor, q: Tensor
    ) -> tuple[Tensor, State, Tensor | None]:
        """Symbols, what is shown, and which blocks are filtered, as `synthesise` takes it."""
        assert self._state is not None
        inter = self.model.inter
        prediction = inter.predict(self._state, vectors, q)
        latent = inter.analyse(y, uv, prediction, q)
        show = BestFiltered(inter, prediction, q, y, uv)
        if self.effort.symbol_rounds:
            coding = self._inter_coding(vectors, prediction, q, show)
            latent = self._refine(latent, coding, y, uv, q)
        means, rounded = inter.means.quantise(latent, prediction.side, inter.gain(q))
        return (rounded - means).round(), show(rounded), show.filtered

    def _intra_coding(self, q: Tensor) -> FrameCoding:
        intra, gain = self.model.intra, self.model.intra.gain(q)
        return FrameCoding(
            lambda latent: intra.means.quantise(latent, None, gain),
            lambda rounded: intra.synthesise(rounded, q),
            self.model.intra_prior,
            self._side(self.model.intra_prior, q, None),
            self.model.log_table,
            linear_curvature(intra, q),
        )

    def _inter_coding(
        self, vectors: Tensor, prediction: Prediction, q: Tensor, show: BestFiltered
    ) -> FrameCoding:
        inter, gain = self.model.inter, self.model.inter.gain(q)
        return FrameCoding(
            lambda latent: inter.means.quantise(latent, prediction.side, gain),
            show,
            self.model.inter_prior,
            self._side(self.model.inter_prior, q, vectors),
            self.model.log_table,
            linear_curvature(inter, q),
        )

    def _side(self, prior: ScalePrior, q: Tensor, vectors: Tensor | None) -> Tensor:
        shape = (1, *grid_size(self.fmt))
        with exact_float32(self.device.type):
            return prior.side_information(q, shape, self.model.log_table, self._history, vectors)

    def _refine(
        self, latent: Tensor, coding: FrameCoding, y: Tensor, uv: Tensor, q: Tensor
    ) -> Tensor:
        assert len(latent) == 1
        mse_lambda = float(self.model.config.quality_lambdas(q))
        return refine_latent(latent, coding, y, uv, mse_lambda, self.effort.symbol_rounds)

    def _remember(self, symbols: Tensor, inter: bool) -> None:
        """What the scale prior will know of this frame; needed only where symbols are refined."""
        if self.effort.symbol_rounds:
            with exact_float32(self.device.type):
                magnitudes = log_magnitude(symbols.permute(0, 2, 3, 1), self.model.log_table)
                before = self._history if inter else None
                self._history = before.advance(magnitudes) if before else History.begin(magnitudes)

    def decode(
        self, symbols: Sequence[FrameSymbols], qualities: Sequence[int], pts: Sequence[int]
    ) -> list[Frame]:
        """Symbols of one frame of each GOP -> the frames."""

        def decode(part: slice) -> list[Frame]:
            shown = self._decode(symbols[part], qualities[part])
            return to_frames(shown.y, shown.uv, self.fmt, pts[part])

        return [frame for turn in self._in_turns(len(symbols), decode) for frame in turn]

    def decode_tensors(
        self, symbols: Sequence[FrameSymbols], qualities: Sequence[int], pts: Sequence[int]
    ) -> list[TensorFrame]:
        """As `decode`; the frames stay on the device."""

        def decode(part: slice) -> list[TensorFrame]:
            shown = self._decode(symbols[part], qualities[part])
            return to_tensor_frames(shown.y, shown.uv, self.fmt, pts[part])

        return [frame for turn in self._in_turns(len(symbols), decode) for frame in turn]

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
                shown = inter.synthesise(rounded, prediction, q, self._filtered(symbols))
            self._state = shown
            return shown

    def _filtered(self, symbols: Sequence[FrameSymbols]) -> Tensor | None:
        if not self.model.config.filter_choice:
            return None
        return self._gather([np.array(s.filtered, np.int16) for s in symbols])

    def _search(self, y: Tensor, q: Tensor) -> Tensor:
        assert self._state is not None
        last = self._vectors
        if last is None:
            batch, _, height, width = y.shape
            last = y.new_zeros(batch, 2, height // VECTOR_BLOCK, width // VECTOR_BLOCK)
        weights = self.model.config.quality_lambdas(q)
        planes = padded_planes(self._state.y)
        found = search_vectors(y, self._state.y, last, weights, self.effort.search, planes)
        if not self.effort.priced_vectors:
            return found
        prior, table = self.model.vector_prior, self.model.log_table
        return choose_vectors(prior, table, y, planes, found, last, q, weights)

    def _gather(self, arrays: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(arrays)).to(self.device).float()

    def _in_turns(self, count: int, run: Callable[[slice], Turn]) -> list[Turn]:
        """`run` for the next frame of all `count` GOPs, as many at once as memory suffices for."""
        before = self._state, self._vectors, self._history
        while True:
            at_once = min(self._at_once or count, count)
            try:
                if at_once == count:
                    return [run(slice(count))]
                return self._take_turns(count, at_once, run)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if at_once == 1:
                    raise self._too_large() from error
            # Not before here: in the handler the tensors of the attempt are still referred to.
            self._state, self._vectors, self._history = before
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self._at_once = (at_once + 1) // 2
            self.notices[:] = [
                f"the memory of {self.device} does not suffice for {count} GOPs side by side: "
                f"coded {self._at_once} at a time"
            ]

    def _take_turns(self, count: int, at_once: int, run: Callable[[slice], Turn]) -> list[Turn]:
        state, vectors = self._state, self._vectors
        turns: list[Turn] = []
        states: list[State] = []
        fields: list[Tensor] = []
        for start in range(0, count, at_once):
            part = slice(start, start + at_once)
            self._state = state and State(*(tensor[part] for tensor in _tensors(state)))
            self._vectors = None if vectors is None else vectors[part]
            turns.append(run(part))
            assert self._state is not None
            states.append(self._state)
            if self._vectors is not None:
                fields.append(self._vectors)
        joined = zip(*(_tensors(s) for s in states), strict=True)
        self._state = State(*(torch.cat(tensors) for tensors in joined))
        self._vectors = torch.cat(fields) if fields else None
        return turns

    @contextmanager
    def _enough_memory(self) -> Iterator[None]:
        try:
            yield
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise self._too_large() from error
            raise

    def _too_large(self) -> DeviceError:
        size = f"{self.fmt.width}x{self.fmt.height}"
        other = "--device cpu or " if self.device.type == "cuda" else ""
        return DeviceError(
            f"the memory of {self.device} does not suffice for a frame of {size}: free some, "
            f"or use {other}a smaller picture (--scale)"
        )

    @contextmanager
    def _context(self) -> Iterator[None]:
        reduced = self.precision != torch.float32
        with (
            torch.inference_mode(False),  # refinement follows gradients
            torch.no_grad(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=reduced),
        ):
            yield


def _tensors(state: State) -> tuple[Tensor, ...]:
    return state.y, state.uv, state.feature, state.latent


def _vectors_of(symbols: FrameSymbols) -> np.ndarray:
    assert symbols.vectors is not None  # the parser gives them to every frame but the first
    return symbols.vectors


def _to_symbols(
    symbols: Tensor, vectors: Tensor | None, filtered: Tensor | None
) -> list[FrameSymbols]:
    maps = symbols.clamp(-LARGEST, LARGEST).permute(0, 2, 3, 1).to(torch.int16)
    latents = maps.contiguous().cpu().numpy()
    if vectors is None:
        return [FrameSymbols(None, latent) for latent in latents]
    fields = vectors.to(torch.int16).cpu().numpy()
    if filtered is None:
        return [FrameSymbols(f, latent) for f, latent in zip(fields, latents, strict=True)]
    planes = [(Filtered(luma), Filtered(chroma)) for luma, chroma in filtered.tolist()]
    return [FrameSymbols(*frame) for frame in zip(fields, latents, planes, strict=True)]
