"""Motion parsed by the words of docs/format.md is the motion that was coded."""

from pathlib import Path

import numpy as np
import torch
from codec_clips import PLACES, installed_from, random_symbols, tiny_model
from format_parts import Ans, ModelFile
from motion_parser import MotionParser, PastMotion

from neuralcodec.codec.gop_symbols import GopSymbolEncoder, build_coder
from neuralcodec.entropy import SymbolEncoder
from neuralcodec.model.motion_integers import FrameSetting
from neuralcodec.model.temporal_motion import ReferenceMotion, temporal_motion


def test_the_specification_covers_motion_of_every_kind(tmp_path: Path):
    """Frames with one reference and with two, on both sides and on one; vectors at their limits."""
    installed = installed_from(tiny_model(), tmp_path)
    model = ModelFile((tmp_path / "tiny.safetensors").read_bytes())
    coder, seen = build_coder(installed), set[str]()
    product = GopSymbolEncoder(installed, coder, 5, 11)
    rng = np.random.default_rng(5)
    frames = random_symbols(rng, 5, 11, installed.model.config, PLACES)
    slots: dict[int, PastMotion] = {}
    for symbols, place in zip(frames, PLACES, strict=True):
        motion = np.zeros((10, 22, 5), np.int64)
        distances: tuple[int, ...] = ()
        if symbols.motion is not None and place.slots is not None:
            references = [slots[slot] for slot in place.slots]
            distances = one, other = tuple(place.shown - r.time for r in references)
            parser = MotionParser(model, references, place.shown, place.level, 30)
            first, second = (
                ReferenceMotion(r.motion.transpose(2, 0, 1), r.time, r.distances or (0, 0))
                for r in references
            )
            temporal = temporal_motion(place.shown, (first, second))
            assert np.array_equal(parser.temporal.transpose(2, 0, 1), temporal)
            setting = FrameSetting(
                torch.from_numpy(temporal).float(), (one, other), place.level, 30
            )
            encoder = SymbolEncoder(coder)
            goes_on = rng.random((10, 22)) < 0.3
            expected = np.where(goes_on, _as_coded(temporal), symbols.motion)
            field = torch.from_numpy(expected.astype(np.float32))[None]
            with torch.no_grad():
                product._encode_motion(encoder, field, setting)
            ans = Ans(encoder.to_bytes())
            motion = parser.parse(ans, seen)
            assert np.array_equal(motion.transpose(2, 0, 1), expected)
            assert ans.state == 0 and not ans.words
        if place.stored is not None:
            slots[place.stored] = PastMotion(motion, place.shown, distances)
    assert seen >= {f"candidate {k}" for k in range(6)}
    assert seen >= {f"new vector, {which}" for which in range(3)}


def _as_coded(temporal: np.ndarray) -> np.ndarray:
    """Without vectors in references that do not predict the block."""
    uses = np.stack([temporal[0] != 1, temporal[0] != 0])
    return np.concatenate([temporal[:1], temporal[1:] * uses.repeat(2, 0)])
