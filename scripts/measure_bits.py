"""What the bits of clips are spent on: motion, skipped positions and latents, by level.

    python scripts/measure_bits.py CLIP... [--frames 33] [--side 256] [--qualities 8 24 42]

Codes the middle of each clip as one GOP; bits per frame, and the share of inter frames that each
kind has. Levels are those of the hierarchy, 0 for anchors.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from measure_structure import middle

from neuralcodec.codec.gop_symbols import FrameSymbols, GopSymbolEncoder, build_coder
from neuralcodec.codec.tensors import grid_size
from neuralcodec.encoder.encoder import Encoder
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.presets import MEDIUM
from neuralcodec.encoder.structure.mini_gops import LARGEST, Structure
from neuralcodec.entropy import SymbolEncoder
from neuralcodec.model.model_file import DEFAULT_MODEL, InstalledModel, load_model
from neuralcodec.references import Placement

KINDS = ("motion", "skipped", "latent")


class PartsEncoder(GopSymbolEncoder):
    """Knows how many bits each kind of symbol took in the last frame."""

    def encode(self, symbols: FrameSymbols, q: int, place: Placement) -> bytes:
        self.bits = dict.fromkeys(KINDS, 0)
        payload = super().encode(symbols, q, place)
        self.bits["latent"] = 8 * len(payload) - sum(self.bits.values())
        return payload

    def _encode_motion(self, encoder: SymbolEncoder, *others: object) -> None:
        alone = SymbolEncoder(self.coder)
        super()._encode_motion(alone, *others)  # type: ignore[arg-type]
        self.bits["motion"] = 8 * len(alone.to_bytes())
        super()._encode_motion(encoder, *others)  # type: ignore[arg-type]

    def _encode_skipped(self, encoder: SymbolEncoder, *others: object) -> None:
        alone = SymbolEncoder(self.coder)
        super()._encode_skipped(alone, *others)  # type: ignore[arg-type]
        self.bits["skipped"] = 8 * len(alone.to_bytes())
        super()._encode_skipped(encoder, *others)  # type: ignore[arg-type]


def measure(installed: InstalledModel, path: Path, args: argparse.Namespace, q: int) -> None:
    clip = middle(path, args.frames, args.side)
    cpu = torch.device("cpu")
    structure = Structure(min(args.bframes + 1, LARGEST))
    settings = EncoderSettings(q, len(clip.frames), cpu, torch.float32, False, MEDIUM, structure)
    encoder = Encoder(installed, clip.fmt, settings)
    parts = PartsEncoder(installed, build_coder(installed), *grid_size(clip.fmt))
    found = defaultdict(list)
    for coded in encoder.coded_frames(iter(clip.frames)):
        parts.encode(coded.symbols, coded.q, coded.place)
        skipped = 0.0 if coded.symbols.skipped is None else float(coded.symbols.skipped.mean())
        level = "I" if coded.place.is_intra else str(coded.place.level)
        found[level].append([*parts.bits.values(), 100 * skipped])
    inter = np.concatenate([rows for level, rows in found.items() if level != "I"])
    share = 100 * inter[:, :3].sum(0) / inter[:, :3].sum()
    print(
        f"{clip.name} q {q}: "
        + ", ".join(f"{k} {s:.0f} %" for k, s in zip(KINDS, share, strict=True))
    )
    for level, rows in sorted(found.items()):
        mean = np.mean(rows, 0)
        bits = ", ".join(f"{kind} {bits:.0f}" for kind, bits in zip(KINDS, mean[:3], strict=True))
        print(f"  level {level}: {len(rows)} frames, bits {bits}; {mean[3]:.0f} % skipped")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=33)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--bframes", type=int, default=15)
    parser.add_argument("--qualities", type=int, nargs="+", default=[8, 24, 42])
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    installed = load_model(args.model)
    for clip in args.clips:
        for q in args.qualities:
            measure(installed, clip, args, q)


if __name__ == "__main__":
    main()
