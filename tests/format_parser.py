"""A second parser of the symbols in .nlc files, written from the words of docs/format.md.

It knows numpy and the Python standard library, and shares no code with the product.
"""

import zlib
from dataclasses import dataclass

import numpy as np
from file_parser import Place
from format_parts import Ans, ModelFile, activation, index, read_list
from motion_parser import MotionParser, PastMotion
from skip_parser import SkipParser


@dataclass
class Parsed:
    motion: np.ndarray | None  # (2h, 2w, 5)
    latent: np.ndarray  # (h, w, N)
    filtered: tuple[int, int] | None  # of luma and of chroma
    skipped: np.ndarray | None  # (h, w)


@dataclass
class Past:
    """What a frame leaves to those that refer to it."""

    moved: PastMotion
    filtered: tuple[int, int]
    skipped: np.ndarray
    G: np.ndarray
    M: np.ndarray
    is_intra: bool


class GopParser:
    def __init__(self, model: ModelFile, width: int, height: int) -> None:
        self.model = model
        self.h, self.w = -(-height // 16), -(-width // 16)
        self.slots: dict[int, Past] = {}
        self.crc = 0
        self.seen: set[str] = set()

    def parse(self, payload: bytes, q: int, place: Place) -> Parsed:
        ans = Ans(payload)
        parsed, past = self.intra(ans, q) if place.slots is None else self.inter(ans, q, place)
        assert ans.state == 0 and not ans.words
        if place.stored is not None:
            self.slots[place.stored] = past
        for numbers in (
            parsed.filtered,
            None if parsed.motion is None else parsed.motion.transpose(2, 0, 1),
            parsed.skipped,
            parsed.latent,
        ):
            if numbers is not None:
                self.crc = zlib.crc32(np.array(numbers, "<i2", order="C").tobytes(), self.crc)
        return parsed

    def intra(self, ans: Ans, q: int) -> tuple[Parsed, Past]:
        step = self.steps(0, 2).max(-1, keepdims=True)
        side = np.concatenate([self.common(q), 16 * (step == np.arange(3))], -1)
        latent = self.latent(ans, side, None)
        seen = self.model.magnitude(latent)
        still = PastMotion(np.zeros((2 * self.h, 2 * self.w, 5), np.int64), 0, ())
        nowhere = np.zeros((self.h, self.w), bool)
        return Parsed(None, latent, None, None), Past(still, (1, 1), nowhere, seen, seen, True)

    def inter(self, ans: Ans, q: int, place: Place) -> tuple[Parsed, Past]:
        assert place.slots is not None
        first, second = (self.slots[slot] for slot in place.slots)
        filtered = self.filtering(ans, first.filtered[0]), self.filtering(ans, first.filtered[1])
        references = [first.moved, second.moved]
        parser = MotionParser(self.model, references, place.shown, place.level, q)
        motion = parser.parse(ans, self.seen)
        seen_of_motion = self.seen_of_motion(motion, parser)
        G, M = np.maximum(first.G, second.G), (first.M + second.M) // 2

        both = np.stack([first.skipped, second.skipped], -1)
        largest = [of.max(-1, keepdims=True) for of in (G, M)]
        own = np.concatenate([self.common(q)[..., :1], seen_of_motion, 16 * both, *largest], -1)
        skipped = SkipParser(self.model, own, both).parse(ans, self.seen)

        past = activation(self.model.matrix("inter_prior.summarise", np.concatenate([G, M], -1)))
        after_intra = np.full((self.h, self.w, 1), 16 * (first.is_intra or second.is_intra))
        side = np.concatenate([self.common(q), past, seen_of_motion, after_intra], -1)
        latent = self.latent(ans, side, skipped)
        assert not latent[skipped].any()
        h = self.model.magnitude(latent)
        moved = PastMotion(motion, place.shown, tuple(parser.away))
        parsed = Parsed(motion, latent, filtered, skipped)
        return parsed, Past(moved, filtered, skipped, h, (3 * M + h) // 4, False)

    def filtering(self, ans: Ans, before: int) -> int:
        if ans.decision(7 << 21):
            return before
        low, high = sorted({0, 1, 2} - {before})
        return high if ans.decision(1 << 23) else low

    def common(self, q: int) -> np.ndarray:
        """The inputs of the latent of all frames, but the channels before."""
        rows, columns = np.indices((self.h, self.w))
        return np.stack([np.full_like(rows, q - 32), (rows + columns) % 2 * 16], -1)

    def steps(self, start: int, end: int) -> np.ndarray:
        """Of the symbols of these channels; -1: none."""
        row, column, c = np.indices((self.h, self.w, end - start))
        c += start
        t = column + 1 + c % 2
        step = np.where((row // 2 + t // 2) % 2 == 1, 2, np.where(row % 4 == 2, 1, 0))
        step = np.where(row % 2 == 1, 3, step)
        return np.where((row + column + c) % 2 == 1, step, -1)

    def seen_of_motion(self, motion: np.ndarray, parser: MotionParser) -> np.ndarray:
        model, h, w = self.model, self.h, self.w
        four = motion.reshape(h, 2, w, 2, 5).transpose(0, 2, 4, 1, 3).reshape(h, w, 5, 4)
        seen = []
        for k in (0, 1):
            vectors = four[:, :, 1 + 2 * k : 3 + 2 * k]
            seen.append(model.magnitude(np.abs(vectors).max(-1)))
            seen.append(model.magnitude(vectors.max(-1) - vectors.min(-1)))
        for k in (0, 1):
            uses = (four[:, :, 0] == k) | (four[:, :, 0] == 2)
            seen.append(8 * uses.sum(-1, keepdims=True))
        away = [int(parser.signed(np.array(distance))) for distance in parser.away]
        seen.append(np.broadcast_to([16 * parser.level, *away], (h, w, 3)))
        return np.concatenate(seen, -1)

    def latent(self, ans: Ans, side: np.ndarray, skipped: np.ndarray | None) -> np.ndarray:
        """skipped: of an inter frame."""
        model, h, w = self.model, self.h, self.w
        latent = np.zeros((h, w, model.config["latents"]), np.int64)
        start = 0
        for g, end in enumerate(model.config["groups"]):
            x = np.concatenate([model.magnitude(latent[..., :start]), side], -1)
            if skipped is not None:
                indices = self.scale_indices(f"inter_prior.networks.{g}", x, None)
                indices[skipped] = 0
                values = read_list(ans, model, indices.ravel().tolist(), self.seen)
                latent[..., start:end] = np.reshape(values, (h, w, end - start))
            else:
                step = self.steps(start, end)
                lists = [("networks", step >= 0), ("second", step < 0)]
                if end <= 24:
                    lists[:1] = [("networks", (step >= 0) & (step < 3)), ("between", step == 3)]
                for network, places in lists:
                    own = None if network == "networks" else model.magnitude(latent[..., start:end])
                    indices = self.scale_indices(f"intra_prior.{network}.{g}", x, own)
                    values = read_list(ans, model, indices[places].tolist(), self.seen)
                    latent[..., start:end][places] = values
            start = end
        return latent

    def scale_indices(self, network: str, x: np.ndarray, own: np.ndarray | None) -> np.ndarray:
        model = self.model
        if own is not None:
            x = np.concatenate([x, own], -1)
        hidden = activation(model.matrix(f"{network}.read", x))
        hidden = activation(model.depthwise(f"{network}.look", hidden))
        seen = [activation(model.matrix(f"{network}.mix", hidden)), x]
        if own is not None:
            seen.append(activation(model.depthwise(f"{network}.around", own)))
        return index(model.matrix(f"{network}.write", np.concatenate(seen, -1)))
