"""The walk over the motion of a frame is in integers what it is in floats."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from codec_clips import tiny_model

from neuralcodec.kernels import compiled
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_integers import OpenBlocks
from neuralcodec.model.motion_prior import MotionPrior, MotionSetting, StepContext
from neuralcodec.model.video_model import VideoModel

ONE_REFERENCE = [(1, 1), (2, 2), (-3, -3)]
TWO_REFERENCES = [(1, -1), (3, -5), (2, 4)]


def fields(batch: int, height: int, width: int, seed: int, is_two: bool) -> torch.Tensor:
    """Patches of equal motion, some far, some that stay alone; (B, 5, h, w)."""
    generator = torch.Generator().manual_seed(seed)

    def chosen(count: int) -> torch.Tensor:
        return torch.rand(batch, 1, height, width, generator=generator) < count / 10

    def random(limit: int, *size: int) -> torch.Tensor:
        return torch.randint(-limit, limit + 1, (batch, 4, *size), generator=generator).float()

    def patches(coarse: torch.Tensor) -> torch.Tensor:
        return coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, :, :height, :width]

    rows, columns = (height + 3) // 4, (width + 3) // 4
    vectors = torch.where(chosen(2), random(30, height, width), patches(random(12, rows, columns)))
    vectors = torch.where(chosen(1), random(1023, height, width), vectors)
    which = torch.randint(0, 3, (batch, 1, rows, columns), generator=generator).float()
    return without_unused(torch.cat([patches(which) * is_two, vectors], 1))


def without_unused(motion: torch.Tensor) -> torch.Tensor:
    uses = torch.cat([motion[:, :1] != 1, motion[:, :1] != 0], 1)
    return torch.cat([motion[:, :1], motion[:, 1:] * uses.repeat_interleave(2, 1)], 1)


def setting(batch: int, height: int, width: int, is_two: bool, still: bool = False):
    """As after a frame of which much goes on."""
    temporal = fields(batch, height, width, 3, is_two)
    if is_two:  # known whichever reference is used
        temporal[:, 1:] += temporal[:, 1:] == 0
    goes_on = fields(batch, height, width, 2, is_two)[:, 1:2] > 0
    temporal = torch.where(goes_on, fields(batch, height, width, 1, is_two), temporal)
    if still:
        temporal = torch.zeros_like(temporal)
    distances = torch.tensor((TWO_REFERENCES if is_two else ONE_REFERENCE)[:batch])
    return MotionSetting(
        temporal, distances, torch.tensor([0, 3, 7])[:batch], torch.tensor([5, 60, 0])[:batch]
    )


def walked(model: VideoModel, motion: torch.Tensor, known: MotionSetting) -> list[StepContext]:
    """As a decoder does it: motion is filled in after each step, the rest is not there yet."""
    filled = torch.zeros_like(motion)
    found = []
    with torch.no_grad(), exact_float32("cpu"):
        for context in model.motion_prior.walk(filled, known, model.log_table):
            found.append(context)
            flat = filled.flatten(2)
            flat[:, :, context.blocks] = motion.flatten(2)[:, :, context.blocks]
    return found


def compare(
    model: VideoModel, size: tuple[int, int], batch: int, is_two: bool, still: bool = False
) -> None:
    motion = fields(batch, *size, 1, is_two)
    known = setting(batch, *size, is_two, still)
    in_integers = walked(model, motion, known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "_fault", lambda: "switched off")
        in_floats = walked(model, motion, known)
    for one, other in zip(in_integers, in_floats, strict=True):
        for part in ("blocks", "candidates", "usable", "prediction", "inputs", "indices"):
            assert torch.equal(getattr(one, part), getattr(other, part)), part
            assert getattr(one, part).dtype == getattr(other, part).dtype


@pytest.mark.parametrize("size", [(2, 2), (2, 34), (18, 2), (20, 36)])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("is_two", [False, True])
@pytest.mark.parametrize("still", [False, True])
def test_each_step_has_the_same_context(
    size: tuple[int, int], batch: int, is_two: bool, still: bool
):
    compare(tiny_model(), size, batch, is_two, still)


@pytest.mark.parametrize("is_two", [False, True])
def test_each_step_has_the_same_context_with_installed_weights(
    installed_model: InstalledModel, is_two: bool
):
    compare(installed_model.model, (30, 44), 1, is_two)


def test_frames_with_one_reference_and_with_two_are_described_together():
    model, prior = tiny_model(), tiny_model().motion_prior
    motion = torch.cat([fields(1, 6, 8, 1, is_two) for is_two in (False, True)])
    parts = [setting(1, 6, 8, is_two) for is_two in (False, True)]
    together = MotionSetting(
        *(torch.cat([getattr(p, name) for p in parts]) for name in vars(parts[0]))
    )
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(compiled, "_fault", lambda: "switched off")
        for i, alone in enumerate(parts):
            steps = prior.walk(motion, together, model.log_table)
            for one, both in zip(
                prior.walk(motion[i : i + 1], alone, model.log_table), steps, strict=True
            ):
                assert torch.equal(one.indices[0], both.indices[i])
                assert torch.equal(one.candidates[0], both.candidates[i])


def test_gradients_reach_the_networks_as_without_kernels():
    model = tiny_model()
    motion, known = fields(2, 6, 8, 1, True), setting(2, 6, 8, True)
    steps = model.motion_prior.walk(motion, known, model.log_table)
    sum(step.indices.sum() for step in steps).backward()
    assert all(layer.weight.grad is not None for layer in model.motion_prior.read)
    assert any(bool(layer.weight.grad.any()) for layer in model.motion_prior.read)


def taken(prior: MotionPrior, model: VideoModel) -> Iterator[list[np.ndarray]]:
    """What is asked, compared, taken and written in each step of a frame."""
    motion, [known] = fields(1, 18, 20, 4, True)[0], setting(1, 18, 20, True).frames()
    field = np.zeros((5, motion[0].numel()), np.float32)
    with torch.no_grad(), exact_float32("cpu"):
        for step in prior.array_walk(motion, known, model.log_table):
            wanted = motion.flatten(1)[:, step.blocks].T.to(torch.int32).contiguous().numpy()
            blocks = OpenBlocks(step)
            for candidate in range(6):
                asked, indices = blocks.asked(candidate)
                hits = blocks.compare(candidate, asked, wanted)
                blocks.take(candidate, asked, hits)
                yield [asked, indices, hits, blocks.is_open.copy(), blocks.motion.copy()]
            assert np.array_equal(blocks.motion[~blocks.is_open], wanted[~blocks.is_open])
            blocks.write(field)
            yield [field.copy()]


def test_blocks_take_the_same_candidates():
    model = tiny_model()
    with_kernels = list(taken(model.motion_prior, model))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "_fault", lambda: "switched off")
        without = list(taken(model.motion_prior, model))
    for one, other in zip(with_kernels, without, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
