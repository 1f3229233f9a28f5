"""The scale indices of a GOP are the same in integers and in floats."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import installed_from, random_symbols, tiny_model
from gop_placements import chain_of, pyramids

from neuralcodec.codec.gop_symbols import GopSymbolDecoder, GopSymbolEncoder, build_coder
from neuralcodec.errors import ModelError
from neuralcodec.kernels import compiled
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.gop_scales import CompiledScales, FramePast, TensorScales, gop_scales
from neuralcodec.model.kept import kept
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.references import chain

QUALITIES = (63, 0, 31, 40)


@pytest.fixture(params=["tiny", "installed"])
def installed(
    request: pytest.FixtureRequest, tmp_path: Path, installed_model: InstalledModel
) -> InstalledModel:
    return (
        installed_model if request.param == "installed" else installed_from(tiny_model(), tmp_path)
    )


@pytest.mark.parametrize("size", [(1, 1), (2, 5), (7, 9)])
def test_every_pass_of_every_frame_has_the_same_indices(
    installed: InstalledModel, size: tuple[int, int]
):
    model, rng = installed.model, np.random.default_rng(5)
    kinds = CompiledScales(model, *size), TensorScales(model, *size)
    places = pyramids(len(QUALITIES), 3)
    frames = random_symbols(rng, *size, model.config, places)
    with torch.no_grad(), exact_float32("cpu"):
        memories = {}, {}  # by slot
        for frame, q, place in zip(frames, QUALITIES, places, strict=True):
            for scales, left in zip(kinds, memories, strict=True):
                past = None
                if frame.motion is not None:
                    before = tuple(left[slot] for slot in place.slots)
                    motion = torch.from_numpy(frame.motion).float()
                    past = FramePast(motion, before, place.level, (2, -1))
                scales.begin(q, past)
            for coded in kinds[0].passes(place.is_intra):
                found, expected = (scales.indices(coded) for scales in kinds)
                assert found.dtype == np.uint8 and np.array_equal(found, expected)
                values = coded.values_known_after(frame.latent[:, :, coded.channels])
                for scales in kinds:
                    scales.tell(coded, values)
            for scales, left in zip(kinds, memories, strict=True):
                left[place.stored] = scales.end()


def test_machines_without_kernels_write_and_read_the_same_payloads(
    installed: InstalledModel, monkeypatch: pytest.MonkeyPatch
):
    rng = np.random.default_rng(6)
    places = pyramids(len(QUALITIES), 3)
    frames = random_symbols(rng, 6, 7, installed.model.config, places)
    coder = build_coder(installed)

    def payloads() -> list[bytes]:
        encoder = GopSymbolEncoder(installed, coder, 6, 7)
        coming = zip(frames, QUALITIES, places, strict=True)
        return [encoder.encode(f, q, place) for f, q, place in coming]

    with_kernels = payloads()
    monkeypatch.setattr(compiled, "_fault", lambda: "switched off")
    assert isinstance(gop_scales(installed.model, 6, 7), TensorScales)
    assert payloads() == with_kernels
    decoder = GopSymbolDecoder(installed, coder, 6, 7)
    for coded, q, place, frame in zip(with_kernels, QUALITIES, places, frames, strict=True):
        found = decoder.decode(coded, q, place)
        assert np.array_equal(found.latent, frame.latent)


def test_weights_that_change_are_seen(tmp_path: Path):
    model = installed_from(tiny_model(), tmp_path).model
    prior, made = model.inter_prior, []

    def make() -> int:
        made.append(1)
        return len(made)

    def is_made_again() -> bool:
        before = len(made)
        return kept(prior, make) > before

    assert is_made_again() and not is_made_again()
    prior.networks[1].read.bias[0] += 1
    assert is_made_again() and not is_made_again()
    prior.load_state_dict({k: v.clone() for k, v in prior.state_dict().items()}, assign=True)
    prior.requires_grad_(False)
    assert is_made_again() and not is_made_again()
    prior.double()
    assert is_made_again() and not is_made_again()
    prior.requires_grad_(True)  # an optimizer may change them at any time
    assert is_made_again() and is_made_again()


def test_a_model_whose_table_is_off_the_grid_is_refused(tmp_path: Path):
    model = tiny_model()
    model.log_table += 1 / 64
    with pytest.raises(ModelError, match="off the grid"):
        installed_from(model, tmp_path)


def test_a_copy_of_a_model_that_is_changed_leaves_the_first_alone(tmp_path: Path):
    installed = installed_from(tiny_model(), tmp_path)
    other = replace(installed, model=installed_from(tiny_model(), tmp_path).model)
    rng = np.random.default_rng(7)
    frames = random_symbols(rng, 3, 4, installed.model.config, chain_of(2))

    def coded(by: InstalledModel) -> list[bytes]:
        encoder = GopSymbolEncoder(by, build_coder(by), 3, 4)
        return [encoder.encode(frame, 30, chain(t)) for t, frame in enumerate(frames)]

    first = coded(installed)
    assert coded(other) == first
    for layer in other.model.exact_layers():
        layer.bias += 0.5
    assert coded(other) != first and coded(installed) == first
