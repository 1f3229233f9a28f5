"""Deinterlacing, cropping and conversion of the frame rate, by FFmpeg's filters."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import BlockingIOError, EOFError
from av.filter import Graph

from neuralcodec.media.filter_graph import Filter, filter_graph
from neuralcodec.media.sources.cropping import Cropping
from neuralcodec.media.sources.source_options import SourceOptions

# Broken time stamps must not cost days of coding. Pictures are repeated as often as an allowance
# lets them: at first and at most the first number, and the second more with each picture. At 25
# frames per second that is an hour, and a minute.
_MOST_REPEATS = 90_000
_REPEATS_PER_PICTURE = 1500


@dataclass(frozen=True)
class _Shape:
    """What must stay the same for a filter to go on."""

    width: int
    height: int
    pixel_format: str

    @classmethod
    def of(cls, picture: av.VideoFrame) -> "_Shape":
        return cls(picture.width, picture.height, picture.format.name)


class PictureFilters:
    """Changes the pictures of one source as the options say; passes them on if nothing is to do.

    Deinterlacing begins with the first picture that is marked as interlaced, and from there on
    changes only those that are. It keeps the number of pictures and their times. Cropping is for
    pictures of the size that it was made for.

    Attributes:
        time_base: seconds per unit of the times of pictures that come out.
        notices: a sentence on what was done without being asked for.
    """

    def __init__(
        self,
        options: SourceOptions,
        time_base: Fraction,
        frame_rate: Fraction,
        cropping: Cropping | None = None,
    ):
        self._options = options
        self._cropping = cropping
        self._time_base_in = time_base
        self._frame_rate = frame_rate
        self.time_base = 1 / options.fps if options.fps else time_base
        self.notices: list[str] = []
        if cropping is not None:
            self.notices.append(f"cropped as the source says: {cropping}")
        self._deinterlaces = False
        self._graph: Graph | None = None
        self._shape: _Shape | None = None
        self._held: av.VideoFrame | None = None  # how long it is shown, the next one tells
        self._repeats_left = Fraction(_MOST_REPEATS)
        self._left_a_gap = False

    def push(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """The pictures that are ready after this one, whose time is in the source's time base."""
        if self._options.fps is None:
            yield from self._filtered(picture)
            return
        held, self._held = self._held, picture
        if held is not None:
            assert picture.pts is not None
            yield from self._shown_until(picture.pts, held)

    def flush(self, end_pts: int | None) -> Iterator[av.VideoFrame]:
        """The pictures that were held back; the last one ends at `end_pts` if that is known."""
        held, self._held = self._held, None
        if held is not None and end_pts is not None:
            yield from self._shown_until(end_pts, held)
        elif held is not None:
            yield from self._filtered(held)
        yield from self._rest()

    def _shown_until(self, end: int, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        """The picture, at a constant rate up to the time at which it ends."""
        assert picture.pts is not None and self._options.fps is not None
        duration = end - picture.pts
        seconds = duration * self._time_base_in
        repeats = seconds * self._options.fps
        self._repeats_left = min(self._repeats_left + _REPEATS_PER_PICTURE, Fraction(_MOST_REPEATS))
        is_allowed = repeats <= self._repeats_left
        if is_allowed:
            self._repeats_left -= repeats
            picture.duration = duration
        yield from self._filtered(picture)
        if not is_allowed:
            # A new graph begins at the time of the next picture.
            if not self._left_a_gap:
                self._left_a_gap = True
                self._notice(
                    f"gaps of over {_MOST_REPEATS} frames, and many of over "
                    f"{_REPEATS_PER_PICTURE}, are not filled: one of {float(seconds):.0f} seconds "
                    "stays"
                )
            yield from self._rest()

    def _filtered(self, picture: av.VideoFrame) -> Iterator[av.VideoFrame]:
        starts = self._options.deinterlace and picture.interlaced_frame and not self._deinterlaces
        if starts:
            self._deinterlaces = True
            self._notice("source is interlaced: its interlaced frames are deinterlaced")
        is_cropped = self._is_cropped(picture)
        if self._graph is None and not (self._deinterlaces or self._options.fps or is_cropped):
            yield picture
            return
        if self._graph is None or starts or self._shape != _Shape.of(picture):
            yield from self._rest()
            self._graph = self._build(picture)
            self._shape = _Shape.of(picture)
        self._graph.push(picture)
        yield from self._pull(self._graph)

    def _rest(self) -> Iterator[av.VideoFrame]:
        """What the graph still holds, at its end."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pull(self._graph)
            self._graph = None

    def _build(self, picture: av.VideoFrame) -> Graph:
        filters: list[Filter] = []
        if self._deinterlaces:
            filters.append(("bwdif", {"mode": "send_frame", "deint": "interlaced"}))
        if self._cropping is not None and self._is_cropped(picture):
            filters.append(("crop", self._cropping.filter_options))
        if self._options.fps is not None:
            filters.append(("fps", {"fps": str(self._options.fps)}))
        return filter_graph(picture, filters, self._time_base_in, self._frame_rate)

    def _is_cropped(self, picture: av.VideoFrame) -> bool:
        size = (picture.width, picture.height)
        return self._cropping is not None and self._cropping.picture_size == size

    def _pull(self, graph: Graph) -> Iterator[av.VideoFrame]:
        while True:
            try:
                picture = graph.vpull()
            except (BlockingIOError, EOFError):
                return
            assert picture.time_base is not None
            assert picture.pts is not None
            unit = picture.time_base / self.time_base  # filters count in units of their own
            picture.pts = int(picture.pts * unit)
            picture.duration = int(picture.duration * unit)
            picture.time_base = self.time_base
            yield picture

    def _notice(self, sentence: str) -> None:
        if sentence not in self.notices:
            self.notices.append(sentence)
