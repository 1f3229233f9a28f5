"""What the names of inputs and outputs mean: pipes, descriptors, protocols, URLs, files."""

import json
import os
import threading
from pathlib import Path
from pipes import filled_pipe, read_end

import pytest
from click.testing import CliRunner, Result

import neuralcodec
from neuralcodec.cli import main
from neuralcodec.endpoints import input_name, output_name
from neuralcodec.errors import NcodecError, UsageError
from neuralcodec.media import VideoReader
from neuralcodec.media.sources.source_options import SourceOptions

pytestmark = pytest.mark.skipif(os.name != "posix", reason="descriptors as in POSIX")


def ncodec(*arguments: object, stdin: bytes | None = None) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments], input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "pipe:", "pipe:1"])
def test_names_of_standard_output_are_standard_output(name: str, small_coded: Path):
    result = ncodec("decode", small_coded, name, "--json", "-n", 2)
    assert result.stdout_bytes.startswith(b"YUV4MPEG2")
    assert json.loads(result.stderr.splitlines()[-1])["frames"] == 2  # stdout being the data
    assert (
        "mp4 cannot go to standard output"
        in ncodec("decode", small_coded, name, "-f", "mp4").stderr
    )


def test_an_encode_to_dev_stdout_is_the_file_and_nothing_else(
    small_source: Path, small_coded: Path
):
    result = ncodec("encode", small_source, "/dev/stdout", "-g", 4, "--json")
    assert result.stdout_bytes == small_coded.read_bytes()
    assert "play it" not in result.stderr


@pytest.mark.parametrize("form", ["/dev/fd/{}", "/proc/self/fd/{}", "pipe:{}"])
def test_an_open_descriptor_is_an_output(form: str, small_coded: Path, tmp_path: Path):
    """A shell puts such a name in the place of >(command)."""
    plain = tmp_path / "plain.y4m"
    neuralcodec.decode(small_coded, plain)
    gathered: list[bytes] = []
    with read_end(gathered) as pipe:
        neuralcodec.decode(small_coded, form.format(pipe))
    with read_end(gathered) as pipe:
        neuralcodec.decode(small_coded, form.format(pipe), format="mkv")
    with read_end(gathered) as pipe, pytest.raises(UsageError, match="mp4 cannot go to the pipe"):
        neuralcodec.decode(small_coded, form.format(pipe), format="mp4")
    y4m, mkv, nothing = gathered
    assert (y4m, mkv[:4], nothing) == (plain.read_bytes(), b"\x1a\x45\xdf\xa3", b"")


def test_a_descriptor_of_a_file_is_written_from_where_it_stands(small_coded: Path, tmp_path: Path):
    with (tmp_path / "log").open("wb", buffering=0) as file:
        file.write(b"before ")
        neuralcodec.repair(small_coded, f"/dev/fd/{file.fileno()}")
        file.write(b" after")
    written = (tmp_path / "log").read_bytes()
    assert written.startswith(b"before \x8eNLC") and written.endswith(b" after")
    assert os.listdir(tmp_path) == ["log"]


def test_an_open_descriptor_is_an_input(small_source: Path, small_coded: Path, tmp_path: Path):
    """A shell puts such a name in the place of <(command)."""
    coded = tmp_path / "coded.nlc"
    with filled_pipe(small_source.read_bytes()) as pipe:
        neuralcodec.encode(f"/dev/fd/{pipe}", coded, gop=4)
    assert coded.read_bytes() == small_coded.read_bytes()
    with (
        filled_pipe(small_coded.read_bytes()) as pipe,
        filled_pipe(small_source.read_bytes()) as reference,
    ):
        shown = neuralcodec.decode(
            f"pipe:{pipe}", tmp_path / "a.yuv", reference=f"/dev/fd/{reference}"
        )
    assert shown.measured is not None
    with filled_pipe(small_coded.read_bytes()) as pipe:
        assert not neuralcodec.check(f"/proc/self/fd/{pipe}").damage


@pytest.mark.parametrize("name", ["/dev/stdin", "/dev/fd/0", "pipe:", "pipe:0"])
def test_names_of_standard_input_are_standard_input(name: str):
    assert input_name(name) == "-"


def test_a_fifo_is_input_and_output(small_source: Path, small_coded: Path, tmp_path: Path):
    fifo, gathered = tmp_path / "fifo", list[bytes]()
    os.mkfifo(fifo)
    reader = threading.Thread(target=lambda: gathered.append(fifo.read_bytes()))
    reader.start()
    neuralcodec.encode(small_source, fifo, gop=4)
    reader.join()
    assert gathered == [small_coded.read_bytes()]
    writer = threading.Thread(target=lambda: fifo.write_bytes(gathered[0]))
    writer.start()
    neuralcodec.decode(fifo, tmp_path / "out.y4m")
    writer.join()
    reader = threading.Thread(target=lambda: gathered.append(fifo.read_bytes()))
    reader.start()
    neuralcodec.decode(small_coded, fifo)
    reader.join()
    assert gathered[1] == (tmp_path / "out.y4m").read_bytes()


