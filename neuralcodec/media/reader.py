"""Reading: any source FFmpeg decodes, as a stream of 4:2:0 frames with exact time stamps."""

import os
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
from av.error import FFmpegError

from neuralcodec.errors import InputError
from neuralcodec.media.conversion import Converter, coded_bit_depth, color_tags
from neuralcodec.media.decoding import Decoding
from neuralcodec.media.planes import planes_of
from neuralcodec.media.source import open_source
from neuralcodec.media.timestamps import TimeStamps
from neuralcodec.video import Frame, VideoFormat

SMALLEST_SIDE = 16  # luma samples
_DEFAULT_RATE = Fraction(25)  # what FFmpeg assumes of sources that do not say


class VideoReader:
    """Frames of a video, one pass, in constant memory; `path` '-' is standard input.

    8-bit and 10-bit 4:2:0 come exactly as decoded; all else is converted, with a sentence
    about it in `notices`. PTS are the source's own, in `format.time_base`, and increase
    strictly.

    Attributes:
        format: size, depth, rate and tags, known once the reader is made.
        notices: one sentence per kind of conversion or repair made so far.
        frame_count_hint: about how many frames will come (at most `limit`); None if unknown.
        source_bytes: size of the source file; None for a pipe.
        truncated: after the last frame, why the source is not whole; None if it is, or
            if the reading stopped at `limit`.

    Raises InputError, from the constructor, for anything that is no readable video of at
    least 16x16, and while iterating for a picture that cannot be converted.
    """

    def __init__(self, path: str | os.PathLike[str], *, limit: int | None = None):
        self._source = open_source(path)
        self._limit = limit
        self.notices: list[str] = []
        self.source_bytes = self._source.size
        self.truncated: str | None = None
        try:
            # The first picture is decoded now: only it tells the tags and that there is a video.
            self._decoding = Decoding(self._source)
            self._pictures = iter(self._decoding)
            self._first = next(self._pictures, None)
            if self._first is None:
                raise InputError(
                    f"no frame of {self._source.name} could be decoded; check that it plays"
                )
            self.format = self._describe(self._first)
        except BaseException:
            self.close()
            raise
        self.frame_count_hint = self._count_hint()
        self._converter = Converter(self.format.width, self.format.height, self.format.bit_depth)
        rate = self.format.frame_rate or _DEFAULT_RATE
        self._time_stamps = TimeStamps(rate, self.format.time_base)

    def close(self) -> None:
        """Close the source; no frames come after that."""
        self._source.container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Frame]:
        count = 0
        while self._limit is None or count < self._limit:
            picture = self._first or next(self._pictures, None)
            self._first = None
            if picture is None:
                self.truncated = self._decoding.shortfall()
                return
            count += 1
            yield self._frame(picture)

    def _frame(self, picture: av.VideoFrame) -> Frame:
        pts = self._time_stamps.place(self._decoding.presentation_time(picture))
        try:
            converted, notice = self._converter.convert(picture)
        except FFmpegError as error:
            raise InputError(
                f"cannot convert {self._source.name} from {picture.format.name}: {error.strerror}"
            ) from error
        for sentence in [*self._time_stamps.notices, *([notice] if notice else [])]:
            if sentence not in self.notices:
                self.notices.append(sentence)
        return Frame(*planes_of(converted, self.format.bit_depth), pts)

    def _describe(self, first: av.VideoFrame) -> VideoFormat:
        stream = self._source.stream
        if min(first.width, first.height) < SMALLEST_SIDE:
            raise InputError(
                f"{self._source.name} is {first.width}x{first.height}; "
                f"frames must be at least {SMALLEST_SIDE}x{SMALLEST_SIDE}"
            )
        assert stream.time_base is not None  # every input stream of FFmpeg has one
        return VideoFormat(
            width=first.width,
            height=first.height,
            time_base=stream.time_base,
            bit_depth=coded_bit_depth(first.format),
            frame_rate=self._decoding.frame_rate,
            sample_aspect_ratio=stream.sample_aspect_ratio or Fraction(0),
            rotation=first.rotation,
            color=color_tags(first),
        )

    def _count_hint(self) -> int | None:
        hint = self._decoding.expected_frames()
        if hint is None or self._limit is None:
            return hint
        return min(hint, self._limit)
