"""Reading: any source FFmpeg decodes, as a stream of 4:2:0 frames with exact time stamps."""

import os
from collections.abc import Iterator, Sequence
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
from av.error import FFmpegError

from neuralcodec.errors import InputError
from neuralcodec.media.conversion import Converter
from neuralcodec.media.planes import planes_of
from neuralcodec.media.reading.carriage import Carriage
from neuralcodec.media.reading.decoding import Decoding
from neuralcodec.media.reading.demuxing import Demuxer
from neuralcodec.media.reading.picture_filters import PictureFilters
from neuralcodec.media.reading.picture_times import TimedPictures
from neuralcodec.media.reading.time_window import window_of
from neuralcodec.media.reading.wholeness import Wholeness
from neuralcodec.media.sources.cropping import cropping_of
from neuralcodec.media.sources.source import open_source
from neuralcodec.media.sources.source_description import describe
from neuralcodec.media.sources.source_options import SourceOptions
from neuralcodec.media.sources.stream_header import stream_header
from neuralcodec.streams import FileTags, OtherStream, StreamPacket
from neuralcodec.video import USUAL_RATE, Frame

# FFmpeg's names; of pictures there is one demuxer for each format too, such as png_pipe.
_CLOCKLESS = ("yuv4mpegpipe", "rawvideo", "image2")


