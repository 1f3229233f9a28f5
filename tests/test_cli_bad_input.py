"""Bad input gets one clear line, the right exit code, no output file and no traceback."""

import os
import wave

import pytest
from click.testing import CliRunner, Result

from neuralcodec.cli import main
from neuralcodec.container import ContainerReader
from neuralcodec.model import installed, model_file

FAULT, USAGE = 1, 2


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder, so that names in messages are short."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ncodec(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def refused(exit_code: int, *arguments: object) -> str:
    """The one line that a command which leaves no new file ends with."""
    before = set(os.listdir())
    result = ncodec(*arguments)
    assert result.exit_code == exit_code, result.stderr
    assert set(os.listdir()) == before
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    if exit_code == FAULT:
        assert len(lines) == 1
        assert lines[0].startswith("ncodec: ")
    return lines[-1]


def damaged(coded, where: int) -> bytes:
    data = bytearray(coded.read_bytes())
    data[where] ^= 4
    return bytes(data)


def gop_offset(coded, number: int) -> int:
    """Of the first byte of a GOP."""
    at = -1
    for _ in range(number + 1):
        at = coded.read_bytes().index(b"GOPS", at + 1)
    return at


def test_what_is_no_video_is_refused_by_name(folder):
    (folder / "text.mp4").write_text("hello\n" * 100)
    (folder / "text.txt").write_text("hello\n" * 100)
    (folder / "empty.mp4").touch()
    for name in ("text.mp4", "text.txt", "empty.mp4", "missing.mp4", "."):
        assert name in refused(FAULT, "encode", name, "o.nlc")
    assert "does not exist" in refused(FAULT, "encode", "missing.mp4", "o.nlc")


