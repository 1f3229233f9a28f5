"""Symbols and decisions with known table indices <-> bytes, by asymmetric numeral systems.

Symbols are grouped by the index of their table, so that each group is coded with one fixed model:
six times faster than a model per symbol, with the same size. Index 0 is the table of symbols that
are certain to be zero: only exceptions to it are written.

Guarantee: decoding any bytes raises nothing but `Malformed`, and takes time and memory in
proportion to the number of symbols asked for.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import constriction
import numpy as np

AnsCoder = constriction.stream.stack.AnsCoder
Bernoulli = constriction.stream.model.Bernoulli
Categorical = constriction.stream.model.Categorical
Uniform = constriction.stream.model.Uniform

LARGEST = 32767  # of |symbol|
WORD = 4  # bytes
EXCEPTION_INDEX = 0
EXCEPTION_CHANCE = 1 / 64  # that a call has any exception at all
EXCEPTION_VALUES = 24  # index of the table that exceptions are coded with
DIGITS = 64  # base of the digits that numbers are written in
MORE_DIGITS = 0.5  # chance that a number has another one
_SIGNED_16 = Uniform(1 << 16)
_DIGIT = Uniform(DIGITS)


class Malformed(Exception):
    """These bytes are not what an encoder wrote for these symbols."""


@dataclass(frozen=True)
class Coder:
    """The models of one set of tables, built once.

    symbol_tables: per index, the probabilities of -K..K and, last, of 'outside', as integers that
    add up to 2**precision. decision_table: per index, the probability of 'yes', likewise.
    """

    models: tuple[Any, ...]
    supports: tuple[int, ...]
    chances: np.ndarray

    @classmethod
    def build(
        cls, symbol_tables: Sequence[np.ndarray], decision_table: np.ndarray, precision: int
    ) -> "Coder":
        unit = 2.0**-precision
        return cls(
            # perfect=False: nothing is printed to stdout, and the integers are scaled in a way
            # that has no rounding but the one in docs/format.md
            tuple(Categorical(t.astype(np.float64) * unit, perfect=False) for t in symbol_tables),
            tuple(len(t) // 2 - 1 for t in symbol_tables),
            decision_table.astype(np.float64) * unit,
        )


_DECISION = Bernoulli(perfect=False)


class SymbolEncoder:
    """Collects what one frame consists of; the coder is a stack, so all is pushed at the end."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        self._steps: list[tuple[np.ndarray, Any, np.ndarray | None]] = []

    def decisions(self, yes: np.ndarray, indices: np.ndarray) -> None:
        """yes: booleans (n,); indices (n,) integers 0..63."""
        if len(yes):
            self._push(yes, _DECISION, self._coder.chances[indices])

    def decision(self, yes: bool, chance: float) -> None:
        """chance: of yes, that needs no model to be known."""
        self._push(np.array([yes]), _DECISION, np.array([chance]))

    def symbols(self, values: np.ndarray, indices: np.ndarray) -> None:
        """values (n,) integers, |value| <= 32767; indices (n,) uint8 0..63."""
        escaped = []
        values = values.astype(np.int32)
        for index, places in _groups(indices):
            if index == EXCEPTION_INDEX:
                escaped.append(self._exceptions(values[places]))
            else:
                escaped.append(self._with_table(values[places], index))
        if escaped:
            self._push(np.concatenate(escaped) + LARGEST, _SIGNED_16)

    def to_bytes(self) -> bytes:
        ans = AnsCoder()
        for symbols, model, parameters in reversed(self._steps):
            if parameters is None:
                ans.encode_reverse(symbols, model)
            else:
                ans.encode_reverse(symbols, model, parameters)
        words: np.ndarray = ans.get_compressed()
        return words.astype("<u4").tobytes().rstrip(b"\0")

    def _with_table(self, group: np.ndarray, index: int) -> np.ndarray:
        """Returns the values outside of the table, which are still to be written."""
        support = self._coder.supports[index]
        inside = np.abs(group) <= support
        self._push(np.where(inside, group + support, 2 * support + 1), self._coder.models[index])
        return group[~inside]

    def _exceptions(self, group: np.ndarray) -> np.ndarray:
        places = np.flatnonzero(group)
        self.decision(len(places) > 0, EXCEPTION_CHANCE)
        if not len(places):
            return group[:0]
        self._count(len(places), len(group))
        self._push(_digits(places, len(group)), _DIGIT)
        return self._with_table(group[places], EXCEPTION_VALUES)

    def _count(self, number: int, largest: int) -> None:
        """A number that is nearly always small: in as few digits as it needs."""
        needed, most = len(_digit_weights(number)), len(_digit_weights(largest))
        for digits in range(1, most):
            self.decision(digits < needed, MORE_DIGITS)
            if digits == needed:
                break
        self._push(_digits(np.array([number]), number), _DIGIT)

    def _push(self, symbols: np.ndarray, model: Any, parameters: np.ndarray | None = None) -> None:
        if len(symbols):
            self._steps.append((symbols.astype(np.int32), model, parameters))


