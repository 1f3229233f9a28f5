"""Skipped positions, parsed as that section of docs/format.md says."""

import numpy as np
from format_parts import Ans, ModelFile, activation, index, moved

AROUND = ((-1, 0), (1, 0), (0, -1), (0, 1))


class SkipParser:
    """Of one frame; own (h, w, 18): the inputs of a position that are known beforehand; skipped
    (h, w, 2): where the first reference was skipped, and the second."""

    def __init__(self, model: ModelFile, own: np.ndarray, skipped: np.ndarray) -> None:
        self.model, self.own = model, own
        self.h, self.w = own.shape[:2]
        rows, columns = -(-self.h // 4), -(-self.w // 4)
        self.area_inputs = np.zeros((rows, columns, 20), np.int64)
        for i in range(rows):
            for j in range(columns):
                area = slice(4 * i, 4 * i + 4), slice(4 * j, 4 * j + 4)
                self.area_inputs[i, j, :18] = own[area].max((0, 1))
                self.area_inputs[i, j, 18:] = 7 * skipped[area].sum((0, 1))

    def parse(self, ans: Ans, seen: set[str]) -> np.ndarray:
        if not ans.decision(1 << 23):
            seen.add("nothing skipped")
            return np.zeros((self.h, self.w), bool)
        nowhere = np.zeros(self.area_inputs.shape[:2], bool)
        whole = self.two_steps(ans, "area", self.area_inputs, nowhere)
        inside = whole.repeat(4, 0).repeat(4, 1)[: self.h, : self.w]
        skipped = self.two_steps(ans, "position", self.own, inside)
        assert skipped.any()
        seen |= {
            name
            for name, there in (("whole", inside), ("single", skipped & ~inside))
            if there.any()
        }
        return skipped

    def two_steps(self, ans: Ans, network: str, own: np.ndarray, yes: np.ndarray) -> np.ndarray:
        """yes: those that need not be asked; gives them and those of the others that are."""
        answers, known = yes.copy(), yes.copy()
        rows, columns = np.indices(yes.shape)
        for parity in (0, 1):
            asked = ((rows + columns) % 2 == parity) & ~yes
            states = known & answers, known & ~answers
            around = [16 * moved(state, r, c) for r, c in AROUND for state in states]
            inputs = np.concatenate([own, np.stack(around, -1)], -1)
            chances = self.chances(network, inputs)[asked].tolist()
            answers[asked] = [ans.decision(self.model.decisions[chance]) for chance in chances]
            known = known | asked
        return answers

    def chances(self, network: str, inputs: np.ndarray) -> np.ndarray:
        hidden = activation(self.model.matrix(f"skip_prior.{network}.read", inputs))
        both = np.concatenate([hidden, inputs], -1)
        return index(self.model.matrix(f"skip_prior.{network}.write", both))[..., 0]
