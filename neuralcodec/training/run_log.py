"""The log of a run: a JSON object a line in its folder, and whoever looks on."""

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from neuralcodec.atomic_file import output_errors

if TYPE_CHECKING:
    from neuralcodec.training.validation import Figures


class Observer:
    """Is told what happens in a run; does nothing by itself."""

    def stepped(self, step: int, steps: int, loss: float) -> None:
        """After each step."""

    def logged(self, entry: dict[str, Any]) -> None:
        """A line of the log."""

    def noticed(self, text: str) -> None:
        """A sentence for the user."""

    def validated(self, step: int, held_out: "Figures", training: "Figures | None") -> None:
        """After each validation."""


class RunLog:
    """log.jsonl; without a folder (all ranks but the first) nothing is written or told."""

    def __init__(self, folder: Path | None, observers: Sequence[Observer]) -> None:
        self.path = folder / "log.jsonl" if folder else None
        self.observers = observers if folder else ()

    def forget_after(self, step: int) -> None:
        """Drops what was logged after the checkpoint that the run goes on from."""
        if self.path and self.path.exists():
            kept = [entry for entry in read_log(self.path.parent) if entry["step"] <= step]
            with output_errors(self.path):
                self.path.write_text("".join(json.dumps(entry) + "\n" for entry in kept))

    def notice(self, text: str) -> None:
        for observer in self.observers:
            observer.noticed(text)

    def write(self, entry: dict[str, Any]) -> None:
        if self.path is None:
            return
        with output_errors(self.path), self.path.open("a") as file:
            file.write(json.dumps(entry) + "\n")
        for observer in self.observers:
            observer.logged(entry)


def read_log(folder: Path) -> list[dict[str, Any]]:
    """A line that a killed process left unfinished is passed over."""
    entries = []
    for line in (folder / "log.jsonl").read_text().splitlines():
        with suppress(ValueError):
            entries.append(json.loads(line))
    return entries


def mean_figures(rows: Sequence[Sequence[float]]) -> dict[str, float]:
    """rows: loss, then what `TrainingStep` gives, of each step since the last line."""
    figures = torch.tensor(rows, dtype=torch.float64).mean(0).tolist()
    loss, intra, intra_error, inter, inter_error = figures
    return {
        "loss": round(loss, 4),
        "intra_bpp": round(intra, 4),
        "intra_db": round(_decibels(intra_error), 3),
        "inter_bpp": round(inter, 4),
        "inter_db": round(_decibels(inter_error), 3),
    }


def _decibels(error: float) -> float:
    return float(-10 * torch.log10(torch.tensor(max(error, 1e-10))))