def test_descriptors_that_are_closed_or_of_the_other_direction_are_refused(
    small_source: Path, small_coded: Path, tmp_path: Path
):
    out, into = os.pipe()
    try:
        for name, reason in ((f"/dev/fd/{out}", "writing"), ("/dev/fd/987", "descriptor")):
            with pytest.raises(NcodecError, match=f"{name}.*{reason}"):
                neuralcodec.decode(small_coded, name)
        for name, reason in ((f"/dev/fd/{into}", "reading"), ("/dev/fd/987", "descriptor")):
            with pytest.raises(NcodecError, match=f"{name}.*{reason}"):
                neuralcodec.encode(name, tmp_path / "o.nlc")
    finally:
        os.close(out)
        os.close(into)
    assert not os.listdir(tmp_path)


def test_a_link_to_standard_output_stays_one(small_coded: Path, tmp_path: Path):
    link = tmp_path / "out.y4m"
    link.symlink_to("/dev/stdout")
    result = ncodec("decode", small_coded, link, "-n", 1)
    assert result.stdout_bytes.startswith(b"YUV4MPEG2")
    assert link.is_symlink()


URLS = [
    "https://example.com/a.mp4",
    "RTSP://10.0.0.1/stream",
    "hls+http://x/y.m3u8",
    "concat:a.ts|b.ts",
    "data:video/mp4;base64,AAAA",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_is_told_to_be_one(
    url: str,
    small_source: Path,
    small_coded: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    for arguments in (
        ("encode", url, "o.nlc"),
        ("decode", url, "o.mkv"),
        ("decode", small_coded, "o.mkv", "-r", url),
        ("info", url),
        ("check", url),
        ("repair", url, "o.nlc"),
        ("bench", url),
        ("train", url, "-o", "o.safetensors"),
    ):
        result = ncodec(*arguments)
        line = result.stderr.splitlines()[-1]
        assert result.exit_code == 2
        assert f"{url} is a URL, and URLs are not read: fetch it first, or pipe it in" in line
    for arguments in (
        ("encode", small_source, url),
        ("decode", small_coded, url),
        ("repair", small_coded, url),
    ):
        result = ncodec(*arguments)
        assert result.exit_code == 2
        assert f"{url} is a URL, and URLs are not written" in result.stderr
    assert not os.listdir()


def test_names_with_colons_are_files(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "http:" / "x").mkdir(parents=True)
    for name in ("a:b.y4m", "pipe:0", "http://x/film.y4m", "concat:x"):
        Path(name).write_bytes(small_source.read_bytes())
        assert ncodec("encode", name, f"{len(name)}:o.nlc", "-n", 1, "-y").exit_code == 0
        assert Path(f"{len(name)}:o.nlc").is_file()
    for name in ("C:\\films\\a.mp4", "D:/films/a.mp4", "talk: part 1.mp4"):
        assert "does not exist" in ncodec("encode", name, "o.nlc").stderr


def test_the_file_protocol_names_files(
    small_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert ncodec("encode", f"file:{small_source}", "file:o.nlc", "-n", 1).exit_code == 0
    shown = ncodec("decode", f"file://{tmp_path}/o.nlc", "file:-", "-f", "y4m")
    assert (shown.exit_code, shown.stdout_bytes) == (0, b"")
    assert Path("-").read_bytes().startswith(b"YUV4MPEG2")
    assert ncodec("decode", "o.nlc", "file:pipe:1", "-f", "y4m").exit_code == 0
    assert Path("pipe:1").is_file()


@pytest.mark.parametrize("name", ["file:pipe:1", "file:-", "file:file:a", "pipe:1", "file:a"])
def test_a_meaning_stays_when_it_is_asked_for_once_more(name: str):
    assert output_name(output_name(name)) == output_name(name)


@pytest.mark.parametrize("maps", [(), ("0:a:9",)], ids=str)
@pytest.mark.parametrize("is_video", [True, False])
def test_a_descriptor_is_given_back_whether_its_source_can_be_read_or_not(
    small_source: Path, is_video: bool, maps: tuple[str, ...]
):
    before = set(os.listdir("/dev/fd"))
    reading, writing = os.pipe()
    os.write(writing, small_source.read_bytes() if is_video else b"nothing of the kind")
    os.close(writing)
    caught = None  # what it refers to stays alive
    try:
        with VideoReader(f"/dev/fd/{reading}", options=SourceOptions(maps=maps)) as reader:
            assert len(list(reader)) == 12
    except NcodecError as error:
        caught = error
    os.close(reading)
    assert set(os.listdir("/dev/fd")) == before
    assert (caught is None) == (is_video and not maps)
