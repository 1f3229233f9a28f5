"""How far a verb has come, on stderr: a bar on a terminal, now and then a line elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from tqdm import tqdm

from neuralcodec.cli.report import bitrate_text, tell

if TYPE_CHECKING:
    from neuralcodec.progress import Progress, ProgressState

SECONDS_BETWEEN_LINES = 30


@contextmanager
def show_progress(verb: str, quiet: bool) -> "Iterator[Progress | None]":
    """Frames done and expected, frames per second, bit rate and time left; nothing if `quiet`."""
    if quiet or sys.stderr is None:
        yield None
    elif sys.stderr.isatty():
        with tqdm(desc=verb, unit=" frames", dynamic_ncols=True, leave=False) as bar:
            yield _Bar(bar, verb)
    else:
        yield PlainLines(verb)


class _Bar:
    def __init__(self, bar: "tqdm[None]", verb: str) -> None:
        self._bar, self._verb = bar, verb
        self._label = ""

    def __call__(self, state: "ProgressState") -> None:
        if state.label != self._label:
            self._label = state.label
            self._bar.set_description(_titled(self._verb, state), refresh=False)
            self._bar.reset(state.expected)
        self._bar.total = state.expected
        if state.bits_per_second is not None:
            self._bar.set_postfix_str(bitrate_text(state.bits_per_second), refresh=False)
        self._bar.update(state.frames - self._bar.n)


class PlainLines:
    """A line every 30 seconds, so that a log of a long run stays short and still shows life."""

    def __init__(self, verb: str, clock: Callable[[], float] = monotonic) -> None:
        self._verb, self._clock = verb, clock
        self._label = ""
        self._start = self._last = clock()

    def __call__(self, state: "ProgressState") -> None:
        now = self._clock()
        if state.label != self._label:
            self._label, self._start = state.label, now
        if now - self._last < SECONDS_BETWEEN_LINES:
            return
        self._last = now
        tell(f"{_titled(self._verb, state)}: {_line(state, now - self._start)}")


def _titled(verb: str, state: "ProgressState") -> str:
    return f"{verb}, {state.label}" if state.label else verb


def _line(state: "ProgressState", seconds: float) -> str:
    total = "" if state.expected is None else f" of {state.expected}"
    parts = [f"{state.frames}{total} frames"]
    rate = state.frames / seconds if seconds > 0 else 0.0
    parts.append(f"{rate:.1f} fps")
    if state.bits_per_second is not None:
        parts.append(bitrate_text(state.bits_per_second))
    if state.expected is not None and rate > 0:
        left = max(0, state.expected - state.frames) / rate
        parts.append(f"{tqdm.format_interval(left)} left")
    return ", ".join(parts)
