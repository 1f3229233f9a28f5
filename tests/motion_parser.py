"""The motion of a frame, parsed as the section "Motion" of docs/format.md says."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from format_parts import Ans, ModelFile, activation, index, moved, read_list

CENTRE_AWAY = ((-1, -1), (-1, 1), (1, -1), (1, 1))
EDGE_AWAY = ((-1, 0), (1, 0), (0, -1), (0, 1))

Motion = tuple[int, ...]  # which, dx and dy in the first reference, dx and dy in the second


@dataclass
class PastMotion:
    """Of a frame that is referred to: motion (2h, 2w, 5), time, distances (intra: none)."""

    motion: np.ndarray
    time: int
    distances: tuple[int, ...]


def scaled(v: int, n: int, m: int) -> int:
    product = v * n
    size = (2 * abs(product) + abs(m)) // (2 * abs(m))
    return size if (product < 0) == (m < 0) else -size


def mirrored(vector: Motion, n: int, m: int) -> Motion:
    return tuple(max(-1023, min(1023, scaled(v, n, m))) for v in vector)


def part(motion: Motion, k: int) -> Motion:
    return tuple(motion[1 + 2 * k : 3 + 2 * k])


def uses(which: int, k: int) -> bool:
    return which in (k, 2)


class MotionParser:
    """Of one frame at a time `now` that refers to two others."""

    def __init__(
        self, model: ModelFile, references: list[PastMotion], now: int, level: int, q: int
    ) -> None:
        self.model, self.level, self.q = model, level, q
        self.now, self.references = now, references
        self.away = [now - reference.time for reference in references]
        assert all(self.away)
        self.two = self.away[0] != self.away[1]
        self.rows, self.columns = references[0].motion.shape[:2]
        self.grid = [(i, j) for i in range(self.rows) for j in range(self.columns)]
        self.temporal = self.temporal_motion()

    def is_inside(self, i: int, j: int) -> bool:
        return 0 <= i < self.rows and 0 <= j < self.columns

    def temporal_motion(self) -> np.ndarray:
        paths = []
        for reference in self.references[: 1 + self.two]:
            ahead = reference.time - self.now
            for k, span in enumerate(reference.distances):
                passes = ahead * span > 0 and abs(ahead) < abs(span)
                order = (0, abs(span)) if passes else (1, abs(ahead))
                paths.append((order, passes, reference.motion, k, span, ahead))
        paths.sort(key=lambda path: path[0])
        found: dict[tuple[int, int], Motion] = {}

        def reach(i: int, j: int, motion: Motion, k: int, span: int) -> None:
            if self.is_inside(i, j) and (i, j) not in found:
                first, second = (mirrored(part(motion, k), d, span) for d in self.away)
                if not self.two:
                    which, second = 0, (0, 0)
                else:
                    which = 2 if self.away[0] * self.away[1] < 0 else motion[0]
                found[i, j] = (which, *first, *second)

        for _, passes, motions, k, span, ahead in paths:
            for i, j in self.grid if passes else []:
                motion = tuple(motions[i, j].tolist())
                if uses(motion[0], k):
                    dx, dy = part(motion, k)
                    down, across = (scaled(v, ahead, 32 * span) for v in (dy, dx))
                    reach(i + down, j + across, motion, k, span)
        for _, _, motions, k, span, _ in paths:
            for i, j in self.grid:
                motion = tuple(motions[i, j].tolist())
                if uses(motion[0], k):
                    reach(i, j, motion, k, span)
        still = (2 if self.two else 0, 0, 0, 0, 0)
        both = [found.get(block, still) for block in self.grid]
        return np.array(both, np.int64).reshape(self.rows, self.columns, 5)

    def parse(self, ans: Ans, seen: set[str]) -> np.ndarray:
        motion = np.zeros((self.rows, self.columns, 5), np.int64)
        known = np.zeros((self.rows, self.columns), np.int64)
        steps = [(16, "base"), *((d, kind) for d in (8, 4, 2, 1) for kind in ("centre", "edge"))]
        for number, (d, kind) in enumerate(steps):
            blocks = [block for block in self.grid if _in_step(*block, d, kind)]
            away = [(r * d, c * d) for r, c in (CENTRE_AWAY if kind == "centre" else EDGE_AWAY)]
            candidates: dict[tuple[int, int], list[Motion | None]] = {}
            predictions = np.zeros((self.rows, self.columns, 4), np.int64)
            used = np.zeros((self.rows, self.columns, 6), np.int64)
            for i, j in blocks:
                near: list[Motion | None] = []
                for r, c in away:
                    usable = self.is_inside(i + r, j + c) and known[i + r, j + c]
                    near.append(tuple(motion[i + r, j + c].tolist()) if usable else None)
                candidates[i, j] = list(self.candidates(i, j, near))
                predictions[i, j] = self.predictions(i, j, [n for n in near if n is not None])
                used[i, j] = [16 * (candidate is not None) for candidate in candidates[i, j]]
            inputs = self.inputs(min(d, 8), motion, known, predictions, used)
            indices = self.indices(number, inputs)
            waiting = list(blocks)
            for k in range(6):
                left = []
                for block in waiting:
                    candidate = candidates[block][k]
                    if candidate is not None and self.decide(ans, indices[(*block, k)]):
                        seen.add(f"candidate {k}")
                        motion[block] = candidate
                    else:
                        left.append(block)
                waiting = left
            if self.two:
                single = []
                for block in waiting:
                    if self.decide(ans, indices[(*block, 6)]):
                        motion[(*block, 0)] = 2
                    else:
                        single.append(block)
                for block in single:
                    motion[(*block, 0)] = self.decide(ans, indices[(*block, 7)])
            for k in (0, 1):
                chosen = [block for block in waiting if uses(motion[(*block, 0)], k)]
                for axis in (0, 1):
                    own = [int(indices[(*block, 8 + 2 * k + axis)]) for block in chosen]
                    values = read_list(ans, self.model, own, seen)
                    for block, value in zip(chosen, values, strict=True):
                        seen.add(f"new vector, {motion[(*block, 0)]}")
                        predicted = predictions[(*block, 2 * k + axis)]
                        if k == 1 and motion[(*block, 0)] == 2:
                            first = tuple(motion[block][1:3].tolist())
                            predicted = mirrored(first, self.away[1], self.away[0])[axis]
                        motion[(*block, 1 + 2 * k + axis)] = predicted + value
            assert np.abs(motion[..., 1:]).max() <= 1023
            for block in blocks:
                known[block] = 1
        return motion

    def decide(self, ans: Ans, chance: int) -> bool:
        return ans.decision(self.model.decisions[chance])

    def candidates(self, i: int, j: int, near: list[Motion | None]) -> Iterator[Motion | None]:
        which, *vectors = self.temporal[i, j].tolist()
        temporal = [v if uses(which, number // 2) else 0 for number, v in enumerate(vectors)]
        before: set[Motion] = set()
        for candidate in [(2 if self.two else 0, 0, 0, 0, 0), (which, *temporal), *near]:
            yield None if candidate in before else candidate
            if candidate is not None:
                before.add(candidate)

    def predictions(self, i: int, j: int, near: list[Motion]) -> Motion:
        means = []
        for k in (0, 1):
            there = [part(n, k) for n in near if uses(n[0], k)]
            mean = np.rint(np.mean(there, 0)).astype(int).tolist() if there else None
            means.append(None if mean is None else tuple(mean))
        found: list[int] = []
        for k in (0, 1):
            own, other = means[k], means[1 - k]
            if k == 1 and not self.two:
                found += [0, 0]
            elif own is not None:
                found += own
            elif other is not None and self.two:
                found += mirrored(other, self.away[k], self.away[1 - k])
            else:
                found += part(tuple(self.temporal[i, j].tolist()), k)
        return tuple(found)

    def inputs(
        self, e: int, motion: np.ndarray, known: np.ndarray, p: np.ndarray, used: np.ndarray
    ) -> np.ndarray:
        around = [(r, c) for r in (-e, 0, e) for c in (-e, 0, e)]
        close = [(r, c) for r in (-1, 0, 1) for c in (-1, 0, 1)]
        inputs = []
        for k in (0, 1):
            of_one = slice(1 + 2 * k, 3 + 2 * k)
            vectors, old = motion[..., of_one], self.temporal[..., of_one]
            base = p[..., 2 * k : 2 * k + 2]
            mask = (known * ((motion[..., 0] == k) | (motion[..., 0] == 2)))[..., None]
            own = []
            for r, c in around:
                there = moved(mask, r, c)
                own += [self.signed((moved(vectors, r, c) - base) * there), 16 * there]
            own += [self.signed(moved(old, r, c) - base) for r, c in close]
            own.append(self.signed(base))
            change = (vectors - old) * mask
            own += [self.signed(moved(change, r, c)) for r, c in around]
            inputs += own if k == 0 or self.two else [np.zeros_like(maps) for maps in own]
        which = self.temporal[..., :1]
        constants = [
            16 * self.two,
            int(self.signed(np.array(self.away[0]))),
            int(self.signed(np.array(self.away[1]))) * self.two,
            16 * self.level,
            self.q - 32,
        ]
        inputs += [used, 16 * (which != 1), 16 * (which != 0)]
        inputs.append(np.broadcast_to(constants, (self.rows, self.columns, 5)))
        return np.concatenate(inputs, -1)

    def indices(self, step: int, x: np.ndarray) -> np.ndarray:
        hidden = activation(self.model.matrix(f"motion_prior.read.{step}", x))
        hidden = activation(self.model.matrix(f"motion_prior.mix.{step}", hidden))
        seen = np.concatenate([hidden, x], -1)
        return index(self.model.matrix(f"motion_prior.write.{step}", seen))

    def signed(self, n: np.ndarray) -> np.ndarray:
        signed: np.ndarray = np.sign(n) * self.model.magnitude(n)
        return signed


def _in_step(i: int, j: int, d: int, kind: str) -> bool:
    if kind == "base":
        return i % d == 0 and j % d == 0
    if kind == "centre":
        return i % (2 * d) == d and j % (2 * d) == d
    return i % d == 0 and j % d == 0 and (i // d + j // d) % 2 == 1
