"""The walk over motion vectors is in integers what it is in floats."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from codec_clips import tiny_model

from neuralcodec.kernels import compiled
from neuralcodec.model.exact import exact_float32
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.model.motion_integers import OpenBlocks
from neuralcodec.model.motion_prior import StepContext, VectorPrior
from neuralcodec.model.video_model import VideoModel


def fields(batch: int, height: int, width: int, seed: int) -> torch.Tensor:
    """Patches of equal vectors, some far, some that stay alone."""
    generator = torch.Generator().manual_seed(seed)

    def chosen(count: int) -> torch.Tensor:
        return torch.rand(batch, 1, height, width, generator=generator) < count / 10

    def random(limit: int, *size: int) -> torch.Tensor:
        return torch.randint(-limit, limit + 1, (batch, 2, *size), generator=generator).float()

    coarse = random(12, (height + 3) // 4, (width + 3) // 4)
    patches = coarse.repeat_interleave(4, 2).repeat_interleave(4, 3)[:, :, :height, :width]
    field = torch.where(chosen(2), random(30, height, width), patches)
    return torch.where(chosen(1), random(1023, height, width), field)


def walked(model: VideoModel, vectors: torch.Tensor, last: torch.Tensor) -> list[StepContext]:
    """As a decoder does it: vectors are filled in after each step, the others are not there yet."""
    prior, q = model.vector_prior, torch.tensor([5, 60, 0])[: len(vectors)]
    filled = torch.zeros_like(vectors)
    found = []
    with torch.no_grad(), exact_float32("cpu"):
        for context in prior.walk(filled, last, q, model.log_table):
            found.append(context)
            flat = filled.flatten(2)
            flat[:, :, context.blocks] = vectors.flatten(2)[:, :, context.blocks]
    return found


def compare(model: VideoModel, size: tuple[int, int], batch: int, still: bool) -> None:
    vectors = fields(batch, *size, seed=1)
    last = torch.where(fields(batch, *size, seed=2) > 0, vectors, fields(batch, *size, seed=3))
    if still:
        last = torch.zeros_like(last)
    in_integers = walked(model, vectors, last)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "_fault", lambda: "switched off")
        in_floats = walked(model, vectors, last)
    for one, other in zip(in_integers, in_floats, strict=True):
        for part in ("blocks", "candidates", "usable", "prediction", "indices"):
            assert torch.equal(getattr(one, part), getattr(other, part)), part
            assert getattr(one, part).dtype == getattr(other, part).dtype


@pytest.mark.parametrize("size", [(2, 2), (2, 34), (18, 2), (20, 36)])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("still", [True, False])
def test_each_step_has_the_same_context(size: tuple[int, int], batch: int, still: bool):
    compare(tiny_model(), size, batch, still)


def test_each_step_has_the_same_context_with_installed_weights(installed_model: InstalledModel):
    compare(installed_model.model, (30, 44), 1, still=False)


def test_gradients_reach_the_networks_as_without_kernels():
    model = tiny_model()
    vectors = fields(2, 6, 8, seed=1)
    steps = model.vector_prior.walk(vectors, vectors, torch.tensor([5, 60]), model.log_table)
    sum(step.indices.sum() for step in steps).backward()
    assert all(layer.weight.grad is not None for layer in model.vector_prior.read)
    assert any(bool(layer.weight.grad.any()) for layer in model.vector_prior.read)


def taken(prior: VectorPrior, model: VideoModel) -> Iterator[list[np.ndarray]]:
    """What is asked, compared, taken and written in each step of a field."""
    vectors, last = fields(2, 18, 20, seed=4)
    field = np.zeros((2, vectors[0].numel()), np.float32)
    with torch.no_grad(), exact_float32("cpu"):
        for step in prior.array_walk(vectors, last, 30, model.log_table):
            wanted = vectors.flatten(1)[:, step.blocks].T.to(torch.int32).contiguous().numpy()
            blocks = OpenBlocks(step)
            for candidate in range(6):
                asked, indices = blocks.asked(candidate)
                hits = blocks.compare(candidate, asked, wanted)
                blocks.take(candidate, asked, hits)
                yield [asked, indices, hits, blocks.is_open.copy(), blocks.vectors.copy()]
            assert np.array_equal(blocks.vectors[~blocks.is_open], wanted[~blocks.is_open])
            blocks.write(field)
            yield [field.copy()]


def test_blocks_take_the_same_candidates():
    model = tiny_model()
    with_kernels = list(taken(model.vector_prior, model))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled, "_fault", lambda: "switched off")
        without = list(taken(model.vector_prior, model))
    for one, other in zip(with_kernels, without, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
