"""A second parser of .nlc files, written from the words of docs/format.md.

It knows numpy and the Python standard library, and shares no code with the product.
"""

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from format_parts import Ans, ModelFile, activation, index, read_list


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
