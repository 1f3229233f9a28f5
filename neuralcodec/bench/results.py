"""What a bench found: the types, and their JSON (`docs/bench.md` documents it).

`codec` is always a label of a codec in one setting: `x265:medium`, `x265:medium:lowdelay`,
`ncodec`. A figure that could not be taken is None (`null`), never 0.
"""

import json
import types
import typing
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from neuralcodec.errors import InputError

SCHEMA = 1
"""Version of the JSON: raised when a field is renamed, removed or changes its meaning."""


@dataclass(frozen=True)
class FramePicture:
    """One frame as a lossless 8-bit RGB PNG."""

    frame: int  # number in the clip, from 0
    path: str  # of the PNG, absolute; in the bench's cache
    psnr_yuv: float | None  # of this frame alone, dB; None in a source


@dataclass(frozen=True)
class Clip:
    """A source, as far as it was measured."""

    name: str  # unique among the clips of a bench: the file's name, if need be with a number
    path: str  # as it was given
    sha256: str  # of the file
    width: int  # luma samples
    height: int
    bit_depth: int
    frame_rate: float | None  # frames per second; None if the source does not say
    frames: int  # that were coded
    pictures: tuple[FramePicture, ...]  # the chosen frames, as in the source


@dataclass(frozen=True)
class Codec:
    """A codec in one setting."""

    label: str  # unique: `x265:medium:lowdelay`
    name: str  # `x265`
    preset: str  # `medium`; empty for a codec without presets or at its default
    low_delay: bool  # no frame waits for a later one
    version: str  # of the encoder's library, as well as it is known
    parameters: str  # with which it was driven, `{quality}` where the quality stands


@dataclass(frozen=True)
class Spread:
    """Repeated measurements of one figure."""

    median: float
    lowest: float
    highest: float
    count: int


@dataclass(frozen=True)
class Point:
    """One codec at one quality on one clip. Quality figures are means over frames."""

    clip: str  # Clip.name
    codec: str  # Codec.label
    quality: float  # crf of classical codecs, 0..63 of ncodec
    parameters: str  # the exact ones
    payload_bytes: int  # of the video alone
    container_bytes: int  # what the file has beside: .nlc of ncodec, Matroska of the others
    bpp: float  # bits of payload per luma sample
    kbps: float | None  # 1000 bits of payload per second; None if the frame rate is unknown
    psnr_y: float  # dB
    psnr_u: float
    psnr_v: float
    psnr_yuv: float  # (6 Y + U + V) / 8
    ssim: float | None  # of luma, 0..1; None where not asked for or the clip is too small
    ms_ssim: float | None
    vmaf: float | None  # 0..100
    encode_fps: Spread  # frames per second
    decode_fps: Spread
    encode_memory: Spread | None  # peak resident bytes of the process; None where unknown
    decode_memory: Spread | None
    pictures: tuple[FramePicture, ...]  # the same frames as Clip.pictures, as decoded


@dataclass(frozen=True)
class Delta:
    """A codec against the anchor on one clip, by PSNR-YUV and payload bits."""

    clip: str
    codec: str
    bd_rate: float | None  # percent of bits at equal PSNR; below 0 is better than the anchor
    bd_psnr: float | None  # dB at equal bits; above 0 is better than the anchor
    psnr_range: tuple[float, float] | None  # dB, lowest and highest that both curves cover
    reason: str | None  # why there is no BD-rate


@dataclass(frozen=True)
class Skipped:
    """A codec that could not be measured on a clip, or a clip that was not measured at all."""

    clip: str
    codec: str | None  # None: all of them
    reason: str


@dataclass(frozen=True)
class AbsentMetric:
    """A metric that was asked for and that nothing here can compute."""

    name: str
    reason: str


@dataclass(frozen=True)
class Setup:
    """When, where and how it was measured."""

    date: str  # ISO 8601, UTC
    command: str
    machine: str  # `AMD EPYC, 2 cores, Linux 6.1 x86_64`
    device: str  # that ncodec ran on
    versions: dict[str, str]  # of ncodec, its model, Python, PyAV, FFmpeg's libraries, torch
    metrics: tuple[str, ...]  # that were measured: psnr, ssim, ms-ssim, vmaf
    absent_metrics: tuple[AbsentMetric, ...]
    anchor: str  # Codec.label
    points: int  # qualities per codec
    gop: int  # most frames from one intra frame to the next
    frames: int | None  # most frames of a clip; None: all
    repeats: int  # timings of each point


@dataclass(frozen=True)
class BenchResults:
    """Everything that one bench found; points are in the order of clips, codecs and rates."""

    setup: Setup
    clips: tuple[Clip, ...]
    codecs: tuple[Codec, ...]
    points: tuple[Point, ...]
    deltas: tuple[Delta, ...]  # one for each clip and codec other than the anchor, if measured
    skipped: tuple[Skipped, ...]
    schema: int = SCHEMA

    def curve(self, clip: str, codec: str) -> list[Point]:
        """The points of one codec on one clip, lowest rate first."""
        found = [p for p in self.points if (p.clip, p.codec) == (clip, codec)]
        return sorted(found, key=lambda point: point.payload_bytes)

    def without_pictures(self) -> "BenchResults":
        """For files: the paths are those of one user's cache."""
        return replace(
            self,
            clips=tuple(replace(clip, pictures=()) for clip in self.clips),
            points=tuple(replace(point, pictures=()) for point in self.points),
        )

    def common_psnr_range(self, clip: str) -> tuple[float, float] | None:
        """PSNR-YUV in dB, lowest and highest, that every codec's curve covers on this clip; None
        where there is no such range."""
        curves = [self.curve(clip, codec.label) for codec in self.codecs]
        levels = [[point.psnr_yuv for point in curve] for curve in curves if curve]
        if not levels:
            return None
        low, high = max(map(min, levels)), min(map(max, levels))
        return (low, high) if low < high else None


def write_json(results: BenchResults, path: Path) -> None:
    path.write_text(json.dumps(asdict(results), indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> BenchResults:
    """Raises InputError for what is not such a file, or of another version."""
    try:
        data = json.loads(path.read_text())
        if data["schema"] != SCHEMA:
            raise InputError(f"{path}: made by another ncodec (schema {data['schema']})")
        return from_plain(BenchResults, data)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the results of a bench ({error})") from error


Record = TypeVar("Record")


def from_plain(kind: type[Record], data: dict[str, Any]) -> Record:
    """A dataclass of this module from what `asdict` and JSON made of it.

    Raises KeyError or TypeError where fields are missing or of another kind.
    """
    hints = typing.get_type_hints(kind)
    return kind(**{f.name: _value(hints[f.name], data[f.name]) for f in fields(kind)})  # type: ignore[arg-type]


def _value(hint: Any, data: Any) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        if data is None:
            return None
        return _value(next(a for a in arguments if a is not types.NoneType), data)
    if origin is tuple:
        kinds = arguments[:1] * len(data) if arguments[-1] is Ellipsis else arguments
        return tuple(_value(kind, item) for kind, item in zip(kinds, data, strict=True))
    if is_dataclass(hint):
        return from_plain(hint, data)  # type: ignore[arg-type]
    plain = origin or hint
    if plain is float and type(data) is int:
        return float(data)
    if not isinstance(data, plain) or (type(data) is bool and plain is not bool):
        raise TypeError(f"{data!r} is no {plain.__name__}")
    return data
