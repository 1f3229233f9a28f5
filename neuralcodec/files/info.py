"""What an .nlc file holds, from its container alone."""

from dataclasses import dataclass, field

from neuralcodec.codec.time_span import TimeSpan
from neuralcodec.container import ContainerReader, GopRecord, GopStats, PacketsContent
from neuralcodec.errors import DamagedFile
from neuralcodec.files.paths import PathLike, open_input, shown_name
from neuralcodec.metrics import MAX_DB, PsnrMeter, psnr_yuv
from neuralcodec.model.installed import installed_models
from neuralcodec.references import referred_to
from neuralcodec.video import FieldOrder, VideoFormat

_FIELDS = {FieldOrder.TOP_FIRST: "top", FieldOrder.BOTTOM_FIRST: "bottom"}


@dataclass(frozen=True, slots=True)
class FrameInfo:
    """One frame; PSNR as recorded, at most 100 dB, None when the file says nothing."""

    number: int  # in the video, from 0
    gop: int  # in file order, from 0
    type: str  # "I" intra; "P" refers to frames shown before it alone, "B" to a later one too
    level: int  # in the hierarchy: 0 for anchors
    references: list[int]  # numbers in the video of the frames that it refers to, at most two
    pts: int  # in the file's time base
    time: float  # seconds
    bits: int  # of its payload
    quality: int  # -9..90
    psnr_y: float | None
    psnr_u: float | None
    psnr_v: float | None
    psnr_yuv: float | None


@dataclass(frozen=True, slots=True)
class GopInfo:
    """One group of pictures; PSNR is the mean over its frames."""

    number: int  # in file order, from 0
    first_frame: int
    frames: int
    time: float  # seconds, of its first frame
    bits: int  # of its payloads
    intra_bits: int  # of them, those of the intra frame
    lowest_quality: int
    highest_quality: int
    psnr_y: float | None
    psnr_u: float | None
    psnr_v: float | None
    psnr_yuv: float | None


@dataclass(frozen=True)
class StreamInfo:
    """A stream that is carried beside the pictures."""

    kind: str  # one of neuralcodec.streams.KINDS
    codec: str
    language: str | None  # as the source tags it
    packets: int
    bytes: int


@dataclass(frozen=True)
class FileInfo:
    """PSNR as the encoder recorded it; None when the file says nothing."""

    bytes: int
    width: int
    height: int
    bit_depth: int
    frame_rate: float | None  # frames per second
    display_matrix: list[int] | None  # nine integers as in ISO 14496-12
    shown: str | None  # the same in words
    field_order: str | None  # "top" or "bottom": the field of interlaced frames that is first
    frames: int
    duration: float  # seconds
    bitrate: float  # bits per second
    bpp: float
    gops: int
    max_gop_frames: int
    lowest_quality: int
    highest_quality: int
    model: str
    model_sha256: str
    model_installed: bool
    psnr_y: float | None
    psnr_u: float | None
    psnr_v: float | None
    psnr_yuv: float | None
    damage: list[str]
    streams: list[StreamInfo] = field(default_factory=list)
    gop_table: list[GopInfo] | None = None  # None unless asked for, as the next
    frame_table: list[FrameInfo] | None = None


