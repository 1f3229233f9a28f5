"""`decode`: an .nlc file or pipe -> a video that any player shows, with its PSNR."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import BinaryIO

from neuralcodec.codec.device import default_batch, find_device
from neuralcodec.container import ContainerReader, GopContent, GopRecord
from neuralcodec.decoder.conceal import Conceal, Concealer, ShownFrame
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.decoder.picture_limit import check_picture_size
from neuralcodec.endpoints import input_name, open_input_file, output_name, shown_input
from neuralcodec.errors import DamagedFile, InputError, UsageError
from neuralcodec.files.comparison import Comparison, Quality
from neuralcodec.files.encode import PIPE, PathLike, choose_precision, refuse_same_file
from neuralcodec.files.packet_queue import PacketQueue
from neuralcodec.files.progress import Progress, ProgressState
from neuralcodec.files.time_range import DecodePart, PartOptions, expected_frames, streams_of
from neuralcodec.media import check_output, open_writer
from neuralcodec.media.output import writes_streams
from neuralcodec.media.source import standard_input
from neuralcodec.media.stream_parameters import fault_of
from neuralcodec.metrics import PsnrMeter
from neuralcodec.model.model_file import find_model
from neuralcodec.streams import OtherStream, StreamPacket
from neuralcodec.video import Frame

DISAGREEMENT_DB = 0.05  # between recorded and measured PSNR: worth telling


@dataclass(frozen=True)
class DecodeSummary:
    """What `decode` did."""

    frames: int  # written
    width: int
    height: int
    fps: float  # frames decoded per second
    seconds: float
    model: str
    device: str
    recorded: Quality | None  # what the encoder wrote into the file
    measured: Quality | None  # against the reference, if one was given
    streams: int = 0  # other streams that were written
    notices: list[str] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)  # with keep_going: what is lost
    concealed: int = 0  # of the frames, those that stand in for lost ones
    stage_seconds: dict[str, float] = field(default_factory=dict)


def decode(
    src: PathLike,
    dst: PathLike,
    *,
    reference: PathLike | None = None,
    model: PathLike | None = None,
    device: str = "auto",
    batch: int | None = None,
    format: str | None = None,
    overwrite: bool = False,
    keep_going: bool = False,
    conceal: str = Conceal.HOLD,
    max_pixels: int | None = None,
    part: PartOptions | None = None,
    audio: bool = True,
    precision: str | None = None,
    progress: Progress | None = None,
) -> DecodeSummary:
    """Decompress an .nlc file; '-' is standard input or output (Y4M).

    dst's extension, or `format` (y4m, yuv, mp4, mov, mkv, png), says what is written; reference:
    the source, to measure PSNR and SSIM against; model: a .safetensors file, when the file was
    made with one that is not installed; keep_going: go on after damaged GOPs instead of failing,
    and conceal their frames: hold, black or drop (see `Conceal`); max_pixels: pictures of more are
    refused before anything is allocated for them; part: of the time, for which only the GOPs that
    hold it are decoded; audio: whether audio streams are written.

    Raises NcodecError for everything that is the input's or the environment's fault; the output
    then does not exist.
    """
    if batch is not None and batch < 1:
        raise UsageError(f"batch must be at least 1, not {batch}")
    how = _choose_conceal(conceal)
    src, dst = input_name(src), output_name(dst)
    refuse_same_file(src, dst)
    if reference is not None:
        reference = input_name(reference)
    if src == reference == PIPE:
        raise UsageError("the input and the reference cannot both be standard input")
    where = find_device(device)
    with open_input(src) as file:
        check_output(dst, overwrite, format=format)
        reader = ContainerReader(file, shown_name(src))
        header = reader.header
        fmt = header.format
        check_picture_size(fmt, max_pixels, shown_name(src), file)
        candidate = None if model is None else os.fspath(model)
        installed = find_model(header.model_name, header.model_sha256, candidate)
        settings = DecoderSettings(
            batch or default_batch(where), where, choose_precision(precision), keep_going
        )
        decoder = Decoder(installed, fmt, settings, shown_name(src))
        recorded = _Recorder()
        options = part or PartOptions()
        seekable = file.seekable()
        total = expected_frames(reader, options, fmt) if seekable else None
        chosen = DecodePart(reader, options, seekable)
        comparison = (
            Comparison(reference, reader.extras.origin, fmt) if reference is not None else None
        )
        streams, faults = streams_of(reader, audio), list[str]()
        if writes_streams(dst, format):
            streams, faults = _sound_streams(streams)
        if faults and not keep_going:
            advice = "use --keep-going to decode without it"
            raise DamagedFile(f"{shown_name(src)}: {faults[0]}; {advice}")
        queue = PacketQueue()
        gops = decoder.stopwatch.watch("reading", chosen.gops(keep_going, queue))
        concealer = Concealer(how, fmt, 0 if options.is_all else None)
        done = concealed = 0
        with closing(decoder.frames(recorded.watch(gops))) as decoded:
            frames = concealer.fill(map(recorded.find, decoded))
            first = next(frames, None)
            if first is None:
                what = "in it" if options.is_all else "of the part asked for"
                raise InputError(f"{shown_name(src)}: not one frame {what} can be decoded")
            tags = chosen.clip_tags(reader.extras.tags)  # a part's are known with its first frame
            with open_writer(
                dst, fmt, format=format, overwrite=overwrite, streams=streams, tags=tags
            ) as writer:
                for found in chain([first], frames, _lost_at_end(reader, concealer, options)):
                    shown = chosen.show(found.frame)
                    if shown is None:
                        continue
                    if done == options.frames:  # stand-ins have taken the places of some
                        break
                    with decoder.stopwatch.running("writing"):
                        writer.write_packets(_of_streams(queue.take(found.number), streams))
                        writer.write(shown)
                    recorded.add(found)
                    concealed += found.stands_in
                    if comparison and not found.stands_in:
                        with decoder.stopwatch.running("measuring"):
                            comparison.add(found.frame, found.number)
                    done += 1
                    if progress:
                        progress(ProgressState(done, total))
                with decoder.stopwatch.running("writing"):
                    writer.write_packets(_of_streams(queue.take(), streams))
                    writer.end_pts = chosen.end_pts()
                    writer.close()
        seconds = decoder.stopwatch.elapsed()
    measured = comparison.finish() if comparison else None
    notices = [*decoder.notices, *writer.notices]
    if comparison:
        notices += comparison.notices
        if recorded.quality and measured and not comparison.missing:
            gap = abs(recorded.quality.psnr_yuv - measured.psnr_yuv)
            if gap > DISAGREEMENT_DB:
                notices.append(f"recorded and measured PSNR differ by {gap:.2f} dB")
    return DecodeSummary(
        frames=done,
        width=fmt.width,
        height=fmt.height,
        fps=done / seconds,
        seconds=seconds,
        model=installed.name,
        device=str(where),
        recorded=recorded.quality,
        measured=measured,
        streams=len(streams),
        notices=notices,
        damage=[str(d) for d in (*faults, *reader.damage, *decoder.left_out)],
        concealed=concealed,
        stage_seconds={k: round(v, 3) for k, v in decoder.stopwatch.seconds.items()},
    )


@contextmanager
def open_input(src: PathLike) -> Iterator[BinaryIO]:
    """Raises InputError when it cannot be read, UsageError for a URL."""
    name = input_name(src)
    if name == PIPE:
        yield standard_input()
        return
    with open_input_file(name) as file:
        yield file


def shown_name(src: PathLike) -> str:
    """For messages."""
    return shown_input(input_name(src))


def _sound_streams(
    streams: Sequence[OtherStream],
) -> tuple[tuple[OtherStream, ...], list[str]]:
    """The streams that FFmpeg understands, and what is wrong with the others."""
    found = [(stream, fault_of(stream)) for stream in streams]
    sound = tuple(stream for stream, fault in found if fault is None)
    return sound, [fault for _, fault in found if fault is not None]


def _of_streams(
    packets: Iterable[StreamPacket], streams: Sequence[OtherStream]
) -> list[StreamPacket]:
    numbers = {stream.number for stream in streams}
    return [packet for packet in packets if packet.stream in numbers]


def _choose_conceal(name: str) -> Conceal:
    try:
        return Conceal(name)
    except ValueError:
        known = ", ".join(Conceal)
        raise UsageError(
            f"lost frames cannot be concealed by '{name}'; there are {known}"
        ) from None


def _lost_at_end(
    reader: ContainerReader, concealer: Concealer, options: PartOptions
) -> Iterator[ShownFrame]:
    """What the file says at its end is known only once all before has been read."""
    if options.is_all:
        yield from concealer.fill_end(reader.frame_total)


@dataclass(frozen=True)
class _RecordedFrame:
    number: int  # in the source
    pts: int
    psnr: tuple[float, float, float] | None  # Y, U, V in dB


class _Recorder:
    """Knows the number and the recorded PSNR of each frame that is decoded."""

    def __init__(self) -> None:
        self.meter = PsnrMeter()
        self._ahead: deque[_RecordedFrame] = deque()  # read, and not decoded so far

    def watch(self, contents: Iterable[GopContent]) -> Iterator[GopRecord]:
        """The GOPs, noted as they pass by."""
        for content in contents:
            gop, stats = content.gop, content.stats
            for i, frame in enumerate(gop.frames):
                psnr = stats.psnr[i] if stats else None
                self._ahead.append(_RecordedFrame(gop.first_frame + i, frame.pts, psnr))
            yield gop

    def find(self, decoded: Frame) -> ShownFrame:
        """What is known of a frame; those before it that never came were left out."""
        while (known := self._ahead.popleft()).pts != decoded.pts:
            pass
        return ShownFrame(known.number, decoded, known.psnr)

    def add(self, frame: ShownFrame) -> None:
        """It is shown: its PSNR counts."""
        if frame.psnr:
            self.meter.add_db(*frame.psnr)

    @property
    def quality(self) -> Quality | None:
        return Quality.of(self.meter.mean) if self.meter.frames else None
