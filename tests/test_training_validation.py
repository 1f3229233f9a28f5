"""Validation: its figures, the best weights, the end of a run that overfits."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from codec_clips import city_frames, cropped
from training_runs import TINY, start

from neuralcodec.encoder.structure.gop_structure import INTRA_BONUS
from neuralcodec.metrics.psnr import PsnrMeter
from neuralcodec.model.model_file import InstalledModel, load_model
from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.crops import Crop, some_crops
from neuralcodec.training.objective import sequence_costs
from neuralcodec.training.run_options import Ending, RunOptions
from neuralcodec.training.sampling import Clip, open_cache
from neuralcodec.training.structures import chain, low_delay, pyramids
from neuralcodec.training.team import CPU
from neuralcodec.training.trainer import Trainer
from neuralcodec.training.validation import QUALITIES, Validation, overfits
from neuralcodec.video import Frame


def crop(count: int = 3, side: int = 64) -> Crop:
    _, frames = cropped(*city_frames(count), side, side)
    y = np.stack([f.y[None] for f in frames])
    uv = np.stack([np.stack([f.u, f.v]) for f in frames])
    return Crop("city", torch.from_numpy(y), torch.from_numpy(uv))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clips of the city, a and b, of which small crops are validated."""
    monkeypatch.setattr("neuralcodec.training.crops.SIDE", 32)
    monkeypatch.setattr("neuralcodec.training.crops.FRAMES", 2)
    _, frames = city_frames(8)
    planar = [np.concatenate([p.ravel() for p in f.planes]).reshape(360, 432) for f in frames]
    for name, part in (("a", planar[:4]), ("b", planar[4:])):
        np.save(tmp_path / f"{name}.npy", np.stack(part))
    index = [{"name": name, "frames": 4, "bpp": 1.0} for name in "ab"]
    (tmp_path / "index.json").write_text(json.dumps(index))
    return tmp_path


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are made in this process: a second one takes its time to start."""
    monkeypatch.setattr("neuralcodec.training.trainer.load_in_background", iter)


def test_psnr_is_what_the_metrics_measure_of_the_pictures_shown(installed_model: InstalledModel):
    source, model = crop(2), installed_model.model
    validation = Validation([source], model.config, CPU)
    [batch] = [batch for batch in validation.batches if batch.q == 40]
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        costs = sequence_costs(model, batch.sequences)
    costs.sort(key=lambda cost: cost.frame)
    meter = PsnrMeter()
    for frame, cost in zip(cropped(*city_frames(2), 64, 64)[1], costs, strict=True):
        y, uv = (
            (p[0] * 255).round().clamp(0, 255).byte().numpy() for p in (cost.shown.y, cost.shown.uv)
        )
        meter.add(frame, Frame(y[0], uv[0], uv[1], 0))
    assert validation.measure(model).points[40][0].psnr == pytest.approx(meter.mean.yuv, abs=1e-4)
    assert meter.mean.yuv > 30


def test_each_crop_is_coded_at_each_quality_and_in_each_structure():
    crops = [crop(13, side) for side in (16, 16, 32)]
    found = defaultdict(list)
    for batch in Validation(crops, TINY, CPU).batches:
        for number in batch.numbers:
            found[number].append((batch.q, batch.sequences.structure))
    kinds = {pyramids(13, 8), pyramids(13, 4), chain(13), low_delay(13)}
    assert sorted(found) == [0, 1, 2]
    for pairs in found.values():
        assert sorted(q for q, _ in pairs) == list(QUALITIES)
        assert {structure for _, structure in pairs} == kinds
    at_one_quality = [dict(pairs)[QUALITIES[0]] for pairs in found.values()]
    assert len(set(at_one_quality)) == len(crops)


def test_frames_have_q_by_their_level_as_the_encoder_gives_it():
    for batch in Validation([crop(13, 16)], TINY, CPU).batches:
        first, *others = batch.sequences.q[0].tolist()
        assert first == batch.q + INTRA_BONUS
        for coded in batch.sequences.structure:
            assert others[coded.frame - 1] == batch.q + coded.more_q


def scored_run(
    cache: Path, out: Path, monkeypatch: pytest.MonkeyPatch, held_out: list[float], patience: int
) -> tuple[Trainer, Ending | None]:
    """A run whose validations give these scores, while the training crops get better and better."""
    scores = iter([s for step, h in enumerate(held_out) for s in (h, -10.0 - step)])
    measure = Validation.measure

    def scored(self: Validation, model: VideoModel) -> object:
        return replace_score(measure(self, model), next(scores))

    monkeypatch.setattr(Validation, "measure", scored)
    options = RunOptions(cache, out, held_out=("b",), validate_every=1, patience=patience)
    trainer = start(cache, out, len(held_out) - 1, options)
    return trainer, trainer.run()


def replace_score(figures: object, score: float) -> object:
    class Scored(type(figures)):  # type: ignore[misc]
        score = 0.0

    scored = Scored(**vars(figures))
    object.__setattr__(scored, "score", score)
    return scored


def test_a_run_that_overfits_ends_and_the_best_weights_are_kept_not_the_last(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainer, ending = scored_run(cache, tmp_path / "run", monkeypatch, [-1, -3, -2, -2, -4], 2)
    assert ending is Ending.OVERFITTING
    assert trainer.state.position.step == 3
    assert trainer.state.position.best == -3
    assert load_model(str(trainer.best_weights)).record["steps"] == 1
    assert trainer.checkpoint.exists()


@pytest.mark.parametrize(
    ("held_out", "trained", "expected"),
    [
        ([-1, -2, -1.9, -1.8], [-1, -2, -3, -4], True),
        ([-1, -2, -1.9, -2.1], [-1, -2, -3, -4], False),  # still better on clips held out
        ([-1, -2, -1.9, -1.8], [-1, -2, -2, -1.9], False),  # stands still, but for another reason
        ([-2, -1], [-1, -4], False),  # too early to say
    ],
)
def test_overfitting_is_worse_held_out_and_better_on_what_was_trained_on(
    held_out: list[float], trained: list[float], expected: bool
):
    assert overfits(list(zip(held_out, trained, strict=True)), 2) is expected
    assert not overfits(list(zip(held_out, trained, strict=True)), 0)


def test_the_training_crops_are_the_same_ones_every_time_and_spread_over_all_clips():
    frames = np.zeros((13, 48, 32), np.uint8)
    clips = [Clip(str(n), frames, 1.0) for n in range(20)]
    names = [c.name for c in some_crops(clips, 5)]
    assert names == ["0", "4", "8", "12", "16"]
    assert [c.name for c in some_crops(clips, 5)] == names
    assert len(some_crops(clips, 1)) == 4
    assert len(some_crops(clips[:2], 5)) == 2


def test_a_clip_smaller_than_the_crop_is_validated_in_whole_blocks(cache: Path):
    clip = open_cache(cache)[0]
    whole = some_crops([Clip("small", clip.frames[:, :45, :70].copy(), 1.0)], 1)[0]
    assert (whole.y.shape, whole.uv.shape) == ((2, 1, 16, 32), (2, 2, 8, 16))
