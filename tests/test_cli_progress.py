"""Progress: a bar on a terminal, a line now and then elsewhere."""

import io

import pytest

from neuralcodec import encode
from neuralcodec.cli.progress import SECONDS_BETWEEN_LINES, PlainLines, show_progress
from neuralcodec.progress import ProgressState


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_line_comes_every_thirty_seconds_and_not_sooner(capsys):
    clock = Clock()
    lines = PlainLines("encoding", clock)
    for second in range(1, 3 * SECONDS_BETWEEN_LINES):
        clock.now = second
        lines(ProgressState(2 * second, 400, 512_000))
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "ncodec: encoding: 60 of 400 frames, 2.0 fps, 512 kbit/s, 02:50 left",
        "ncodec: encoding: 120 of 400 frames, 2.0 fps, 512 kbit/s, 02:20 left",
    ]


def test_what_is_not_known_is_left_out(capsys):
    clock = Clock()
    lines = PlainLines("decoding", clock)
    clock.now = SECONDS_BETWEEN_LINES
    lines(ProgressState(90))
    assert capsys.readouterr().err == "ncodec: decoding: 90 frames, 3.0 fps\n"


def test_each_pass_is_named_and_has_a_speed_of_its_own(capsys):
    clock = Clock()
    lines = PlainLines("encoding", clock)
    clock.now = 20
    lines(ProgressState(1, 400, label="pass 2 of 2"))
    clock.now = 50
    lines(ProgressState(300, 400, label="pass 2 of 2"))
    told = "ncodec: encoding, pass 2 of 2: 300 of 400 frames, 10.0 fps, 00:10 left\n"
    assert capsys.readouterr().err == told


def test_the_bar_shows_frames_speed_rate_and_pass(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with show_progress("encoding", quiet=False) as progress:
        for label in ("pass 1 of 2", "pass 2 of 2"):
            for frames in range(1, 41):
                progress(ProgressState(frames, 40, 512_000, label))
            progress._bar.refresh()
    shown = terminal.getvalue()
    for label in ("pass 1 of 2", "pass 2 of 2"):
        last = [line for line in shown.split("\r") if label in line][-1]
        assert "100%" in last and "40/40" in last
        assert "512 kbit/s" in last and "frames/s" in last


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
def test_quiet_shows_nothing(stream, monkeypatch):
    monkeypatch.setattr("sys.stderr", stream)
    with show_progress("encoding", quiet=True) as progress:
        assert progress is None
    assert stream.getvalue() == ""


def test_encode_tells_frames_and_from_the_first_gop_on_the_bit_rate(small_source, tmp_path):
    states: list[ProgressState] = []
    done = encode(small_source, tmp_path / "a.nlc", gop=4, progress=states.append)
    assert [state.frames for state in states] == list(range(1, 13))
    assert states[0].bits_per_second is None
    last = states[-1].bits_per_second  # of all but the last GOP
    assert last is not None and done.bitrate / 2 < last < done.bitrate * 2
