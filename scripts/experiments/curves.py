"""The curves of docs/models, from the results of experiments as JSON.

    python scripts/experiments/curves.py results/experiments/*.json --out docs/models/experiments

Of each experiment: {"title", "x", "y", "notes", "curves": {name: [[x, y], ...]}}.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt


@dataclass(frozen=True)
class Experiment:
    title: str
    x: str
    y: str
    notes: str
    curves: Mapping[str, Sequence[tuple[float, float]]]


def draw(path: Path, folder: Path) -> None:
    found = Experiment(**json.loads(path.read_text()))
    figure, axes = plt.subplots(figsize=(7, 4.2))
    for number, (name, points) in enumerate(found.curves.items()):
        marker = "osv^D"[number // 10]  # colours repeat after ten
        axes.plot(*zip(*points, strict=True), marker=marker, markersize=3, label=name)
    axes.set(title=found.title, xlabel=found.x, ylabel=found.y)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7)
    figure.tight_layout()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{path.stem}.png", dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    for path in arguments.results:
        draw(path, arguments.out)


if __name__ == "__main__":
    main()