def read_info(path: PathLike, *, gops: bool = False, frames: bool = False) -> FileInfo:
    """gops, frames: give a table of them too.

    Raises InputError or DamagedFile when not even one GOP can be read."""
    with open_input(path) as file:
        reader = ContainerReader(file, shown_name(path))
        header = reader.header
        fmt = header.format
        meter = PsnrMeter()
        span = TimeSpan(fmt)
        count, qualities = 0, set[int]()
        gop_table: list[GopInfo] = []
        frame_table: list[FrameInfo] = []
        carried = {s.number: [0, len(s.data)] for s in reader.extras.streams}  # packets, bytes
        for content in reader.contents(keep_going=True):
            if isinstance(content, PacketsContent):
                for packet in content.packets:
                    carried[packet.stream][0] += 1
                    carried[packet.stream][1] += len(packet.data)
                continue
            gop, stats = content.gop, content.stats
            span.add(list(gop.times))
            qualities |= {frame.q for frame in gop.frames}
            for y, u, v in stats.psnr if stats else ():
                meter.add_db(y, u, v)
            if gops:
                gop_table.append(_gop_info(count, gop, stats, fmt))
            if frames:
                frame_table += _frame_infos(count, gop, stats, fmt)
            count += 1
        span.end(reader.end_pts)
        size = reader.bytes_read
    if not count:
        raise DamagedFile(f"{shown_name(path)}: not one whole GOP in it")
    psnr_y, psnr_u, psnr_v, mean_yuv = _means(meter)
    return FileInfo(
        bytes=size,
        width=fmt.width,
        height=fmt.height,
        bit_depth=fmt.bit_depth,
        frame_rate=float(fmt.frame_rate) if fmt.frame_rate else None,
        display_matrix=list(fmt.display_matrix.numbers) if fmt.display_matrix else None,
        shown=str(fmt.display_matrix) if fmt.display_matrix else None,
        field_order=_FIELDS.get(fmt.field_order),
        frames=span.frames,
        duration=span.seconds,
        bitrate=8 * size / span.seconds,
        bpp=8 * size / (fmt.width * fmt.height * span.frames),
        gops=count,
        max_gop_frames=header.max_gop_frames,
        lowest_quality=min(qualities),
        highest_quality=max(qualities),
        model=header.model_name,
        model_sha256=header.model_sha256.hex(),
        model_installed=header.model_sha256 in installed_models().values(),
        psnr_y=psnr_y,
        psnr_u=psnr_u,
        psnr_v=psnr_v,
        psnr_yuv=mean_yuv,
        damage=[str(damage) for damage in reader.damage],
        streams=[
            StreamInfo(s.kind, s.codec, dict(s.metadata).get("language"), *carried[s.number])
            for s in reader.extras.streams
        ],
        gop_table=gop_table if gops else None,
        frame_table=frame_table if frames else None,
    )


def _gop_info(number: int, gop: GopRecord, stats: GopStats | None, fmt: VideoFormat) -> GopInfo:
    meter = PsnrMeter()
    for planes in stats.psnr if stats else ():
        meter.add_db(*planes)
    bits = [8 * len(frame.payload) for frame in gop.frames]
    qualities = [frame.q for frame in gop.frames]
    return GopInfo(
        number,
        gop.first_frame,
        len(gop.frames),
        _seconds(gop.times[0], fmt),
        sum(bits),
        bits[0],
        min(qualities),
        max(qualities),
        *_means(meter),
    )


def _frame_infos(
    number: int, gop: GopRecord, stats: GopStats | None, fmt: VideoFormat
) -> list[FrameInfo]:
    infos = []
    references = referred_to([frame.place for frame in gop.frames])
    by_place = {frame.place: numbers for frame, numbers in zip(gop.frames, references, strict=True)}
    for i, frame in enumerate(gop.shown):
        reads = by_place[frame.place]
        psnr: tuple[float, ...] | tuple[None, ...] = (None,) * 4
        if stats:
            planes = [min(db, MAX_DB) for db in stats.psnr[i]]
            psnr = (*planes, psnr_yuv(*planes))
        infos.append(
            FrameInfo(
                gop.first_frame + i,
                number,
                _type(i, reads),
                frame.place.level,
                [gop.first_frame + shown for shown in reads],
                frame.pts,
                _seconds(frame.pts, fmt),
                8 * len(frame.payload),
                frame.q,
                *psnr,
            )
        )
    return infos


def _type(shown: int, references: tuple[int, ...]) -> str:
    if not references:
        return "I"
    return "B" if max(references) > shown else "P"


def _seconds(pts: int, fmt: VideoFormat) -> float:
    return float(pts * fmt.time_base)


def _means(meter: PsnrMeter) -> tuple[float | None, float | None, float | None, float | None]:
    if not meter.frames:
        return None, None, None, None
    mean = meter.mean
    return mean.y, mean.u, mean.v, mean.yuv
