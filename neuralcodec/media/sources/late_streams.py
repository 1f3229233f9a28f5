"""What FFmpeg has found of a source after it was opened, which PyAV does not tell."""

import re
from dataclasses import dataclass
from threading import Lock

import av
from av.container import InputContainer

# "  Stream #0:2[0x102](eng): Audio: aac (LC) ([15][0][0][0] / 0x000F), 44100 Hz, mono"
_LINE = re.compile(r"^  Stream #0:(\d+)[^:\n]*: (\w+): (\w+)", re.MULTILINE)
# Formats whose streams are all known at the opening, and keep their codecs.
_COMPLETE = {"image2", "rawvideo", "yuv4mpegpipe", "mov"}
_logging = Lock()  # its level is one for the whole process


@dataclass(frozen=True)
class ListedStream:
    """A stream as FFmpeg lists it, by its names."""

    index: int
    kind: str  # audio, video, subtitle, ...
    codec: str


def listed_streams(container: InputContainer) -> dict[int, ListedStream]:
    """The streams that FFmpeg knows of by now, by their index; none in formats that have all of
    them from the beginning."""
    if container.format.name.split(",")[0] in _COMPLETE:
        return {}  # as asking means to change what the whole process logs
    with _logging:
        level = av.logging.get_level()
        av.logging.set_level(av.logging.INFO)
        try:
            with av.logging.Capture(local=False):  # what other threads log meanwhile
                text: str = container.dumps_format()  # type: ignore[attr-defined] # PyAV's types
        finally:
            av.logging.set_level(level)
    found = [(int(i), kind.lower(), codec) for i, kind, codec in _LINE.findall(text)]
    return {index: ListedStream(index, kind, codec) for index, kind, codec in found}
