"""The motion of frames: searched in each reference, in both together, and chosen by price."""

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.encoder.motion.motion_choice import ErrorPrices, MotionChoice
from neuralcodec.encoder.motion.motion_levels import neighbours_of
from neuralcodec.encoder.motion.motion_search import (
    padded_planes,
    predicted_blocks,
    range_at,
    refine_opposite,
    search_vectors,
)
from neuralcodec.encoder.presets import Effort
from neuralcodec.model.frame_step import leaning_of
from neuralcodec.model.motion_prior import MotionSetting, mirrored
from neuralcodec.model.motion_values import BOTH, FIRST, SECOND
from neuralcodec.model.video_model import VideoModel


def choose_motion(
    model: VideoModel,
    y: Tensor,
    references: tuple[Tensor, Tensor],
    setting: MotionSetting,
    effort: Effort,
    seen: Tensor | None = None,
) -> Tensor:
    """y, references: luma (B, 1, H, W) in [0, 1]; seen (B, 2, H/16, W/16, 2), int32: vectors in
    both references that the search begins with too, of 16x16 blocks; returns (B, 5, H/8, W/8)."""
    motion = torch.empty_like(setting.temporal)
    if seen is None:
        batch, _, rows, columns = motion.shape
        seen = motion.new_zeros(batch, 2, rows // 2, columns // 2, 2, dtype=torch.int32)
    ranges = [tuple(map(range_at, away)) for away in setting.distances.tolist()]
    alike = list(zip(setting.is_two.tolist(), ranges, strict=True))
    for is_two, reach in sorted(set(alike)):
        chosen = torch.tensor([kind == (is_two, reach) for kind in alike]).nonzero()[:, 0]
        chosen = chosen.to(y.device)
        first, second = (reference[chosen] for reference in references)
        choose = _of_two if is_two else _of_one
        known = setting.select(chosen)
        start = seen[chosen]
        motion[chosen] = choose(model, y[chosen], (first, second), known, effort, reach, start)
    return motion


def _of_one(
    model: VideoModel,
    y: Tensor,
    references: tuple[Tensor, Tensor],
    setting: MotionSetting,
    effort: Effort,
    reach: tuple[int, ...],
    seen: Tensor,
) -> Tensor:
    """Where both references are the same frame."""
    weights = model.config.quality_lambdas(setting.q)
    planes = padded_planes(references[0])
    last = setting.temporal[:, 1:3]
    found = search_vectors(
        y, references[0], last, weights, effort.search, planes, reach[0], seen[:, 0]
    )
    motion = F.pad(found, (0, 0, 0, 0, 1, 2))
    if not effort.priced_motion:
        return motion
    return _choice(model, y, (planes, planes), setting).among(motion[:, None])


def _of_two(
    model: VideoModel,
    y: Tensor,
    references: tuple[Tensor, Tensor],
    setting: MotionSetting,
    effort: Effort,
    reach: tuple[int, ...],
    seen: Tensor,
) -> Tensor:
    weights, away = model.config.quality_lambdas(setting.q), setting.distances
    temporal = setting.temporal[:, 1:3], setting.temporal[:, 3:5]
    planes = padded_planes(references[0]), padded_planes(references[1])
    first, second = (
        search_vectors(y, reference, last, weights, effort.search, plane, far, start)
        for reference, last, plane, far, start in zip(
            references, temporal, planes, reach, seen.unbind(1), strict=True
        )
    )
    new = [_motion(FIRST, first), _motion(SECOND, second), _motion(BOTH, first, second)]
    if effort.joint_searches:
        both = [first, second]
        for number in range(effort.joint_searches):
            k = 1 - number % 2
            opposite = mirrored(both[1 - k], away[:, k], away[:, 1 - k])
            predicted = predicted_blocks(planes[1 - k], both[1 - k])
            offered = temporal[k], opposite
            price = effort.search.bit_price
            both[k] = refine_opposite(y, predicted, planes[k], both[k], offered, weights, price)
        new.append(_motion(BOTH, *both))
    choice = _choice(model, y, planes, setting)
    motion = choice.among(torch.stack(new, 1))
    if not effort.priced_motion:
        return motion
    # Once more, now that it is known what blocks take that are described later
    return choice.among(torch.stack(neighbours_of(motion, 1), 1))


def _choice(
    model: VideoModel, y: Tensor, planes: tuple[Tensor, Tensor], setting: MotionSetting
) -> MotionChoice:
    mse_lambda = leaning_of(setting.level) * model.config.quality_lambdas(setting.q)
    prices = ErrorPrices.of(mse_lambda)
    return MotionChoice(model.motion_prior, model.log_table, y, planes, setting, prices)


def _motion(which: int, *vectors: Tensor) -> Tensor:
    """(B, 5, h, w), of vectors (B, 2, h, w) in the references that are used."""
    used = torch.full_like(vectors[0][:, :1], float(which))
    none = torch.zeros_like(vectors[0])
    both = {FIRST: (*vectors, none), SECOND: (none, *vectors), BOTH: vectors}[which]
    return torch.cat([used, *both], 1)
