"""Makes tests/golden anew: files that every later version must decode to the same symbols.

    python scripts/make_golden_files.py

To be run when the model that `encode` takes by default changes, or the format of the file.
"""

import hashlib
import json
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch

import neuralcodec
from neuralcodec.container import ContainerReader, GopContent, PacketsContent
from neuralcodec.decoder.decoder import Decoder, DecoderSettings
from neuralcodec.media.planes import to_picture
from neuralcodec.model.model_file import DEFAULT_MODEL, find_model

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests" / "golden"
sys.path.append(str(ROOT / "tests"))

from codec_clips import city_frames, cropped, ten_bit  # noqa: E402
from golden_files import describe_frame  # noqa: E402

from neuralcodec.video import Frame, VideoFormat  # noqa: E402

SAMPLE_RATE = 48000


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    fmt, frames = city_frames(9)
    small, tiny = cropped(fmt, frames, 112, 64), cropped(fmt, frames[:6], 64, 48)
    odd = cropped(fmt, frames[:7], 65, 49)
    made = {
        "plain.nlc": (small, 32, "medium", False),
        "ten_bit.nlc": (ten_bit(*tiny), 50, "slow", False),
        "odd_with_sound.nlc": (odd, 12, "fast", True),
    }
    described = {}
    for name, ((format_, pictures), quality, preset, has_sound) in made.items():
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "source.mkv")
            write_source(source, format_, pictures, has_sound)
            neuralcodec.encode(
                source,
                FOLDER / name,
                quality=quality,
                preset=preset,
                gop=4,
                model=DEFAULT_MODEL,
                device="cpu",
                precision="float32",
                overwrite=True,
            )
        described[name] = describe(FOLDER / name)
        print(f"{name}: {(FOLDER / name).stat().st_size} bytes")
    lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in described.items()]
    (FOLDER / "golden.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def write_source(path: Path, fmt: VideoFormat, frames: list[Frame], has_sound: bool) -> None:
    """Lossless."""
    with av.open(path, "w") as container:
        video = container.add_stream("ffv1", 25)
        video.width, video.height = fmt.width, fmt.height
        video.pix_fmt = "yuv420p" if fmt.bit_depth == 8 else "yuv420p10le"
        sound = container.add_stream("flac", SAMPLE_RATE, layout="mono") if has_sound else None
        for number, frame in enumerate(frames):
            picture = to_picture(frame, fmt)
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
        if sound:
            wave = np.sin(np.arange(len(frames) * SAMPLE_RATE // 25) / 31) * 9000
            tone = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], "s16", "mono")
            tone.sample_rate, tone.pts, tone.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
            container.mux(sound.encode(tone))
            container.mux(sound.encode(None))


def describe(path: Path) -> dict[str, object]:
    """What the test holds a file to."""
    with path.open("rb") as file:
        reader = ContainerReader(file, path.name)
        header = reader.header
        contents = list(reader.contents())
    gops = [content.gop for content in contents if isinstance(content, GopContent)]
    packets = [p for c in contents if isinstance(c, PacketsContent) for p in c.packets]
    settings = DecoderSettings(1, torch.device("cpu"), torch.float32)
    model = find_model(header.model_name, header.model_sha256)
    shown = Decoder(model, header.format, settings, path.name).frames(gops)
    return {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "model_sha256": header.model_sha256.hex(),
        "format": [header.format.width, header.format.height, header.format.bit_depth],
        "symbols_crc": [gop.symbols_crc for gop in gops],
        "pts": [list(gop.times) for gop in gops],
        "packets_sha256": hashlib.sha256(b"".join(p.data for p in packets)).hexdigest(),
        "packets": len(packets),
        "frames": [describe_frame(frame) for frame in shown],
    }


if __name__ == "__main__":
    main()
