"""Deinterlacing, cropping and conversion of the frame rate, by FFmpeg's filters."""

from dataclasses import dataclass
from fractions import Fraction

import av
from av.error import BlockingIOError, EOFError
from av.filter import Graph

from neuralcodec.media.cropping import Cropping
from neuralcodec.media.filter_graph import Filter, filter_graph
from neuralcodec.media.source_options import SourceOptions


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

    def push(self, picture: av.VideoFrame) -> list[av.VideoFrame]:
        """The pictures that are ready after this one, whose time is in the source's time base."""
        done: list[av.VideoFrame] = []
        starts = self._options.deinterlace and picture.interlaced_frame and not self._deinterlaces
        if starts:
            self._deinterlaces = True
            self.notices.append("source is interlaced: its interlaced frames are deinterlaced")
        is_cropped = self._is_cropped(picture)
        if self._graph is None and not (self._deinterlaces or self._options.fps or is_cropped):
            return [picture]
        if self._graph is None or starts or self._shape != _Shape.of(picture):
            done = self.flush()
            self._graph = self._build(picture)
            self._shape = _Shape.of(picture)
        self._graph.push(picture)
        return done + self._pull(self._graph)

    def flush(self) -> list[av.VideoFrame]:
        """The pictures that were held back."""
        if self._graph is None:
            return []
        self._graph.push(None)
        done = self._pull(self._graph)
        self._graph = None
        return done

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

    def _pull(self, graph: Graph) -> list[av.VideoFrame]:
        done: list[av.VideoFrame] = []
        while True:
            try:
                picture = graph.vpull()
            except (BlockingIOError, EOFError):
                return done
            assert picture.time_base is not None
            assert picture.pts is not None
            unit = picture.time_base / self.time_base  # filters count in units of their own
            picture.pts = int(picture.pts * unit)
            picture.duration = int(picture.duration * unit)
            picture.time_base = self.time_base
            done.append(picture)
