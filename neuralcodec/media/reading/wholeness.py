"""Whether a source came to its end, or what of it is missing."""

from collections.abc import Collection
from fractions import Fraction

from neuralcodec.media.reading.decoding import Decoding
from neuralcodec.media.reading.demuxing import Demuxer
from neuralcodec.media.reading.file_end import is_cut_off
from neuralcodec.media.reading.joined_clock import may_begin_anew
from neuralcodec.media.sources.late_streams import ListedStream, listed_streams
from neuralcodec.media.sources.source import Source
from neuralcodec.media.sources.stated_times import duration_by_tag, stated_duration
from neuralcodec.media.sources.stream_selection import is_video

# A source may end this much before its stated duration and still be whole, in seconds: where that
# of the video is stated, and where it is that of the longest stream, which muxers only estimate.
_DURATION_SLACK = Fraction(1, 10)
_LONGEST_SLACK = Fraction(1)
# Containers whose headers state a duration; that of others FFmpeg estimates from what is there.
_STATE_DURATIONS = ("mov", "matroska", "flv", "asf")
_SMALLEST_PACKET = 188  # bytes: a frame of MPEG-TS takes one at least
# Part of a source that may follow the last picture without pictures that belong to it.
_LARGEST_REST = Fraction(1, 20)
# Seconds without pictures, where there is other video that appeared in the middle.
_LONGEST_PAUSE = Fraction(1, 2)


class Wholeness:
    """What the headers of a source promise, to be compared with what came.

    To be made before the first packet is read.
    """

    def __init__(self, source: Source, demuxer: Demuxer, decoding: Decoding):
        self._source = source
        self._demuxer = demuxer
        self._decoding = decoding
        self._stream = source.streams.video
        self._at_opening = listed_streams(source.container)

    def expected_frames(self) -> int | None:
        """Number of frames as the headers tell it, or None."""
        duration, rate = stated_duration(self._source), self._decoding.frame_rate
        if self._stream.frames > 1:
            return self._stream.frames
        if duration is None or rate is None:
            return None
        frames = round(duration * rate)
        if may_begin_anew(self._source.container) and self._source.size is not None:
            # Where the clock jumps, FFmpeg's estimate of the duration may be days.
            frames = min(frames, self._source.size // _SMALLEST_PACKET)
        return frames if frames > 1 else None  # broken time stamps add up to next to nothing

    def late_streams(self, carried: Collection[int]) -> list[str]:
        """After the last packet: a sentence for each stream that is other than at the opening.

        carried: indices of the streams that are taken beside the video.
        """
        name, sentences = self._source.name, []
        for index, stream in listed_streams(self._source.container).items():
            before = self._at_opening.get(index)
            if before is None and index >= len(self._source.container.streams):
                sentences.append(
                    f"{stream.kind} stream 0:{index} ({stream.codec}) of {name} is left out: "
                    "it begins in the middle"
                )
            elif before is not None and index in carried and before.codec != stream.codec:
                sentences.append(
                    f"{before.kind} stream 0:{index} of {name} changes its codec in the middle, "
                    f"from {before.codec} to {stream.codec}: what follows cannot be decoded"
                )
        return sentences

    def shortfall(self) -> str | None:
        """After the last picture: in what way the source was not whole, or None."""
        name, losses = self._source.name, self._decoding.losses
        if self._demuxer.read_error:
            return f"{name} broke off: {self._demuxer.read_error}"
        if self._codec_has_changed():
            return f"the video of {name} changes its codec in the middle: the rest is left out"
        if (elsewhere := self._goes_on_elsewhere()) is not None:
            return (
                f"the video of {name} goes on in another stream (0:{elsewhere}): "
                "that part is left out"
            )
        is_cut = is_cut_off(self._source, self._demuxer)
        if is_cut is not False and (early := self._early_end()) is not None:
            end, stated = early
            return f"{name} broke off after {float(end):.2f} of {float(stated):.2f} seconds"
        if self._cut_in_a_frame():
            return f"{name} broke off in the middle of a frame"
        if any(passed.last_is_cut for passed in self._demuxer.passed.values()):
            return f"{name} broke off in the middle of a packet"
        if is_cut:
            return f"{name} broke off: it is cut off in the middle"
        if losses.packets or losses.pictures:
            return (
                f"{name} is damaged (frames lost: {losses.packets}, "
                f"decoded with errors: {losses.pictures})"
            )
        return None

    def _codec_has_changed(self) -> bool:
        before = self._at_opening.get(self._stream.index)
        now = listed_streams(self._source.container).get(self._stream.index)
        return before is not None and now is not None and before.codec != now.codec

    def _goes_on_elsewhere(self) -> int | None:
        """The stream that has pictures after the last one of the video; None if there is none."""
        passed = self._demuxer.passed
        own = passed.get(self._stream.index)
        if own is None or own.first_byte is None or own.last_byte is None:
            return None
        known = self._source.container.streams
        for stream in known:
            other = passed.get(stream.index)
            is_other = is_video(stream) and stream is not self._stream
            if is_other and other is not None and (other.first_byte or 0) > own.last_byte:
                return stream.index
        late = [s.index for s in self._late() if s.kind == "video"]
        # PyAV gives no packets of such a stream: what else is there has to tell.
        size = self._source.size or (self._source.pipe.bytes_read if self._source.pipe else 0)
        is_rest_large = size - own.last_byte > _LARGEST_REST * size
        pause = max(own.longest_pause, self._end() - own.end)
        return late[0] if late and (is_rest_large or pause > _LONGEST_PAUSE) else None

    def _late(self) -> list[ListedStream]:
        known = len(self._source.container.streams)
        return [s for s in listed_streams(self._source.container).values() if s.index >= known]

    def _end(self) -> Fraction:
        """Seconds, of what came last of any stream."""
        ends = [passed.end for passed in self._demuxer.passed.values()]
        return max([self._decoding.losses.end, *ends])

    def _early_end(self) -> tuple[Fraction, Fraction] | None:
        """Where it ended and should have, in seconds; None if the headers promise no more."""
        if self._stream.frames and self._demuxer.video_packets >= self._stream.frames:
            return None
        stated = stated_duration(self._source)
        if stated is None or self._demuxer.jumps:
            return None
        frame = 1 / self._decoding.frame_rate if self._decoding.frame_rate else Fraction(0)
        is_own = self._stream.frames or duration_by_tag(self._source) is not None
        if is_own or len(self._source.container.streams) == 1:
            end, slack = self._decoding.losses.end, _DURATION_SLACK
        elif self._source.container.format.name.startswith(_STATE_DURATIONS):
            end, slack = self._end(), _LONGEST_SLACK
        else:
            return None
        return (end, stated) if end + max(2 * frame, slack) < stated else None

    def _cut_in_a_frame(self) -> bool:
        """Whether bytes follow the last whole frame of uncompressed video."""
        if self._source.container.format.name == "rawvideo":
            # Nothing but a part of a frame cannot be decoded.
            return self._decoding.losses.packets > 0
        # Of a Y4M FFmpeg drops them silently.
        if self._source.container.format.name != "yuv4mpegpipe":
            return False
        pipe = self._source.pipe
        size = pipe.bytes_read if pipe else self._source.size
        return size is not None and size > self._demuxer.bytes_used
