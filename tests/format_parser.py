"""A second parser of .nlc files, written from the words of docs/format.md.

It knows numpy and the Python standard library, and shares no code with the product.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from format_parts import Ans, ModelFile, activation, index, moved, read_list
from motion_parser import MotionParser, PastMotion


@dataclass(frozen=True)
class Place:
    shown: int
    level: int
    references: tuple[int, ...]  # slots: none or two
    stored: int | None


@dataclass
class Parsed:
    motion: np.ndarray | None  # (2h, 2w, 5)
    skipped: np.ndarray | None  # (h, w)
    latent: np.ndarray  # (h, w, N)
    filtered: tuple[int, int] | None  # of luma and of chroma


@dataclass
class Past:
    """What a frame has left to those that refer to it."""

    motion: PastMotion
    skipped: np.ndarray
    filtered: tuple[int, int]
    is_intra: bool
    G: np.ndarray
    M: np.ndarray


class GopParser:
    def __init__(self, model: ModelFile, width: int, height: int) -> None:
        self.model = model
        self.h, self.w = -(-height // 16), -(-width // 16)
        self.slots: dict[int, Past] = {}
        self.crc = 0
        self.seen: set[str] = set()

    def parse(self, payload: bytes, q: int, place: Place) -> Parsed:
        ans, model = Ans(payload), self.model
        if place.references:
            first, second = (self.slots[slot] for slot in place.references)
            parsed, past = self.inter(ans, q, place, first, second)
        else:
            latent = self.latent(ans, q, None, None)
            parsed = Parsed(None, None, latent, None)
            h = model.magnitude(latent)
            still = np.zeros((2 * self.h, 2 * self.w, 5), np.int64)
            none = np.zeros((self.h, self.w), bool)
            past = Past(PastMotion(still, place.shown, ()), none, (1, 1), True, h, h)
        assert ans.state == 0 and not ans.words
        if place.stored is not None:
            self.slots[place.stored] = past
        self.add_to_crc(parsed)
        return parsed

    def inter(
        self, ans: Ans, q: int, place: Place, first: Past, second: Past
    ) -> tuple[Parsed, Past]:
        before = first.filtered
        filtered = self.filtering(ans, before[0]), self.filtering(ans, before[1])
        references = [first.motion, second.motion]
        parser = MotionParser(self.model, references, place.shown, place.level, q)
        motion = parser.parse(ans, self.seen)
        distances = tuple(place.shown - reference.time for reference in references)
        seen_of_motion = self.seen_of_motion(motion, place.level, distances)
        G, M = np.maximum(first.G, second.G), (first.M + second.M) // 2
        before_skipped = [16 * past.skipped[..., None] for past in (first, second)]
        largest = [part.max(-1, keepdims=True) for part in (G, M)]
        x = [self.everywhere(q - 32), *seen_of_motion, *before_skipped, *largest]
        skipped = self.skipped(ans, np.concatenate(x, -1))
        after_intra = self.everywhere(16 if first.is_intra or second.is_intra else 0)
        past = np.concatenate([G, M], -1)
        summary = activation(self.model.matrix("inter_prior.summarise", past))
        latent = self.latent(ans, q, [summary, *seen_of_motion, after_intra], skipped)
        H = self.model.magnitude(latent)
        left = Past(
            PastMotion(motion, place.shown, distances),
            skipped,
            filtered,
            False,
            H,
            (3 * M + H) // 4,
        )
        return Parsed(motion, skipped, latent, filtered), left

    def add_to_crc(self, parsed: Parsed) -> None:
        parts = [parsed.latent]
        if parsed.motion is not None and parsed.skipped is not None:
            motion = [parsed.motion[..., component] for component in range(5)]
            parts = [np.array(parsed.filtered), *motion, parsed.skipped, parsed.latent]
        for part in parts:
            self.crc = zlib.crc32(part.astype("<i2").tobytes(), self.crc)

    def everywhere(self, value: int) -> np.ndarray:
        return np.full((self.h, self.w, 1), value)

    def filtering(self, ans: Ans, before: int) -> int:
        if ans.decision(7 << 21):
            return before
        low, high = sorted({0, 1, 2} - {before})
        return high if ans.decision(1 << 23) else low

    def seen_of_motion(
        self, motion: np.ndarray, level: int, distances: tuple[int, ...]
    ) -> list[np.ndarray]:
        h, w, magnitude = self.h, self.w, self.model.magnitude
        four = motion.reshape(h, 2, w, 2, 5).transpose(0, 2, 4, 1, 3).reshape(h, w, 5, 4)
        inputs = []
        for k in (0, 1):
            vectors = four[:, :, 1 + 2 * k : 3 + 2 * k]
            inputs.append(magnitude(np.abs(vectors).max(-1)))
            inputs.append(magnitude(vectors.max(-1) - vectors.min(-1)))
        for k in (0, 1):
            uses = np.isin(four[:, :, 0], (k, 2)).sum(-1)
            inputs.append(8 * uses[..., None])
        inputs.append(self.everywhere(16 * level))
        for distance in distances:
            signed = int(np.sign(distance) * magnitude(np.array(distance)))
            inputs.append(self.everywhere(signed))
        return inputs

    def skipped(self, ans: Ans, x: np.ndarray) -> np.ndarray:
        """x (h, w, 18): the first inputs of positions."""
        h, w = self.h, self.w
        skipped = np.zeros((h, w), bool)
        if not ans.decision(1 << 23):
            return skipped
        self.seen.add("skipped")
        rows, columns = -(-h // 4), -(-w // 4)
        of_areas = np.zeros((rows, columns, 20), np.int64)
        for i in range(rows):
            for j in range(columns):
                area = x[4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
                of_areas[i, j, :18] = area.max((0, 1))
                of_areas[i, j, 18:] = 7 * (area[..., 14:16] > 0).sum((0, 1))
        everything = np.ones((rows, columns), bool)
        nothing = np.zeros((rows, columns), bool)
        whole = self.checkerboard(ans, "area", of_areas, everything, nothing, nothing)
        in_whole = whole.repeat(4, 0).repeat(4, 1)[:h, :w]
        return in_whole | self.checkerboard(ans, "position", x, ~in_whole, in_whole, in_whole)

    def checkerboard(
        self,
        ans: Ans,
        network: str,
        x: np.ndarray,
        asked: np.ndarray,
        known: np.ndarray,
        yes: np.ndarray,
    ) -> np.ndarray:
        """Two steps; known: at the first of them, yes: of those."""
        known, yes = known.copy(), yes.copy()
        odd = np.add.outer(np.arange(len(x)), np.arange(x.shape[1])) % 2
        for parity in (0, 1):
            around = ((-1, 0), (1, 0), (0, -1), (0, 1))
            both = (known & yes).astype(np.int64), (known & ~yes).astype(np.int64)
            near = [16 * moved(flags, *away) for away in around for flags in both]
            inputs = np.concatenate([x, np.stack(near, -1)], -1)
            hidden = activation(self.model.matrix(f"skip_prior.{network}.read", inputs))
            sums = self.model.matrix(
                f"skip_prior.{network}.write", np.concatenate([hidden, inputs], -1)
            )
            here = asked & (odd == parity)
            for i, j in np.argwhere(here):
                yes[i, j] = ans.decision(self.model.decisions[index(sums)[i, j, 0]])
                self.seen.add(f"{network}: {yes[i, j]}")
            known |= here
        return yes & asked

    def latent(
        self,
        ans: Ans,
        q: int,
        more_side: list[np.ndarray] | None,
        skipped: np.ndarray | None,
    ) -> np.ndarray:
        """more_side: of an inter frame."""
        model, h, w = self.model, self.h, self.w
        prior = "intra_prior" if more_side is None else "inter_prior"
        odd = (np.arange(h)[:, None] + np.arange(w)) % 2
        side = [self.everywhere(q - 32), 16 * odd[..., None], *(more_side or [])]
        latent = np.zeros((h, w, model.config["latents"]), np.int64)
        start = 0
        for g, end in enumerate(model.config["groups"]):
            x = np.concatenate([model.magnitude(latent[..., :start]), *side], -1)
            lists = [(f"{prior}.networks.{g}", np.ones((h, w, end - start), bool))]
            if more_side is None:
                first = (odd[..., None] + np.arange(start, end)) % 2 == 1
                lists = [(f"{prior}.networks.{g}", first), (f"{prior}.second.{g}", ~first)]
            for network, places in lists:
                own = None
                if network.startswith("intra_prior.second"):
                    own = model.magnitude(latent[..., start:end])
                indices = self.scale_indices(network, x, own)
                if skipped is not None:
                    indices[skipped] = 0
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


@dataclass
class CodedFrame:
    """In the order of coding."""

    q: int
    place: Place
    pts: int
    payload: bytes


@dataclass
class File:
    width: int
    height: int
    model_sha256: bytes
    symbols_crc: int
    frames: list[CodedFrame]


class Bytes:
    def __init__(self, data: bytes, at: int) -> None:
        self.data, self.at = data, at

    def byte(self) -> int:
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def svarint(self) -> int:
        n = self.varint()
        return n // 2 if n % 2 == 0 else -(n + 1) // 2


def read_first_gop(data: bytes) -> File:
    """HEAD and the first GOPS chunk of a sound file."""
    chunks = []
    at = 12
    for _ in range(2):
        (length,) = struct.unpack_from("<I", data, at + 4)
        chunks.append(data[at + 8 : at + 8 + length])
        at += 12 + length
    head, gop = chunks
    width, height = struct.unpack_from("<II", head)
    name_end = 45 + head[44]
    return File(width, height, head[name_end : name_end + 32], *read_gop(gop))


def read_gop(gop: bytes) -> tuple[int, list[CodedFrame]]:
    """symbols_crc and frames."""
    _, count, first_pts, crc = struct.unpack_from("<QIqI", gop)
    stream = Bytes(gop, 24)
    rows = _rows(stream, count)
    times, change, difference = [first_pts], 0, 0
    zeros = 0
    for _ in range(1, count):
        if zeros:
            zeros, change = zeros - 1, 0
        else:
            change = stream.svarint()
            zeros = stream.varint() if change == 0 else 0
        difference += change
        times.append(times[-1] + difference)
    at = stream.at
    frames = []
    for place, q, length in rows:
        frames.append(CodedFrame(q, place, times[place.shown], gop[at : at + length]))
        at += length
    assert at == len(gop)
    return crc, frames


def _rows(stream: Bytes, count: int) -> list[tuple[Place, int, int]]:
    """Place, q and length of each."""
    kinds: list[list[int]] = []  # depth, references, step, q of its last row
    by_rank = [0, 1, 2, 3, 4, 5]
    rows: list[tuple[Place, int, int]] = []
    shown, q = 0, 0
    for number in range(count):
        kind, differs = divmod(stream.varint(), 2)
        if kind == len(kinds):
            references = step = 0
            depth = stream.byte()
            if number:
                references, step = stream.byte(), stream.svarint()
            kinds.append([depth, references, step, q])
        depth, references, step, q = kinds[kind]
        if differs:
            q += stream.svarint()
        kinds[kind][3] = q
        slots: tuple[int, ...] = ()
        if number:
            slots = by_rank[references % 8], by_rank[references // 8]
            shown += 1 + step
        stored = None
        if depth >= 8:
            stored = by_rank[depth // 8 - 1]
            by_rank.remove(stored)
            by_rank.insert(0, stored)
        rows.append((Place(shown, depth % 8, slots, stored), q, stream.varint()))
    return rows
