"""What ncodec does to clips, beside classical codecs at the same PSNR: the README's table.

    python scripts/results_table.py CLIP... --peers results/peers.json --out results/ncodec.json

Every point is a whole encode and decode; PSNR is measured on the decoded frames against the
source. The bits of ncodec are those of its whole file, those of the peers their video packets.
"""

import json
import math
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean

import click
import numpy as np
import torch

import neuralcodec
from neuralcodec.codec.decoder import Decoder, DecoderSettings
from neuralcodec.codec.predicted_bits import predicted_bits
from neuralcodec.container import ContainerReader
from neuralcodec.metrics import RatePoint, bd_rate
from neuralcodec.model.zoo import load_model

QUALITIES = (8, 20, 32, 44, 56)
SHOWN = (8, 32, 56)
PEERS = ("x264", "x265")


@dataclass(frozen=True)
class Point:
    """One encoding of one clip."""

    clip: str
    frames: int
    quality: int
    bytes: int
    bpp: float
    psnr_y: float
    psnr_yuv: float  # measured on the decoded frames
    recorded_yuv: float  # as the encoder wrote it into the file
    written_over_predicted: float  # payload bits / bits by the model's distributions
    model: str


def measure(clip: Path, frames: int, gop: int, quality: int, model: str) -> Point:
    with tempfile.TemporaryDirectory() as folder:
        coded, shown = Path(folder, "clip.nlc"), Path(folder, "clip.y4m")
        made = neuralcodec.encode(clip, coded, quality=quality, gop=gop, frames=frames, model=model)
        done = neuralcodec.decode(coded, shown, reference=clip)
        assert done.measured and done.recorded
        return Point(
            clip=clip.name,
            frames=made.frames,
            quality=quality,
            bytes=made.bytes,
            bpp=round(made.bpp, 5),
            psnr_y=round(done.measured.psnr_y, 3),
            psnr_yuv=round(done.measured.psnr_yuv, 3),
            recorded_yuv=round(done.recorded.psnr_yuv, 3),
            written_over_predicted=round(_written_over_predicted(coded, model), 4),
            model=load_model(model).sha256.hex()[:16],
        )


def _written_over_predicted(coded: Path, model: str) -> float:
    with coded.open("rb") as file:
        reader = ContainerReader(file, coded.name)
        settings = DecoderSettings(1, torch.device("cpu"), torch.float32)
        decoder = Decoder(load_model(model), reader.header.format, settings, coded.name)
        written, predicted = 0.0, 0.0
        for gop, _ in reader.gops():
            written += sum(8 * len(frame.payload) for frame in gop.frames)
            predicted += sum(predicted_bits(decoder, gop))
    return written / predicted


def rate_at(curve: list[RatePoint], psnr: float) -> float | None:
    """Bits per sample of a peer at a PSNR, between its points on a log scale."""
    points = sorted(curve, key=lambda point: point.psnr)
    levels = [point.psnr for point in points]
    if not levels[0] <= psnr <= levels[-1]:
        return None
    return math.exp(float(np.interp(psnr, levels, [math.log(point.rate) for point in points])))


def table(points: list[Point], peers: dict[tuple[str, str], list[RatePoint]]) -> str:
    head = ["clip", "q", "PSNR-YUV", "ncodec bpp", *(f"{p} medium bpp" for p in PEERS)]
    rows = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    for point in points:
        if point.quality in SHOWN:
            cells = [point.clip.split(".")[0], str(point.quality), f"{point.psnr_yuv:.2f} dB"]
            cells.append(f"{point.bpp:.4f}")
            for peer in PEERS:
                rate = rate_at(peers.get((peer, point.clip), []), point.psnr_yuv)
                cells.append("out of range" if rate is None else f"{rate:.4f}")
            rows.append("| " + " | ".join(cells) + " |")
    return "\n".join(rows)


def bd_table(points: list[Point], peers: dict[tuple[str, str], list[RatePoint]]) -> str:
    names = sorted({codec for codec, _ in peers})
    rows = ["| clip | " + " | ".join(f"BD-rate over {n}" for n in names) + " |"]
    rows.append("| --- " + "| ---: " * len(names) + "|")
    found: dict[str, list[float]] = {name: [] for name in names}
    for clip in dict.fromkeys(point.clip for point in points):
        curve = [RatePoint(p.bpp, p.psnr_yuv) for p in points if p.clip == clip]
        cells = []
        for name in names:
            try:
                figure = bd_rate(peers[name, clip], curve)
                found[name].append(figure)
                cells.append(f"{figure:+.0f} %")
            except (KeyError, ValueError) as reason:
                cells.append(f"none ({reason})")
        rows.append(f"| {clip.split('.')[0]} | " + " | ".join(cells) + " |")
    means = " | ".join(f"{mean(v):+.0f} %" if v else "none" for v in found.values())
    return "\n".join([*rows, f"| mean | {means} |"])


@click.command()
@click.argument("clips", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--frames", default=96, show_default=True, help="Frames of each clip, at most.")
@click.option("--gop", default=96, show_default=True)
@click.option("--model", default="fast", show_default=True)
@click.option("--peers", type=click.Path(exists=True, path_type=Path), required=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="JSON file of points.")
def main(
    clips: tuple[Path, ...], frames: int, gop: int, model: str, peers: Path, out: Path
) -> None:
    """Measure ncodec on CLIPS and print tables in Markdown."""
    points = []
    for clip in clips:
        for quality in QUALITIES:
            points.append(measure(clip, frames, gop, quality, model))
            click.echo(json.dumps(asdict(points[-1])), err=True)
    lines = ",\n".join(json.dumps(asdict(point)) for point in points)
    out.write_text(f"[\n{lines}\n]\n")
    curves: dict[tuple[str, str], list[RatePoint]] = {}
    for line in json.loads(peers.read_text()):
        point = RatePoint(line["bpp"], line["psnr_yuv"])
        curves.setdefault((line["codec"], line["clip"]), []).append(point)
    click.echo(table(points, curves) + "\n\n" + bd_table(points, curves))


if __name__ == "__main__":
    main()
