"""The report's file: whole in itself, harmless whatever clips are called, pictures exact."""

import base64
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import av
import numpy as np
import pytest
from bench_report_sample import HEIGHT, HOSTILE, WIDTH, sample_results

from neuralcodec.bench.report_html import write_html
from neuralcodec.bench.report_pictures import Album
from neuralcodec.bench.results import BenchResults, FramePicture
from neuralcodec.errors import InputError, OutputError


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> BenchResults:
    return sample_results(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def page(results: BenchResults, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(results, path)
    return path.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Every start tag with its attributes, and the text of the last element with each id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if identity := self.tags and self.tags[-1][1].get("id"):
            self.texts[identity] = self.texts.get(identity, "") + data


def decoded(uri: str) -> np.ndarray:
    data = base64.b64decode(uri.removeprefix("data:image/webp;base64,"))
    decoder = av.CodecContext.create("webp", "r")
    (picture,) = decoder.decode(av.Packet(data)) + decoder.decode(None)
    return picture.to_ndarray(format="rgb24")


def test_the_report_names_no_other_file_or_server(page: str) -> None:
    addresses = [
        value
        for _, attributes in Elements(page).tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action")
    ]
    assert sorted(set(addresses)) == ["#", "data:,"]
    assert not re.search(r"@import|url\(|\bfetch\(|XMLHttpRequest|\bimport\b", page)


def test_the_name_of_a_clip_makes_no_element(page: str, results: BenchResults) -> None:
    assert "<script>alert" not in page
    parsed = Elements(page)
    assert [tag for tag, _ in parsed.tags].count("script") == 3
    names = [clip["name"] for clip in json.loads(parsed.texts["results"])["clips"]]
    assert names == [clip.name for clip in results.clips]
    assert HOSTILE in names


@pytest.mark.parametrize("name", ["</script><img src=x onerror=alert(1)>", "<!--", "\udcff.mp4"])
def test_any_name_reaches_the_report_as_it_is(
    name: str, results: BenchResults, tmp_path: Path
) -> None:
    clip = replace(results.clips[0], name=name, pictures=())
    write_html(replace(results, clips=(clip,), points=(), deltas=()), tmp_path / "r.html")
    parsed = Elements((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert json.loads(parsed.texts["results"])["clips"][0]["name"] == name
    assert "img" not in [tag for tag, _ in parsed.tags]


def test_paths_of_the_pictures_on_this_machine_are_not_told(
    page: str, results: BenchResults
) -> None:
    assert str(Path(results.clips[0].pictures[0].path).parent) not in page


def test_pictures_are_embedded_without_loss(results: BenchResults) -> None:
    album = Album.of(results)
    for picture in [*results.clips[0].pictures, *results.points[3].pictures]:
        with av.open(picture.path) as png:
            original = next(png.decode(video=0)).to_ndarray(format="rgb24")
        embedded = decoded(album.uris[album.numbers[picture.path]])
        np.testing.assert_array_equal(embedded, original)


def test_too_many_bytes_of_pictures_are_cut_to_their_middle(results: BenchResults) -> None:
    whole = Album.of(results)
    cut = Album.of(results, max_bytes=sum(map(len, whole.uris)) // 8)
    path = results.clips[0].pictures[0].path
    middle = decoded(cut.uris[cut.numbers[path]])
    height, width = middle.shape[:2]
    assert 16 <= height < HEIGHT and 16 <= width < WIDTH
    top, left = (HEIGHT - height) // 2, (WIDTH - width) // 2
    original = decoded(whole.uris[whole.numbers[path]])
    np.testing.assert_array_equal(middle, original[top : top + height, left : left + width])
    assert "cut to the middle" in cut.note and "cut" not in whole.note


def test_a_picture_that_is_gone_or_damaged_is_named(results: BenchResults, tmp_path: Path) -> None:
    for path, content in ((tmp_path / "gone.png", None), (tmp_path / "damaged.png", b"no PNG")):
        if content:
            path.write_bytes(content)
        clip = replace(results.clips[0], pictures=(FramePicture(0, str(path), None),))
        with pytest.raises(InputError, match=f"{path.name}.*run the bench again"):
            write_html(replace(results, clips=(clip,)), tmp_path / "r.html")
    assert not (tmp_path / "r.html").exists()


def test_a_report_that_cannot_be_written_is_an_output_error(
    results: BenchResults, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match="no folder"):
        write_html(results, tmp_path / "missing" / "r.html")


def test_a_bench_without_pictures_has_a_report_too(results: BenchResults, tmp_path: Path) -> None:
    clips = tuple(replace(clip, pictures=()) for clip in results.clips)
    points = tuple(replace(point, pictures=()) for point in results.points)
    write_html(replace(results, clips=clips, points=points), tmp_path / "r.html")
    assert "data:image" not in (tmp_path / "r.html").read_text(encoding="utf-8")
