"""Rate-distortion curves of classical codecs on your clips, kept in a JSON file.

python scripts/compare_peers.py CLIP... --frames 96 --codecs x264,x265 --out results.json
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from statistics import mean

import click

from neuralcodec.bench import peers
from neuralcodec.errors import NcodecError
from neuralcodec.media import VideoReader
from neuralcodec.metrics import PsnrMeter, RatePoint, bd_rate
from neuralcodec.video import Frame, VideoFormat


@dataclass(frozen=True, order=True)
class Point:
    """One encoding of one clip: a line of the JSON file."""

    clip: str
    frames: int
    codec: str
    gop: int  # the largest distance of two intra frames
    crf: float
    bytes: int  # of the video packets
    bpp: float  # bits per luma sample
    psnr_y: float  # dB, means over the frames
    psnr_yuv: float
    encode_fps: float
    parameters: str

    @property
    def identity(self) -> tuple[str, int, str]:
        return self.clip, self.frames, self.parameters


def measure(
    clip: str, frames: list[Frame], fmt: VideoFormat, codec: str, crf: float, gop: int
) -> Point:
    result = peers.encode(frames, fmt, codec, quality=crf, gop=gop)
    meter = PsnrMeter()
    for reference, shown in zip(frames, result.decoded, strict=True):
        meter.add(reference, shown)
    samples = len(frames) * fmt.width * fmt.height
    return Point(
        clip=clip,
        frames=len(frames),
        codec=codec,
        gop=gop,
        crf=crf,
        bytes=result.bytes_total,
        bpp=round(result.bytes_total * 8 / samples, 5),
        psnr_y=round(meter.mean.y, 3),
        psnr_yuv=round(meter.mean.yuv, 3),
        encode_fps=round(result.encode_fps, 1),
        parameters=result.parameters,
    )


def curves_of(
    clip: Path, limit: int, codecs: Iterable[str], gop: int, known: Iterable[Point]
) -> Iterator[tuple[Point, bool]]:
    """Every point of the clip's curves, and whether it had to be measured now."""
    with VideoReader(clip, limit=limit) as reader:
        fmt, frames = reader.format, list(reader)
    known_by_identity = {point.identity: point for point in known}
    for codec in codecs:
        for crf in peers.PEERS[codec].qualities:
            parameters = peers.parameters(codec, quality=crf, gop=gop)
            point = known_by_identity.get((clip.name, len(frames), parameters))
            if point:
                yield point, False
            else:
                yield measure(clip.name, frames, fmt, codec, crf, gop), True


def load(path: Path) -> list[Point]:
    return [Point(**line) for line in json.loads(path.read_text())] if path.exists() else []


def save(points: Iterable[Point], path: Path) -> None:
    """Writes the whole file or nothing: an interrupted run keeps what it had."""
    lines = ",\n".join(json.dumps(asdict(point)) for point in sorted(points, key=astuple))
    partial = path.with_name(path.name + ".part")
    partial.write_text(f"[\n{lines}\n]\n")
    partial.replace(path)


def report(points: Iterable[Point], codecs: Iterable[str], anchor: str) -> None:
    """Prints the BD-rate (PSNR-YUV) of each codec against the anchor, clip by clip."""
    curves: dict[tuple[str, str], list[RatePoint]] = {}
    for point in points:
        curve = curves.setdefault((point.codec, point.clip), [])
        curve.append(RatePoint(point.bpp, point.psnr_yuv))
    clips = sorted({clip for _, clip in curves})
    for codec in codecs:
        if codec == anchor:
            continue
        deltas = []
        for clip in clips:
            try:
                deltas.append(bd_rate(curves[anchor, clip], curves[codec, clip]))
                click.echo(f"{codec} against {anchor}  {clip}  {deltas[-1]:+.1f} %")
            except ValueError as reason:
                click.echo(f"{codec} against {anchor}  {clip}  no BD-rate: {reason}")
        if deltas:
            click.echo(f"{codec} against {anchor}  mean of {len(deltas)}  {mean(deltas):+.1f} %")


def split_codecs(_context: click.Context, _parameter: click.Parameter, value: str) -> list[str]:
    codecs = value.split(",")
    if unknown := set(codecs) - set(peers.PEERS):
        raise click.BadParameter(f"unknown: {', '.join(unknown)}; known: {', '.join(peers.PEERS)}")
    return codecs


@click.command()
@click.argument(
    "clips", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.option(
    "--frames", "limit", default=96, show_default=True, help="Frames of each clip, at most."
)
@click.option(
    "--gop", default=96, show_default=True, help="Frames from one intra frame to the next."
)
@click.option(
    "--codecs",
    default="x264,x265",
    show_default=True,
    callback=split_codecs,
    help=f"Of {', '.join(peers.PEERS)}.",
)
@click.option(
    "--anchor", default="x265", show_default=True, help="The codec that BD-rates are against."
)
@click.option(
    "--out",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON file of points; those it holds already are not measured again.",
)
def main(
    clips: tuple[Path, ...], limit: int, gop: int, codecs: list[str], anchor: str, out: Path
) -> None:
    """Measure classical codecs on CLIPS: bytes, PSNR and speed at several qualities."""
    known = load(out)
    asked = []
    for clip in clips:
        try:
            for point, is_new in curves_of(clip, limit, codecs, gop, known):
                asked.append(point)
                if is_new:
                    known.append(point)
                    save(known, out)
                    click.echo(
                        f"{point.clip}  {point.codec} crf {point.crf:g}: {point.bpp:.4f} bpp, "
                        f"{point.psnr_yuv:.2f} dB, {point.encode_fps:.0f} frames/s",
                        err=True,
                    )
        except NcodecError as error:
            raise click.ClickException(f"{clip}: {error}") from error
    if anchor in codecs:
        report(asked, codecs, anchor)


if __name__ == "__main__":
    main()
