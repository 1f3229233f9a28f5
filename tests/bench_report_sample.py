"""Results of a bench as a report shows them: made-up figures, pictures of the bundled clip."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from codec_clips import city_frames

from neuralcodec.bench.results import (
    AbsentMetric,
    BenchResults,
    Clip,
    Codec,
    Delta,
    FramePicture,
    Point,
    Setup,
    Spread,
)
from neuralcodec.media.planes import to_picture

CITY, HOSTILE = "city.mp4", "<script>alert(1)</script>.mp4"
ANCHOR = "x265:medium"
LABELS = ("ncodec", "x264:medium", ANCHOR, "x265:medium:lowdelay")
WIDTH, HEIGHT = 144, 80
FRAMES = (0, 2)
REASON = "the PSNR ranges 27.10..28.00 and 27.50..41.00 overlap by less than 1 dB"

_RATE = {"ncodec": 1.45, "x264:medium": 1.25, ANCHOR: 1.0, "x265:medium:lowdelay": 1.1}


def sample_results(folder: Path) -> BenchResults:
    """Two clips, the second with a hostile name; four codecs at four rates each, which double
    from point to point; a refused BD-rate. Pictures become PNG files in `folder`."""
    fmt, frames = city_frames(max(FRAMES) + 1)
    shown = {}
    for number in FRAMES:
        rgb = to_picture(frames[number], fmt).to_ndarray(format="rgb24")
        shown[number] = rgb[60 : 60 + HEIGHT, 120 : 120 + WIDTH]
    names = (CITY, HOSTILE)
    clips = tuple(
        Clip(
            name, f"clips/{name}", "0" * 64, WIDTH, HEIGHT, 8, 25.0, 3,
            _pictures(folder, f"{place}-source", shown, 1, [None] * len(shown)),
        )
        for place, name in enumerate(names)
    )  # fmt: skip
    points = tuple(
        _point(folder, f"{place}-{label.replace(':', '_')}-{step}", name, label, step, shown)
        for place, name in enumerate(names)
        for label in LABELS
        for step in range(4)
    )
    deltas = tuple(
        Delta(name, label, 100 * (_RATE[label] - 1), -0.5, (28.0, 40.0), None)
        if (name, label) != (HOSTILE, "ncodec")
        else Delta(name, label, None, None, None, REASON)
        for name in names
        for label in LABELS
        if label != ANCHOR
    )
    return BenchResults(_setup(), clips, tuple(map(_codec, LABELS)), points, deltas, ())


def write_png(path: Path, rgb: np.ndarray) -> None:
    """(H, W, 3) uint8."""
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = rgb.shape[:2]
    encoder.pix_fmt, encoder.time_base = "rgb24", Fraction(1)
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    path.write_bytes(b"".join(map(bytes, encoder.encode(picture) + encoder.encode(None))))


def _pictures(
    folder: Path, stem: str, shown: dict[int, np.ndarray], step: int, psnr: Sequence[float | None]
) -> tuple[FramePicture, ...]:
    """The frames, with values rounded down to multiples of `step`."""
    for number, rgb in shown.items():
        write_png(folder / f"{stem}-{number}.png", rgb // step * step)
    return tuple(
        FramePicture(number, str(folder / f"{stem}-{number}.png"), own)
        for number, own in zip(shown, psnr, strict=True)
    )


def _point(
    folder: Path, stem: str, clip: str, label: str, step: int, shown: dict[int, np.ndarray]
) -> Point:
    bpp = 0.05 * 2**step * _RATE[label]
    size = round(bpp * WIDTH * HEIGHT * 3 / 8)
    psnr = 28.0 + 4 * step
    fps = 100.0 / (LABELS.index(label) + 1)
    return Point(
        clip=clip, codec=label, quality=40.0 - 6 * step,
        parameters=f"{label} quality={40 - 6 * step}", payload_bytes=size, container_bytes=900,
        bpp=bpp, kbps=bpp * WIDTH * HEIGHT * 25 / 1000,
        psnr_y=psnr - 1, psnr_u=psnr + 3, psnr_v=psnr + 3, psnr_yuv=psnr,
        ssim=0.8 + step / 20, ms_ssim=None, vmaf=None,
        encode_fps=Spread(fps, fps * 0.9, fps * 1.1, 3), decode_fps=Spread(500.0, 450.0, 520.0, 3),
        encode_memory=Spread(2e8, 1.9e8, 2.1e8, 3), decode_memory=None,
        pictures=_pictures(folder, stem, shown, 32 >> step, (psnr + 0.75, psnr - 1.25)),
    )  # fmt: skip


def _codec(label: str) -> Codec:
    name, *rest = label.split(":")
    # ncodec never waits for a later frame, without saying so in its name.
    low_delay = name == "ncodec" or "lowdelay" in rest
    preset = rest[0] if rest else ""
    return Codec(label, name, preset, low_delay, "1.0", f"{name} quality={{quality}}")


def _setup() -> Setup:
    return Setup(
        date="2026-01-02T03:04:05+00:00", command=f"ncodec bench '{HOSTILE}' --html r.html",
        machine="a machine, 2 cores", device="cpu", versions={"ncodec": "1.0"},
        metrics=("psnr", "ssim"), absent_metrics=(AbsentMetric("vmaf", "not in this build"),),
        anchor=ANCHOR, points=4, gop=96, frames=3, repeats=3,
    )  # fmt: skip
