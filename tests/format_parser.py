"""A second parser of .nlc files, written from the words of docs/format.md.

It knows numpy and the Python standard library, and shares no code with the product.
"""

import hashlib
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

ONE = 1 << 24  # probabilities
LARGEST = 32767
CENTRE_AWAY = ((-1, -1), (-1, 1), (1, -1), (1, 1))
EDGE_AWAY = ((-1, 0), (1, 0), (0, -1), (0, 1))


class Ans:
    def __init__(self, payload: bytes) -> None:
        payload += bytes(-len(payload) % 4)
        self.words = list(struct.unpack(f"<{len(payload) // 4}I", payload))
        assert not self.words or self.words[-1], "the last word is 0"
        self.state = 0
        self.refill()
        if self.state < 1 << 32:
            self.refill()

    def refill(self) -> None:
        if self.state < 1 << 32 and self.words:
            self.state = self.state << 32 | self.words.pop()

    def decode(self, cumulative: np.ndarray) -> int:
        """cumulative: c(0) to c(n)."""
        z = self.state % ONE
        i = int(np.searchsorted(cumulative, z, side="right")) - 1
        low, high = int(cumulative[i]), int(cumulative[i + 1])
        self.state = (self.state >> 24) * (high - low) + z - low
        self.refill()
        return i

    def decision(self, d: int) -> bool:
        return self.decode(np.array([0, (ONE - d) * (ONE - 2) // ONE + 1, ONE])) == 1

    def count(self, largest: int) -> int:
        n = 1
        while 64**n <= largest and self.decision(1 << 23):
            n += 1
        return self.number(64**n - 1)

    def number(self, largest: int) -> int:
        number, span = 0, 1
        while span <= largest:
            number, span = 64 * number + self.decode(np.arange(65) << 18), 64 * span
        return number

    def value(self) -> int:
        return min(self.decode(np.arange(65537) * 256) - LARGEST, LARGEST)


def table_model(table: np.ndarray) -> np.ndarray:
    sums = np.concatenate([[0], np.cumsum(table, dtype=np.int64)])
    n = len(table)
    cumulative: np.ndarray = sums * (ONE - n) // ONE + np.arange(n + 1)
    assert cumulative[-1] == ONE
    return cumulative


class ModelFile:
    def __init__(self, data: bytes) -> None:
        (size,) = struct.unpack_from("<Q", data)
        header = json.loads(data[8 : 8 + size])
        self.sha256 = hashlib.sha256(data).digest()
        self.config = json.loads(header.pop("__metadata__")["config"])
        self.tensors = {}
        types = {"F32": "<f4", "I32": "<i4"}
        for name, entry in header.items():
            start, end = (8 + size + offset for offset in entry["data_offsets"])
            array = np.frombuffer(data[start:end], types[entry["dtype"]])
            self.tensors[name] = array.reshape(entry["shape"])
        ends = np.cumsum(self.tensors["tables.sizes"])
        tables = np.split(self.tensors["tables.symbols"], ends[:-1])
        self.tables = [table_model(table) for table in tables]
        self.decisions = [int(d) for d in self.tensors["tables.decisions"]]
        self.log_table = (16 * self.tensors["model.log_table"]).astype(np.int64)

    def magnitude(self, n: np.ndarray) -> np.ndarray:
        return self.log_table[np.minimum(np.abs(n), 4095)]

    def weights(self, layer: str) -> tuple[np.ndarray, np.ndarray]:
        weight = self.tensors[f"model.{layer}.weight"].astype(np.float64)
        bias = self.tensors[f"model.{layer}.bias"].astype(np.float64)
        rounded = np.rint(np.clip(64 * weight, -127, 127)).astype(np.int64)
        return rounded, np.rint(1024 * bias).astype(np.int64)

    def matrix(self, layer: str, inputs: np.ndarray) -> np.ndarray:
        """inputs (h, w, k) -> S (h, w, outputs)."""
        weight, bias = self.weights(layer)
        sums: np.ndarray = inputs @ weight.T + bias
        return sums

    def depthwise(self, layer: str, inputs: np.ndarray) -> np.ndarray:
        weight, bias = self.weights(layer)
        sums = np.zeros_like(inputs) + bias
        for r in range(3):
            for c in range(3):
                sums += weight[:, 0, r, c] * moved(inputs, r - 1, c - 1)
        return sums


def activation(sums: np.ndarray) -> np.ndarray:
    return np.minimum(127, np.rint(np.maximum(0, sums) / 64).astype(np.int64))


def index(sums: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(sums / 128).astype(np.int64) + 16, 0, 63)


def moved(maps: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """(h, w, ...): what is `rows` and `columns` away, 0 outside of the picture."""
    h, w = maps.shape[:2]
    padded = np.zeros((h + 16, w + 16, *maps.shape[2:]), maps.dtype)
    padded[8 : 8 + h, 8 : 8 + w] = maps
    return padded[8 + rows : 8 + rows + h, 8 + columns : 8 + columns + w]


def read_list(ans: Ans, model: ModelFile, indices: list[int], seen: set[str]) -> list[int]:
    values = [0] * len(indices)
    outside = []
    for i in sorted(set(indices)):
        places = [place for place, other in enumerate(indices) if other == i]
        if i == 0:
            if ans.decision(1 << 18):
                seen.add("exceptions")
                size = len(places)
                chosen = [ans.number(size) for _ in range(ans.count(size))]
                assert chosen and max(chosen) < size
                places = [places[place] for place in chosen]
            else:
                continue
        table = model.tables[i or 24]
        support = (len(table) - 3) // 2
        for place in places:
            symbol = ans.decode(table)
            values[place] = symbol - support
            if symbol == 2 * support + 1:
                outside.append(place)
    for place in outside:
        seen.add("outside")
        values[place] = ans.value()
    return values


@dataclass
class Parsed:
    vectors: np.ndarray | None  # (2h, 2w, 2)
    latent: np.ndarray  # (h, w, N)
    filtered: tuple[int, int] | None  # of luma and of chroma


class GopParser:
    def __init__(self, model: ModelFile, width: int, height: int) -> None:
        self.model = model
        self.h, self.w = -(-height // 16), -(-width // 16)
        self.rows, self.columns = 2 * self.h, 2 * self.w  # of vectors
        self.last = np.zeros((self.rows, self.columns, 2), np.int64)
        self.filtered = (1, 1)
        self.frames = 0
        self.crc = 0
        self.seen: set[str] = set()

    def parse(self, payload: bytes, q: int) -> Parsed:
        ans = Ans(payload)
        filtered = None
        if self.frames:
            filtered = self.filtering(ans, self.filtered[0]), self.filtering(ans, self.filtered[1])
            self.filtered = filtered
            self.crc = zlib.crc32(struct.pack("<2h", *filtered), self.crc)
        vectors = self.vectors(ans, q) if self.frames else None
        latent = self.latent(ans, q, vectors)
        assert ans.state == 0 and not ans.words
        h = self.model.magnitude(latent)
        if vectors is None:
            self.G = self.M = h
        else:
            self.M, self.G = (3 * self.M + h) // 4, h
            self.last = vectors
            for component in (0, 1):
                self.crc = zlib.crc32(vectors[..., component].astype("<i2").tobytes(), self.crc)
        self.crc = zlib.crc32(latent.astype("<i2").tobytes(), self.crc)
        self.frames += 1
        return Parsed(vectors, latent, filtered)

    def filtering(self, ans: Ans, before: int) -> int:
        if ans.decision(7 << 21):
            return before
        low, high = sorted({0, 1, 2} - {before})
        return high if ans.decision(1 << 23) else low

    def vectors(self, ans: Ans, q: int) -> np.ndarray:
        vectors = np.zeros((self.rows, self.columns, 2), np.int64)
        known = np.zeros((self.rows, self.columns), np.int64)
        steps = [(16, "base"), *((d, kind) for d in (8, 4, 2, 1) for kind in ("centre", "edge"))]
        for number, (d, kind) in enumerate(steps):
            grid = [(i, j) for i in range(self.rows) for j in range(self.columns)]
            blocks = [block for block in grid if _in_step(*block, d, kind)]
            away = [(r * d, c * d) for r, c in (CENTRE_AWAY if kind == "centre" else EDGE_AWAY)]
            candidates: dict[tuple[int, int], list[tuple[int, ...] | None]] = {}
            predictions = np.zeros_like(vectors)
            for i, j in blocks:
                near = []
                for r, c in away:
                    inside = 0 <= i + r < self.rows and 0 <= j + c < self.columns
                    usable = inside and known[i + r, j + c]
                    near.append(tuple(vectors[i + r, j + c].tolist()) if usable else None)
                last = tuple(self.last[i, j].tolist())
                candidates[i, j] = list(_without_repetitions([(0, 0), last, *near]))
                there = [n for n in near if n is not None]
                predictions[i, j] = np.rint(np.mean(there, 0)).astype(int) if there else last
            used = np.zeros((self.rows, self.columns, 6), np.int64)
            for block, offered in candidates.items():
                used[block] = [16 * (candidate is not None) for candidate in offered]
            near_inputs = self.vector_inputs(min(d, 8), vectors, known, predictions, used)
            indices = self.vector_indices(number, near_inputs, q)
            waiting = list(blocks)
            for k in range(6):
                left = []
                for block in waiting:
                    candidate = candidates[block][k]
                    if candidate is not None and ans.decision(
                        self.model.decisions[indices[(*block, k)]]
                    ):
                        self.seen.add(f"candidate {k}")
                        vectors[block] = candidate
                    else:
                        left.append(block)
                waiting = left
            for axis in (0, 1):
                chosen = [int(indices[(*block, 6 + axis)]) for block in waiting]
                values = read_list(ans, self.model, chosen, self.seen)
                for block, value in zip(waiting, values, strict=True):
                    self.seen.add("new vector")
                    vectors[(*block, axis)] = predictions[block][axis] + value
            assert np.abs(vectors).max() <= 1023
            for block in blocks:
                known[block] = 1
        return vectors

    def vector_inputs(
        self, e: int, vectors: np.ndarray, known: np.ndarray, p: np.ndarray, used: np.ndarray
    ) -> list[np.ndarray]:
        mask = known[..., None]
        around = [(r, c) for r in (-e, 0, e) for c in (-e, 0, e)]
        inputs = []
        for r, c in around:
            there = moved(mask, r, c)
            inputs += [self.signed((moved(vectors, r, c) - p) * there), 16 * there]
        close = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)]
        inputs += [self.signed(moved(self.last, r, c) - p) for r, c in close]
        inputs.append(self.signed(p))
        change = (vectors - self.last) * mask
        inputs += [self.signed(moved(change, r, c)) for r, c in around]
        return [*inputs, used]

    def vector_indices(self, step: int, inputs: list[np.ndarray], q: int) -> np.ndarray:
        quality = np.full((self.rows, self.columns, 1), q - 32)
        x = np.concatenate([*inputs, quality], -1)
        hidden = activation(self.model.matrix(f"vector_prior.read.{step}", x))
        hidden = activation(self.model.matrix(f"vector_prior.mix.{step}", hidden))
        seen = np.concatenate([hidden, x], -1)
        return index(self.model.matrix(f"vector_prior.write.{step}", seen))

    def signed(self, n: np.ndarray) -> np.ndarray:
        signed: np.ndarray = np.sign(n) * self.model.magnitude(n)
        return signed

    def latent(self, ans: Ans, q: int, vectors: np.ndarray | None) -> np.ndarray:
        model, h, w = self.model, self.h, self.w
        prior = "intra_prior" if vectors is None else "inter_prior"
        odd = (np.arange(h)[:, None] + np.arange(w)) % 2
        side = [np.full((h, w, 1), q - 32), 16 * odd[..., None]]
        if vectors is not None:
            past = np.concatenate([self.G, self.M], -1)
            side.append(activation(model.matrix("inter_prior.summarise", past)))
            four = vectors.reshape(h, 2, w, 2, 2).transpose(0, 2, 4, 1, 3).reshape(h, w, 2, 4)
            side.append(model.magnitude(np.abs(four).max(-1)))
            side.append(model.magnitude(four.max(-1) - four.min(-1)))
            side.append(np.full((h, w, 1), 16 if self.frames == 1 else 0))
        latent = np.zeros((h, w, model.config["latents"]), np.int64)
        start = 0
        for g, end in enumerate(model.config["groups"]):
            x = np.concatenate([model.magnitude(latent[..., :start]), *side], -1)
            lists = [(f"{prior}.networks.{g}", np.ones((h, w, end - start), bool))]
            if vectors is None:
                first = (odd[..., None] + np.arange(start, end)) % 2 == 1
                lists = [(f"{prior}.networks.{g}", first), (f"{prior}.second.{g}", ~first)]
            for network, places in lists:
                own = None
                if network.startswith("intra_prior.second"):
                    own = model.magnitude(latent[..., start:end])
                indices = self.scale_indices(network, x, own)
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


def _in_step(i: int, j: int, d: int, kind: str) -> bool:
    if kind == "base":
        return i % d == 0 and j % d == 0
    if kind == "centre":
        return i % (2 * d) == d and j % (2 * d) == d
    return i % d == 0 and j % d == 0 and (i // d + j // d) % 2 == 1


def _without_repetitions(
    candidates: list[tuple[int, ...] | None],
) -> Iterator[tuple[int, ...] | None]:
    before: set[tuple[int, ...]] = set()
    for candidate in candidates:
        yield None if candidate in before else candidate
        before.add(candidate or (0, 0))


@dataclass
class CodedFrame:
    q: int
    payload: bytes


@dataclass
class File:
    width: int
    height: int
    model_sha256: bytes
    symbols_crc: int
    frames: list[CodedFrame]


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
    _, count, _, crc = struct.unpack_from("<QIqI", gop)
    at, q, table = 24, 0, []

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = gop[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    for _ in range(count):
        varint()
        delta = varint()
        q += delta // 2 if delta % 2 == 0 else -(delta + 1) // 2
        table.append((q, varint()))
    frames = []
    for quality, length in table:
        frames.append(CodedFrame(quality, gop[at : at + length]))
        at += length
    assert at == len(gop)
    return File(width, height, head[name_end : name_end + 32], crc, frames)