def test_raw_video_without_its_size_is_told_which_options_it_needs(folder):
    (folder / "film.yuv").write_bytes(bytes(96 * 64 * 3 // 2))
    assert "--pix-fmt and --video-size" in refused(FAULT, "encode", "film.yuv", "o.nlc")


def test_an_output_named_as_another_format_is_refused(folder, small_source):
    assert "name the output film.nlc" in refused(USAGE, "encode", small_source, "film.mp4")


def test_nothing_is_promised_of_a_file_without_an_undamaged_gop(folder, small_coded):
    (folder / "cut.nlc").write_bytes(small_coded.read_bytes()[: gop_offset(small_coded, 0) + 100])
    line = refused(FAULT, "decode", "cut.nlc", "o.mkv")
    assert "GOP 0" in line
    assert "--keep-going" not in line


def test_a_file_with_sound_alone_has_no_video_stream(folder):
    with wave.open("sound.wav", "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(8000))
    assert "no video stream" in refused(FAULT, "encode", "sound.wav", "o.nlc")


def test_a_video_of_no_frames_is_refused(folder):
    (folder / "zero.y4m").write_bytes(b"YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420jpeg\n")
    assert "zero.y4m" in refused(FAULT, "encode", "zero.y4m", "o.nlc")


def test_a_source_cut_in_a_frame_is_coded_with_a_warning_unless_strict(folder, small_source):
    (folder / "cut.y4m").write_bytes(small_source.read_bytes()[:-1000])
    assert "cut.y4m broke off" in refused(FAULT, "encode", "cut.y4m", "o.nlc", "--strict")
    result = ncodec("encode", "cut.y4m", "o.nlc", "--quiet")
    assert result.exit_code == 0
    assert result.stderr.count("cut.y4m") == 1
    assert "warning" in result.stderr
    assert "11 frames" in ncodec("info", "o.nlc").stdout


def test_an_existing_output_is_kept_without_yes(folder, small_source, small_coded):
    for verb, source, name in (
        ("encode", small_source, "o.nlc"),
        ("decode", small_coded, "o.y4m"),
    ):
        (folder / name).write_bytes(b"old")
        assert "-y" in refused(FAULT, verb, source, name)
        assert (folder / name).read_bytes() == b"old"


def test_output_over_input_is_wrong_usage_even_with_yes_and_another_name(folder, small_source):
    (folder / "a.y4m").write_bytes(small_source.read_bytes())
    os.link("a.y4m", "b.y4m")
    for output in ("a.y4m", "./a.y4m", "b.y4m"):
        assert "same file" in refused(USAGE, "encode", "a.y4m", output, "-y")
    assert (folder / "a.y4m").read_bytes() == small_source.read_bytes()


def test_outputs_that_cannot_be_are_refused(folder, small_source, small_coded):
    (folder / "sub").mkdir()
    for verb, source in (("encode", small_source), ("decode", small_coded)):
        assert "is a folder" in refused(FAULT, verb, source, "sub", "-y")
        name = "no/o.nlc" if verb == "encode" else "no/o.y4m"
        assert "no folder" in refused(FAULT, verb, source, name)
    assert "must be one of y4m" in refused(USAGE, "decode", small_coded, "o.webm")
    assert "frame%04d.png" in refused(USAGE, "decode", small_coded, "o.png")
    assert "standard output" in refused(USAGE, "decode", small_coded, "-", "-f", "mp4")


def test_an_unknown_model_is_named_with_those_there_are(folder, small_source):
    message = refused(FAULT, "encode", small_source, "o.nlc", "--model", "nope")
    assert "nope" in message
    assert "fast" in message


def test_a_model_file_that_is_none_is_refused(folder, small_source, small_coded):
    (folder / "garbage.safetensors").write_bytes(bytes(range(256)) * 4)
    for name in ("garbage.safetensors", "missing.safetensors"):
        assert name in refused(FAULT, "encode", small_source, "o.nlc", "-m", name)
        assert name in refused(FAULT, "decode", small_coded, "o.y4m", "-m", name)


def test_a_file_of_a_model_not_installed_names_it_and_its_hash(folder, small_coded, monkeypatch):
    sha256 = model_file.load_model("fast").sha256.hex()
    (folder / "index.json").write_text("{}")
    monkeypatch.setattr(installed, "weights_folder", lambda: folder)
    message = refused(FAULT, "decode", small_coded, "o.y4m")
    assert "'fast'" in message
    assert sha256[:16] in message
    assert "not installed" in ncodec("info", small_coded).stdout


def test_what_is_no_nlc_file_is_refused(folder, small_source, small_coded):
    (folder / "empty.nlc").touch()
    for name in ("empty.nlc", "missing.nlc", ".", small_source):
        for arguments in (("decode", name, "o.y4m"), ("info", name)):
            assert str(name) in refused(FAULT, *arguments)
    assert "not an .nlc file" in refused(FAULT, "decode", small_source, "o.y4m")


@pytest.mark.parametrize("where", [0, 8, 30], ids=["signature", "version", "header"])
def test_a_damaged_beginning_is_named_and_the_copy_of_the_header_used(folder, small_coded, where):
    (folder / "bad.nlc").write_bytes(damaged(small_coded, where))
    assert "--keep-going" in refused(FAULT, "decode", "bad.nlc", "o.y4m")
    told = ncodec("info", "bad.nlc")
    assert (told.exit_code, "the copy of its header" in told.stdout) == (FAULT, True)
    assert ncodec("decode", "bad.nlc", "o.y4m", "--keep-going").exit_code == FAULT
    assert ncodec("decode", small_coded, "whole.y4m").exit_code == 0
    assert (folder / "o.y4m").read_bytes() == (folder / "whole.y4m").read_bytes()


def test_encoding_an_nlc_file_is_answered_with_how_to_decode_it(folder, small_coded):
    message = refused(FAULT, "encode", small_coded, "o.nlc")
    assert f"ncodec decode {small_coded}" in message


@pytest.mark.parametrize("kind", ["cut", "flipped"])
def test_damage_is_told_by_gop_and_byte_and_the_rest_can_be_had(
    folder, small_source, small_coded, kind
):
    second = gop_offset(small_coded, 1)
    data = (
        small_coded.read_bytes()[: second + 40]
        if kind == "cut"
        else damaged(small_coded, second + 40)
    )
    (folder / "bad.nlc").write_bytes(data)
    message = refused(FAULT, "decode", "bad.nlc", "o.y4m")
    assert "GOP 1 is damaged" in message
    assert str(second) in message
    assert "--keep-going" in message
    result = ncodec("decode", "bad.nlc", "o.yuv", "--keep-going", "-r", small_source)
    assert result.exit_code == FAULT
    assert "lost: GOP 1 is damaged" in result.stderr
    # Frames after the gap are measured against the right ones of the source.
    assert "differ" not in result.stderr
    with small_coded.open("rb") as file:
        index = ContainerReader(file, "coded.nlc").index()
    shown = index[1].first_frame if kind == "cut" else 12
    assert os.path.getsize("o.yuv") == shown * 48 * 32 * 3 // 2
    told = ncodec("info", "bad.nlc")
    assert told.exit_code == FAULT
    assert "GOP 1 is damaged" in told.stdout


def test_a_device_that_is_not_there_is_refused(folder, small_source, small_coded, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    for device in ("cuda", "cuda:7", "gpu", "mps"):
        assert device in refused(FAULT, "encode", small_source, "o.nlc", "--device", device)
        assert device in refused(FAULT, "decode", small_coded, "o.y4m", "--device", device)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_is_told(folder, small_source, small_coded):
    for arguments in (
        ("encode", small_source, "/dev/full"),
        ("decode", small_coded, "/dev/full", "-f", "y4m"),
        ("decode", small_coded, "/dev/full", "-f", "mkv"),
    ):
        assert "No space left" in refused(FAULT, *arguments)


@pytest.mark.parametrize(
    "options",
    [
        "-q 64",
        "-q -1",
        "-q x",
        "-g 0",
        "-g 65537",
        "-n 0",
        "--bframes 16",
        "--frames -3",
        "--bogus",
    ],
)
def test_absurd_numbers_are_wrong_usage_and_the_option_is_named(folder, small_source, options):
    message = refused(USAGE, "encode", small_source, "o.nlc", *options.split())
    assert options.split()[0] in message


def test_a_reference_of_another_size_or_none_is_refused(folder, small_coded):
    (folder / "other.y4m").write_bytes(
        b"YUV4MPEG2 W16 H16 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(384)
    )
    assert "16x16" in refused(FAULT, "decode", small_coded, "o.y4m", "-r", "other.y4m")
    assert "missing" in refused(FAULT, "decode", small_coded, "o.y4m", "-r", "missing.mkv")
    assert "both" in refused(USAGE, "decode", "-", "o.y4m", "-r", "-")