class SymbolDecoder:
    """Reads back, in the same order, what a SymbolEncoder was given."""

    def __init__(self, coder: Coder, data: bytes) -> None:
        self._coder = coder
        words = np.frombuffer(data + bytes(-len(data) % WORD), "<u4").astype(np.uint32)
        try:
            self._ans = AnsCoder(words)
        except ValueError as error:
            raise Malformed("a frame that ends in a zero") from error

    def decisions(self, indices: np.ndarray) -> np.ndarray:
        if not len(indices):
            return np.zeros(0, dtype=bool)
        decoded: np.ndarray = self._ans.decode(_DECISION, self._coder.chances[indices])
        return decoded.astype(bool)

    def decision(self, chance: float) -> bool:
        return bool(self._ans.decode(_DECISION, np.array([chance]))[0])

    def symbols(self, indices: np.ndarray) -> np.ndarray:
        """int16 (n,). Raises Malformed."""
        values = np.zeros(len(indices), dtype=np.int16)
        escaped = []
        for index, places in _groups(indices):
            if index == EXCEPTION_INDEX:
                escaped.append(self._exceptions(values, places))
            else:
                escaped.append(self._with_table(values, places, index))
        if escaped:
            outside = np.concatenate(escaped)
            values[outside] = self._signed(len(outside))
        return values

    def finish(self) -> None:
        """Raises Malformed unless every bit has been used."""
        if not self._ans.is_empty():
            raise Malformed("bits left over after the last symbol of a frame")

    def _with_table(self, values: np.ndarray, places: np.ndarray, index: int) -> np.ndarray:
        """Returns the places whose values are outside of the table, still to be read."""
        support = self._coder.supports[index]
        decoded: np.ndarray = self._ans.decode(self._coder.models[index], len(places))
        values[places] = decoded - support
        return places[decoded == 2 * support + 1]

    def _exceptions(self, values: np.ndarray, places: np.ndarray) -> np.ndarray:
        if not self.decision(EXCEPTION_CHANCE):
            return places[:0]
        count = self._count(len(places))
        if not 0 < count <= len(places):
            raise Malformed(f"{count} exceptions among {len(places)} symbols")
        chosen = self._numbers(count, len(places))
        if int(chosen.max()) >= len(places):
            raise Malformed("an exception outside of the frame")
        return self._with_table(values, places[chosen], EXCEPTION_VALUES)

    def _count(self, largest: int) -> int:
        digits = 1
        while digits < len(_digit_weights(largest)):
            if not self.decision(MORE_DIGITS):
                break
            digits += 1
        return int(self._numbers(1, DIGITS**digits - 1)[0])

    def _numbers(self, count: int, largest: int) -> np.ndarray:
        weights = _digit_weights(largest)
        digits: np.ndarray = self._ans.decode(_DIGIT, len(weights) * count)
        numbers: np.ndarray = digits.astype(np.int64).reshape(count, len(weights)) @ weights
        return numbers

    def _signed(self, count: int) -> np.ndarray:
        if not count:
            return np.zeros(0, dtype=np.int16)
        decoded: np.ndarray = self._ans.decode(_SIGNED_16, count)
        return np.minimum(decoded - LARGEST, LARGEST).astype(np.int16)


def _groups(indices: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(index, places in ascending order) for every index that occurs, ascending."""
    order = np.argsort(indices, kind="stable")
    ends = np.cumsum(np.bincount(indices, minlength=1))
    start = 0
    for index, end in enumerate(ends.tolist()):
        if end > start:
            yield index, order[start:end]
        start = end


def _digit_weights(largest: int) -> np.ndarray:
    """Of the fewest digits that can say numbers up to `largest`, the highest first."""
    weights = [1]
    while weights[0] * DIGITS <= largest:
        weights.insert(0, weights[0] * DIGITS)
    return np.array(weights)


def _digits(numbers: np.ndarray, largest: int) -> np.ndarray:
    digits: np.ndarray = numbers[:, None] // _digit_weights(largest) % DIGITS
    return digits.ravel()
