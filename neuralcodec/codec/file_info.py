"""What an .nlc file holds, from its container alone."""

from dataclasses import dataclass

from neuralcodec.codec.decode_file import open_input, shown_name
from neuralcodec.codec.encode_file import PathLike
from neuralcodec.codec.time_span import TimeSpan
from neuralcodec.container import ContainerReader
from neuralcodec.errors import DamagedFile, ModelError
from neuralcodec.metrics import PsnrMeter
from neuralcodec.model.zoo import find_model


@dataclass(frozen=True)
class FileInfo:
    """PSNR as the encoder recorded it; None when the file says nothing."""

    bytes: int
    width: int
    height: int
    bit_depth: int
    frame_rate: float | None  # frames per second
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


def read_info(path: PathLike) -> FileInfo:
    """Raises InputError or DamagedFile when not even one GOP can be read."""
    with open_input(path) as file:
        reader = ContainerReader(file, shown_name(path))
        header = reader.header
        fmt = header.format
        meter = PsnrMeter()
        span = TimeSpan(fmt)
        gops, qualities = 0, set()
        for gop, stats in reader.gops(keep_going=True):
            gops += 1
            span.add([frame.pts for frame in gop.frames])
            qualities |= {frame.q for frame in gop.frames}
            for y, u, v in stats.psnr if stats else ():
                meter.add_db(y, u, v)
        size = reader.bytes_read
    if not gops:
        raise DamagedFile(f"{shown_name(path)}: not one whole GOP in it")
    psnr = meter.mean if meter.frames else None
    return FileInfo(
        bytes=size,
        width=fmt.width,
        height=fmt.height,
        bit_depth=fmt.bit_depth,
        frame_rate=float(fmt.frame_rate) if fmt.frame_rate else None,
        frames=span.frames,
        duration=span.seconds,
        bitrate=8 * size / span.seconds,
        bpp=8 * size / (fmt.width * fmt.height * span.frames),
        gops=gops,
        max_gop_frames=header.max_gop_frames,
        lowest_quality=min(qualities),
        highest_quality=max(qualities),
        model=header.model_name,
        model_sha256=header.model_sha256.hex(),
        model_installed=_is_installed(header.model_name, header.model_sha256),
        psnr_y=psnr.y if psnr else None,
        psnr_u=psnr.u if psnr else None,
        psnr_v=psnr.v if psnr else None,
        psnr_yuv=psnr.yuv if psnr else None,
        damage=[str(damage) for damage in reader.damage],
    )


def _is_installed(name: str, sha256: bytes) -> bool:
    try:
        find_model(name, sha256)
    except ModelError:
        return False
    return True
