"""The committed results of `make bench`: what the README claims, and others compute the same."""

import json
from pathlib import Path

import bjontegaard
import pytest

ROOT = Path(__file__).parent.parent
RESULTS = json.loads((ROOT / "results" / "bench.json").read_text())
CURVES: dict[tuple[str, str], list[tuple[float, float]]] = {}
for point in RESULTS["points"]:
    CURVES.setdefault((point["clip"], point["codec"]), []).append((point["bpp"], point["psnr_yuv"]))


def by_bjontegaard(clip: str, codec: str) -> float:
    anchor, other = (
        list(zip(*sorted(CURVES[clip, name]), strict=True))
        for name in (RESULTS["setup"]["anchor"], codec)
    )
    return float(
        bjontegaard.bd_rate(
            *anchor, *other, method="pchip", require_matching_points=False, min_overlap=0
        )
    )


@pytest.mark.parametrize("codec", ["ncodec", "x264:medium", "svtav1:6", "vp9:2"])
def test_bd_rates_are_those_of_an_independent_program(codec: str):
    deltas = [d for d in RESULTS["deltas"] if d["codec"] == codec and d["bd_rate"] is not None]
    assert deltas
    for delta in deltas:
        assert delta["bd_rate"] == pytest.approx(by_bjontegaard(delta["clip"], codec), abs=1)


def test_the_readme_shows_the_tables_of_the_results():
    readme = (ROOT / "README.md").read_text()
    tables = (ROOT / "results" / "bench.md").read_text().split("\n\n- `")[0]
    assert tables in readme


def test_results_say_when_where_and_how_they_were_made():
    setup = RESULTS["setup"]
    assert setup["command"].startswith("ncodec bench ")
    assert all(setup[key] for key in ("date", "machine", "versions", "anchor"))
