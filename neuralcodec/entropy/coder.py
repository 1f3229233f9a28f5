"""Symbols and decisions with known table indices <-> bytes, by asymmetric numeral systems.

Symbols are grouped by the index of their table, so that each group is coded with one fixed model:
six times faster than a model per symbol, with the same size. Index 0 is the table of symbols that
are certain to be zero: only exceptions to it are written.

Guarantee: decoding any bytes raises nothing but `Malformed`, and takes time and memory in
proportion to the number of symbols asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import constriction
import numpy as np

from neuralcodec.entropy.grouping import ZERO_INDEX, Groups

AnsCoder = constriction.stream.stack.AnsCoder
Bernoulli = constriction.stream.model.Bernoulli
Categorical = constriction.stream.model.Categorical
Uniform = constriction.stream.model.Uniform

LARGEST = 32767  # of |symbol|
WORD = 4  # bytes
EXCEPTION_INDEX = ZERO_INDEX
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
    supports: np.ndarray  # int32; 0 where exceptions alone are written
    chances: np.ndarray

    @classmethod
    def build(
        cls, symbol_tables: Sequence[np.ndarray], decision_table: np.ndarray, precision: int
    ) -> "Coder":
        unit = 2.0**-precision
        supports = np.array([len(t) // 2 - 1 for t in symbol_tables], np.int32)
        supports[EXCEPTION_INDEX] = 0
        return cls(
            # perfect=False: nothing is printed to stdout, and the integers are scaled in a way
            # that has no rounding but the one in docs/format.md
            tuple(Categorical(t.astype(np.float64) * unit, perfect=False) for t in symbol_tables),
            supports,
            decision_table.astype(np.float64) * unit,
        )


_DECISION = Bernoulli(perfect=False)


@dataclass(frozen=True)
class _Exceptions:
    """Among those expected to be zero."""

    places: np.ndarray
    symbols: np.ndarray  # in their table, int32


_NO_EXCEPTIONS = _Exceptions(np.zeros(0, np.int64), np.zeros(0, np.int32))


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

    def symbols(
        self, values: np.ndarray, indices: np.ndarray, chosen: np.ndarray | None = None
    ) -> None:
        """values: integers, |value| <= 32767; indices 0..63; chosen: booleans, for those that are
        meant, None for all. Arrays of one shape."""
        groups = Groups(indices, chosen)
        symbols, outside = groups.gather(values, self._coder.supports)
        beyond = values.reshape(groups.indices.shape)[groups.at(outside)].astype(np.int32)
        exceptions = np.count_nonzero(groups.indices[groups.at(outside)] == EXCEPTION_INDEX)
        if groups.zeros:
            kept = self._exceptions(groups, beyond[:exceptions], outside[:exceptions])
            beyond = np.concatenate([kept, beyond[exceptions:]])
        for index, start, end in groups:
            self._steps.append((symbols[start:end], self._coder.models[index], None))
        self._push(beyond + LARGEST, _SIGNED_16)

    def to_bytes(self) -> bytes:
        ans = AnsCoder()
        for symbols, model, parameters in reversed(self._steps):
            if parameters is None:
                ans.encode_reverse(symbols, model)
            else:
                ans.encode_reverse(symbols, model, parameters)
        words: np.ndarray = ans.get_compressed()
        return words.astype("<u4").tobytes().rstrip(b"\0")

    def _exceptions(self, groups: Groups, values: np.ndarray, places: np.ndarray) -> np.ndarray:
        """At these places, ascending. Returns the values still to be written."""
        self.decision(len(places) > 0, EXCEPTION_CHANCE)
        if not len(places):
            return values
        group = groups.places_of(EXCEPTION_INDEX)
        self._count(len(places), len(group))
        self._push(_digits(np.searchsorted(group, places), len(group)), _DIGIT)
        support = self._coder.supports[EXCEPTION_VALUES]
        inside = np.abs(values) <= support
        symbols = np.where(inside, values + support, 2 * support + 1)
        self._push(symbols, self._coder.models[EXCEPTION_VALUES])
        return values[~inside]

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
            self._steps.append((symbols.astype(np.int32, copy=False), model, parameters))


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

    def symbols(
        self,
        indices: np.ndarray,
        chosen: np.ndarray | None = None,
        values: np.ndarray | None = None,
    ) -> np.ndarray:
        """int16, of the shape of the indices. Raises Malformed.

        chosen: booleans of that shape, for those that are coded, None for all; values: an array, or
        channels of a map, that they are written into, else one that is 0 elsewhere."""
        if values is None:
            values = np.zeros(indices.shape, dtype=np.int16)
        groups = Groups(indices, chosen)
        exceptions = self._exceptions(groups) if groups.zeros else _NO_EXCEPTIONS
        read = [
            self._ans.decode(self._coder.models[index], end - start) for index, start, end in groups
        ]
        outside = groups.spread(read, self._coder.supports, values)
        if len(exceptions.places) or len(outside):
            found = values.reshape(groups.indices.shape)  # a view
            support = self._coder.supports[EXCEPTION_VALUES]
            found[groups.at(exceptions.places)] = exceptions.symbols - support
            beyond = exceptions.places[exceptions.symbols > 2 * support]
            outside = np.concatenate([beyond, outside])
            found[groups.at(outside)] = self._signed(len(outside))
        return values

    def finish(self) -> None:
        """Raises Malformed unless every bit has been used."""
        if not self._ans.is_empty():
            raise Malformed("bits left over after the last symbol of a frame")

    def _exceptions(self, groups: Groups) -> "_Exceptions":
        size = groups.zeros
        if not self.decision(EXCEPTION_CHANCE):
            return _NO_EXCEPTIONS
        count = self._count(size)
        if not 0 < count <= size:
            raise Malformed(f"{count} exceptions among {size} symbols")
        chosen = self._numbers(count, size)
        if int(chosen.max()) >= size:
            raise Malformed("an exception outside of the frame")
        symbols: np.ndarray = self._ans.decode(self._coder.models[EXCEPTION_VALUES], count)
        return _Exceptions(groups.places_of(EXCEPTION_INDEX)[chosen], symbols)

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


def _digit_weights(largest: int) -> np.ndarray:
    """Of the fewest digits that can say numbers up to `largest`, the highest first."""
    weights = [1]
    while weights[0] * DIGITS <= largest:
        weights.insert(0, weights[0] * DIGITS)
    return np.array(weights)


def _digits(numbers: np.ndarray, largest: int) -> np.ndarray:
    digits: np.ndarray = numbers[:, None] // _digit_weights(largest) % DIGITS
    return digits.ravel()
