"""What the parser of .nlc files that is written from docs/format.md is made of.

It knows numpy and the Python standard library, and shares no code with the product.
"""

import hashlib
import json
import struct

import numpy as np

ONE = 1 << 24  # probabilities
LARGEST = 32767


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