class VideoReader:
    """Frames of a video, one pass, in constant memory; `path` '-' is standard input.

    8-bit and 10-bit 4:2:0 come exactly as decoded; all else is converted, with a sentence
    about it in `notices`. PTS are the source's own, in `format.time_base`, and increase
    strictly; with `options.start` they count from there.

    Without `options` the pictures alone are read (at most `limit`). With them, so is all that is
    beside the pictures, and who reads the frames has to call `take_packets` now and then:
    packets wait in memory until taken. `limit` overrides that of the options.

    Attributes:
        format: size, depth, rate and tags, known once the reader is made.
        streams: the other streams, whose packets `take_packets` gives.
        tags: metadata of the file and of its video stream, and chapters.
        notices: one sentence per kind of conversion, repair or omission made so far.
        frame_count_hint: about how many frames will come (at most `limit`); None if unknown.
        source_bytes: size of the source file; None for a pipe.
        truncated: after the last frame, why the source is not whole; None if it is, or
            if the reading stopped at `limit` or at the end of `options.duration`.
        end_pts: after the last frame, when it ends; None where nothing says so, where it is shown
            as long as the nominal rate says, or where the reading stopped at `limit` or too early.

    Raises InputError, from the constructor, for anything that is no readable video of at
    least 16x16, and while iterating for a picture that cannot be converted; UsageError for
    options that do not fit the source.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limit: int | None = None,
        options: SourceOptions | None = None,
    ):
        self._source = open_source(path, options)
        wanted = options or SourceOptions()
        self._limit = wanted.limit if limit is None else limit
        self.notices: list[str] = list(self._source.streams.notices)
        self.source_bytes = self._source.size
        self.truncated: str | None = None
        self.end_pts: int | None = None
        try:
            window = window_of(self._source.container, options)
            demuxer = Demuxer(self._source, self._source.streams.others)
            self._carriage = Carriage(self._source, demuxer, window)
            self._decoding = Decoding(self._source, demuxer)
            self._wholeness = Wholeness(self._source, demuxer, self._decoding)
            self._times = TimedPictures(self._source, demuxer, self._decoding, window)
            # The first picture is decoded now: only it tells the tags and that there is a video.
            self._pictures = iter(self._times)
            first = next(self._pictures, None)
            if first is None:
                raise InputError(self._times.why_none())
            self._is_resampled = wanted.fps is not None
            header = stream_header(self._source.streams.video)
            size = (first.width, first.height)
            cropping = cropping_of(header, size)
            self._filters = PictureFilters(
                wanted, self._times.time_base, self._times.frame_rate, cropping
            )
            described = describe(
                self._source,
                first,
                header,
                cropping,
                wanted,
                self._filters.time_base,
                wanted.fps or self._decoding.frame_rate,
            )
            self.format = described.format
            self.notices += described.notices
            self._carriage.begin()
        except BaseException:
            self.close()
            raise
        self.notices += self._carriage.notices
        self.streams: tuple[OtherStream, ...] = self._carriage.streams
        self.tags: FileTags = self._carriage.tags
        self.frame_count_hint = self._count_hint(wanted)
        self._converter = Converter(
            self.format.width,
            self.format.height,
            self.format.bit_depth,
            cropping.size if cropping else size,
        )
        self._frames = self._read(first)

    @property
    def video_stream(self) -> int:
        """Number of the video stream among all of the source."""
        return self._source.streams.video.index

    @property
    def has_clock(self) -> bool:
        """Whether the source says when its frames are shown, and not only at what rate."""
        return self._source.container.format.name not in _CLOCKLESS

    def close(self) -> None:
        """Close the source; no frames come after that."""
        self._source.close()

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
        return self._frames

    def take_packets(self) -> list[StreamPacket]:
        """Packets of `streams` that came since the last call, in the order of the source.

        After frame n: those before the video packet that the frame, or the latest picture that
        it needed, was decoded from; the same on any machine. After the last frame: all others.
        """
        return self._carriage.take(self._decoding.packets_of_pictures)

    def _read(self, first: av.VideoFrame) -> Iterator[Frame]:
        end: Fraction | None = None  # of the frames, in seconds, where they were cut off
        for count, picture in enumerate(self._filtered(first), 1):
            frame = self._frame(picture)
            yield frame
            if count == self._limit:
                end = frame.pts * self.format.time_base + self._duration_of(picture)
                break
        else:
            if not self._times.reached_end:
                self.truncated = self._source.gap or self._wholeness.shortfall()
                self.notices += self._wholeness.late_streams(self._carriage.indices)
                self._note(self._times.notices)  # what follows the last picture may jump too
            if not self.truncated and not self._is_resampled:
                self.end_pts = self._times.end_pts()
        self._carriage.finish(end)

    def _filtered(self, first: av.VideoFrame) -> Iterator[av.VideoFrame]:
        try:
            yield from self._filters.push(first)
            for picture in self._pictures:
                yield from self._filters.push(picture)
            yield from self._filters.flush(self._times.end_pts())
        except FFmpegError as error:
            what = f"cannot filter the pictures of {self._source.name}"
            raise InputError(f"{what}: {error.strerror}") from error

    def _frame(self, picture: av.VideoFrame) -> Frame:
        try:
            converted, notice = self._converter.convert(picture)
        except FFmpegError as error:
            raise InputError(
                f"cannot convert {self._source.name} from {picture.format.name}: {error.strerror}"
            ) from error
        self._note([*self._times.notices, *self._filters.notices, *([notice] if notice else [])])
        assert picture.pts is not None
        return Frame(*planes_of(converted, self.format.bit_depth), picture.pts)

    def _note(self, sentences: Sequence[str]) -> None:
        self.notices += [sentence for sentence in sentences if sentence not in self.notices]

    def _duration_of(self, picture: av.VideoFrame) -> Fraction:
        """Seconds."""
        if picture.duration:
            return picture.duration * self.format.time_base
        return 1 / (self.format.frame_rate or USUAL_RATE)

    def _count_hint(self, options: SourceOptions) -> int | None:
        hint = self._wholeness.expected_frames()
        if hint is None:
            return None
        rate = self._times.frame_rate
        seconds = max(hint / rate - (options.start or 0), 1 / rate)
        if options.duration is not None:
            seconds = min(seconds, options.duration)
        hint = max(round(seconds * (options.fps or rate)), 1)
        return hint if self._limit is None else min(hint, self._limit)
