"""The report in a real Chromium: what is seen, hovered, dragged, typed and kept in its address."""

import io
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import av
import numpy as np
import pytest
from bench_report_sample import (
    ANCHOR,
    CITY,
    FRAMES,
    HEIGHT,
    HOSTILE,
    LABELS,
    REASON,
    WIDTH,
    sample_results,
)
from chromium import Page, headless_chromium
from click.testing import CliRunner
from codec_clips import CITY as CITY_FILE

from neuralcodec.bench import clip_run
from neuralcodec.bench.job import JobReport, JobRequest
from neuralcodec.bench.processes import run_job
from neuralcodec.bench.report_html import write_html
from neuralcodec.bench.results import BenchResults, Skipped
from neuralcodec.cli import main
from neuralcodec.media import VideoReader
from neuralcodec.video import Frame

NCODEC = '.curve[data-codec="ncodec"]'


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with headless_chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


@pytest.fixture
def page(chromium: Page) -> Iterator[Page]:
    """The browser; whatever a test does there, no script may fail and nothing be fetched."""
    chromium.prefer("light")
    yield chromium
    assert chromium.complaints == []
    schemes = {address.partition(":")[0] for address in chromium.requests}
    assert schemes <= {"file", "data", "about"}
    assert sum(address.startswith("file:") for address in chromium.requests) == 1


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> BenchResults:
    return sample_results(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def report(results: BenchResults, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(results, path)
    return path


def marker(codec: str, place: int) -> str:
    """The place, from 1, on a codec's curve; the first child is the line."""
    return f'.curve[data-codec="{codec}"] .marker:nth-child({place + 1})'


def number(page: Page, expression: str) -> float:
    return float(page.evaluate(expression))


def address_of(page: Page, *parts: str) -> None:
    page.wait_for(" && ".join(f"location.hash.includes({part!r})" for part in parts))


def pixels(png: bytes) -> np.ndarray:
    with av.open(io.BytesIO(png)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24").astype(int)


def test_hovering_a_point_tells_codec_parameters_rate_quality_and_speed(
    page: Page, report: Path
) -> None:
    page.open(report)
    assert page.evaluate("document.querySelector('.tooltip').hidden")
    x, y = page.centre_of(marker("x264:medium", 2))
    page.mouse("mouseMoved", x + 4, y - 4)
    told = page.text(".tooltip")
    for expected in ("x264 medium", "quality=34", "0.125 bpp", "36.0 kbit/s", "32.00 dB", "0.8500",
                     "50.0 fps", "500 fps"):  # fmt: skip
        assert expected in told
    page.mouse("mouseMoved", 5, 5)
    assert page.evaluate("document.querySelector('.tooltip').hidden")


def test_arrow_keys_walk_the_curves_and_enter_shows_the_point(page: Page, report: Path) -> None:
    page.open(report)
    page.evaluate("document.querySelector('.chart svg').focus()")
    page.press("ArrowRight")
    assert "ncodec" in page.text(".tooltip") and "0.0725 bpp" in page.text(".tooltip")
    page.press("ArrowRight")
    assert "0.145 bpp" in page.text(".tooltip")
    page.press("ArrowDown")
    assert "x264 medium" in page.text(".tooltip")
    page.press("Enter")
    address_of(page, "a=x264%3Amedium", "point=")
    assert "x264 medium" in page.text(".facts .a")


def test_the_legend_takes_curves_away_and_brings_them_back(page: Page, report: Path) -> None:
    page.open(report)
    assert page.count(".curve") == len(LABELS)
    page.click('.legend [data-codec="ncodec"]')
    assert page.count(NCODEC) == 0 and page.count(".curve") == len(LABELS) - 1
    address_of(page, "hide=ncodec")
    page.press("Enter")  # the keyboard's focus has stayed
    assert page.count(NCODEC) == 1


def test_metric_rate_and_clip_can_be_chosen(page: Page, report: Path) -> None:
    page.open(report)
    metrics = page.text("#curves-toolbar fieldset")
    assert "SSIM" in metrics and "MS-SSIM" not in metrics and "VMAF" not in metrics
    page.click("#curves-toolbar fieldset label:nth-of-type(3) input")
    assert "SSIM" in page.text(".axes")
    page.click("#curves-toolbar fieldset:nth-of-type(2) label:nth-of-type(2) input")
    assert "kbit/s, logarithmic" in page.text(".axes")
    page.evaluate(
        "(() => { const s = document.querySelector('#curves-toolbar select'); s.selectedIndex = 1;"
        "s.dispatchEvent(new Event('change')); })()"
    )
    address_of(page, "metric=ssim", "rate=kbps", "clip=%3Cscript%3E")


def test_an_address_restores_the_view(page: Page, report: Path) -> None:
    page.open(
        report,
        f"clip={quote(HOSTILE)}&metric=psnr_y&a={ANCHOR}&b=source&point=2&frame=1"
        "&split=0.25&zoom=4&x=0.3&y=0.6&theme=dark&hide=ncodec",
    )
    assert page.evaluate("document.querySelector('#curves-toolbar select').value") == HOSTILE
    assert "PSNR-Y, dB" in page.text(".axes") and page.count(NCODEC) == 0
    assert "0.100 bpp" in page.text(".facts .a") and "Source" in page.text(".facts .b")
    assert page.evaluate("document.querySelector('.divider').getAttribute('aria-valuenow')") == "25"
    assert page.text(".zoom output") == "4×"
    assert page.evaluate("document.querySelector('.layer.a img').alt") == "Frame 2, x265 medium"
    assert page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


@pytest.mark.parametrize(
    "view",
    ["clip=none&metric=x&a=<b>&b=&point=-4&frame=99&split=NaN&zoom=1e9&x=-1", "%%%&=&&point=x"],
)
def test_an_address_that_fits_nothing_shows_the_report(page: Page, report: Path, view: str) -> None:
    page.open(report, view)
    assert page.count(".curve") == len(LABELS) and page.count(".layer img") == 2


def test_the_other_codec_follows_to_the_nearest_rate(page: Page, report: Path) -> None:
    """0.145 is nearer to 0.2 than to 0.1 by ratio, though not by difference."""
    page.open(report, f"a=ncodec&b={ANCHOR}&point=2")
    assert "0.145 bpp" in page.text(".facts .a") and "32.00 dB" in page.text(".facts .a")
    assert "0.200 bpp" in page.text(".facts .b") and "36.00 dB" in page.text(".facts .b")
    assert "+37.9 % bits against ncodec: no point is closer" in page.text(".facts .b")
    page.evaluate("document.querySelector('.range input').focus()")
    page.press("ArrowRight")
    assert "0.290 bpp" in page.text(".facts .a") and "0.400 bpp" in page.text(".facts .b")
    page.click(".swap")
    assert "0.400 bpp" in page.text(".facts .a") and "0.290 bpp" in page.text(".facts .b")


def test_each_side_tells_the_psnr_of_its_frame_and_the_mean_of_the_clip(
    page: Page, report: Path
) -> None:
    page.open(report, f"a=ncodec&b={ANCHOR}&point=2")
    assert "32.75 dB" in page.text(".facts .a") and "36.75 dB" in page.text(".facts .b")
    assert "PSNR-YUV of frame 0" in page.text(".facts .a")
    assert "clip mean 32.00 dB" in page.text(".facts .a")
    assert "clip mean 36.00 dB" in page.text(".facts .b")
    page.click(f"#viewer fieldset label:nth-of-type({len(FRAMES)}) input")
    assert "30.75 dB" in page.text(".facts .a") and "34.75 dB" in page.text(".facts .b")
    assert f"PSNR-YUV of frame {FRAMES[-1]}" in page.text(".facts .b")
    page.open(report, f"a=source&b={ANCHOR}&point=1")
    assert "dB" not in page.text(".facts .a") and "28.75 dB" in page.text(".facts .b")


def test_the_psnr_of_a_frame_is_that_of_its_decoded_planes(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Measured anew, and in another way, on what the bench had decoded."""

    def watched(request: JobRequest) -> JobReport:
        report = run_job(request)
        if request.verb == "decode":
            shutil.copy(request.target, tmp_path / f"{request.quality}.y4m")
        return report

    monkeypatch.setattr(clip_run, "run_job", watched)
    arguments = (
        f"-n 6 --codecs x264:veryfast --anchor x264 --points 2 --repeats 1 -y --cache {tmp_path}"
    )
    target = tmp_path / "r.html"
    made = CliRunner().invoke(
        main, ["bench", str(CITY_FILE), *arguments.split(), "--metrics=psnr", f"--html={target}"]
    )
    assert made.exit_code == 0, made.output
    with VideoReader(CITY_FILE, limit=6) as reader:
        source = list(reader)
    told = {}
    for place, quality in enumerate((46, 16), 1):
        with VideoReader(tmp_path / f"{quality}.y4m") as reader:
            decoded = list(reader)
        for number in range(2):
            page.open(target, f"a=x264%3Averyfast&b=source&point={place}&frame={number}")
            text = page.text(".facts .a")
            assert f"crf={quality}" in text
            frame = int(text.partition("of frame ")[2].split()[0])
            own = psnr_yuv_of(source[frame], decoded[frame])
            mean = np.mean([psnr_yuv_of(*pair) for pair in zip(source, decoded, strict=True)])
            assert f"{own:.2f} dB" in page.text(".facts .a .psnr b")
            assert f"clip mean {mean:.2f} dB" in text
            told[quality, frame] = f"{own:.2f}"
            assert told[quality, frame] != f"{mean:.2f}"
    assert len(set(told.values())) == 4


def psnr_yuv_of(source: Frame, decoded: Frame) -> float:
    errors = [
        np.mean((a.astype(float) - b) ** 2)
        for a, b in zip(source.planes, decoded.planes, strict=True)
    ]
    return float(np.average(10 * np.log10(255**2 / np.array(errors)), weights=(6, 1, 1)))


def test_the_line_parts_the_pictures_where_it_is_dragged(page: Page, report: Path) -> None:
    """Left the source, right the coarsest picture: their pixels, unchanged, on either side."""
    page.open(report, "a=source&b=ncodec&point=1")
    x, y = page.centre_of(".divider")
    left, width = (
        number(page, f"document.querySelector('.stage').getBoundingClientRect().{side}")
        for side in ("left", "width")
    )
    page.drag((x, y), (left + 0.8 * width, y))
    assert page.evaluate("document.querySelector('.divider').getAttribute('aria-valuenow')") == "80"
    address_of(page, "split=0.8")
    top = number(page, "document.querySelector('.stage').getBoundingClientRect().top")
    shown = pixels(page.screenshot())
    scale = width / WIDTH

    def sample(column: int, row: int) -> np.ndarray:
        return shown[int(top + (row + 0.5) * scale), int(left + (column + 0.5) * scale)]

    rows, columns = range(30, HEIGHT, 7), range(5, WIDTH, 6)
    coarse = {c: all((sample(c, r) % 32 == 0).all() for r in rows) for c in columns}
    away_from_line = [c for c in columns if abs(c - 0.8 * WIDTH) > 5]
    assert [coarse[c] for c in away_from_line] == [c > 0.8 * WIDTH for c in away_from_line]


def test_keys_move_the_line(page: Page, report: Path) -> None:
    page.open(report)
    page.evaluate("document.querySelector('.divider').focus()")
    where = "document.querySelector('.divider').getAttribute('aria-valuenow')"
    page.press("ArrowLeft")
    assert page.evaluate(where) == "48"
    page.press("End")
    assert page.evaluate(where) == "100"
    page.press("Home")
    assert page.evaluate(where) == "0"


def test_wheel_and_buttons_zoom_and_dragging_moves_the_picture(page: Page, report: Path) -> None:
    page.open(report)
    page.click('[aria-label="Zoom in"]')
    page.click('[aria-label="Zoom in"]')
    assert page.text(".zoom output") == "4×"
    assert page.evaluate("document.querySelector('.layer img').style.imageRendering") == "pixelated"
    x, y = page.centre_of(".stage")
    before = number(page, "new DOMMatrix(document.querySelector('.layer img').style.transform).e")
    page.drag((x + 100, y + 20), (x + 60, y + 20))
    after = number(page, "new DOMMatrix(document.querySelector('.layer img').style.transform).e")
    assert after - before == pytest.approx(-40, abs=0.5)
    for _ in range(4):
        page.mouse("mouseWheel", x + 50, y, deltaX=0, deltaY=-100)
    assert page.text(".zoom output") == "8×"
    for _ in range(8):
        page.mouse("mouseWheel", x, y, deltaX=0, deltaY=100)
    assert page.text(".zoom output") == "1×"


def test_two_fingers_zoom_and_one_moves_the_line(page: Page, report: Path) -> None:
    page.open(report, width=390, height=844)
    x, y = page.centre_of(".stage")
    page.touch("touchStart", (x - 20, y), (x + 20, y))
    page.touch("touchMove", (x - 40, y), (x + 40, y))
    page.touch("touchEnd")
    assert page.text(".zoom output").startswith("2")
    page.open(report, width=390, height=844)
    x, y = page.centre_of(".divider")
    page.touch("touchStart", (x, y))
    page.touch("touchMove", (x - 30, y))
    page.touch("touchMove", (x - 60, y))
    page.touch("touchEnd")
    assert number(page, "document.querySelector('.divider').getAttribute('aria-valuenow')") < 40


def test_neither_two_fingers_nor_scrolling_past_moves_the_line(page: Page, report: Path) -> None:
    where = "document.querySelector('.divider').getAttribute('aria-valuenow')"
    page.open(report, width=390, height=600)
    x, y = page.centre_of(".stage")
    page.touch("touchStart", (x - 90, y))
    page.touch("touchStart", (x - 90, y), (x - 20, y))
    page.touch("touchMove", (x - 120, y), (x - 20, y))
    page.touch("touchEnd", (x - 120, y))
    page.touch("touchMove", (x - 60, y))
    page.touch("touchEnd")
    assert page.evaluate(where) == "50" and page.text(".zoom output") != "1×"
    page.open(report, width=390, height=600)
    x, y = page.centre_of(".stage")
    before = number(page, "scrollY")
    page.touch("touchStart", (x - 90, y))
    for step in range(1, 9):
        page.touch("touchMove", (x - 90, y - 15 * step))
    page.touch("touchEnd")
    assert number(page, "scrollY") > before
    assert page.evaluate(where) == "50"


def test_the_name_of_a_codec_never_stands_on_the_other_picture(page: Page, report: Path) -> None:
    for split in (0.0, 0.08, 0.3, 0.5, 0.7, 0.92, 1.0):
        page.open(report, f"a=x265%3Amedium%3Alowdelay&b={ANCHOR}&split={split}", width=390)
        line = number(page, "document.querySelector('.divider').getBoundingClientRect().x + 22")
        for side, edge, sign in (("a", "right", 1), ("b", "left", -1)):
            badge = f"document.querySelector('.badge.{side}')"
            inside = sign * (line - number(page, f"{badge}.getBoundingClientRect().{edge}")) >= 0
            assert page.evaluate(f"{badge}.classList.contains('covered')") is not inside


def test_a_refused_figure_gives_its_reason(page: Page, report: Path) -> None:
    page.open(report)
    assert "+25.0 %" in page.text('.savings [data-codec="x264:medium"]')
    assert "none" in page.text('.savings [data-codec="ncodec"]')
    assert page.text("#reasons") == f"ncodec, {HOSTILE}: {REASON}"


def test_a_hostile_name_is_only_ever_text(page: Page, report: Path) -> None:
    page.open(report, f"clip={quote(HOSTILE)}")
    assert HOSTILE in page.text("#saved thead") and HOSTILE in page.text("#setup")
    assert page.count("script") == 3


def test_a_clip_or_codec_that_was_skipped_is_told(
    page: Page, results: BenchResults, tmp_path: Path
) -> None:
    bare = replace(
        results,
        points=tuple(p for p in results.points if p.clip == CITY and p.codec != "ncodec"),
        deltas=tuple(d for d in results.deltas if d.clip == CITY and d.codec != "ncodec"),
        skipped=(Skipped(HOSTILE, None, "one frame only"), Skipped(CITY, "ncodec", "no memory")),
    )
    write_html(bare, tmp_path / "r.html")
    page.open(tmp_path / "r.html")
    assert "one frame only" in page.text("#reasons") and "no memory" in page.text("#setup")
    assert "Source" in page.text(".facts .a")
    page.open(tmp_path / "r.html", f"clip={quote(HOSTILE)}")
    assert "Nothing measured" in page.text(".chart")


def test_a_report_without_anything_measured_opens(
    page: Page, results: BenchResults, tmp_path: Path
) -> None:
    write_html(replace(results, clips=(), points=(), deltas=()), tmp_path / "r.html")
    page.open(tmp_path / "r.html")
    assert "Nothing measured" in page.text(".chart")
    assert page.evaluate("document.querySelector('#viewer-section').hidden")


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_is_never_wider_than_the_window(page: Page, report: Path, width: int) -> None:
    page.open(report, width=width)
    assert number(page, "document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [390, 1280])
def test_the_codec_stays_in_sight_where_its_row_is_scrolled(
    page: Page, report: Path, width: int
) -> None:
    page.open(report, width=width)
    page.evaluate("document.querySelector('details').open = true")
    page.evaluate("document.querySelector('#points').style.width = '300px'")
    _, y = page.centre_of("#points tbody th")
    page.evaluate("document.querySelector('#points').scrollLeft = 250")
    left = number(page, "document.querySelector('#points').getBoundingClientRect().left")
    for column in (left + 2, left + 12, left + 60):
        there = f"document.elementFromPoint({column}, {y}).closest('th, td')?.tagName"
        assert page.evaluate(there) == "TH"


def test_texts_can_be_read_in_light_and_dark(page: Page, report: Path) -> None:
    """The ground's colour follows the system; text keeps a contrast of 4.5 (WCAG AA) in both."""
    page.open(report)
    grounds = []
    for scheme in ("light", "dark"):
        page.prefer(scheme)
        page.settle()
        ground, *inks = page.evaluate(
            "['section', 'h2', '.lead', '.better', '.worse', '#summary', 'summary'].map((s, i) => {"
            "const e = document.querySelector(s) ?? document.querySelector('.worse');"
            "const c = getComputedStyle(e)[i ? 'color' : 'backgroundColor'];"
            "return c.match(/[0-9.]+/g).slice(0, 3).map(Number); })"
        )
        grounds.append(luminance(ground))
        for ink in inks:
            low, high = sorted((luminance(ink), luminance(ground)))
            assert (high + 0.05) / (low + 0.05) >= 4.5
    assert grounds[0] > 0.9 and grounds[1] < 0.1


def luminance(rgb: list[float]) -> float:
    """Relative luminance of sRGB in 0..255, as WCAG defines it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in (value / 255 for value in rgb)]  # fmt: skip
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
