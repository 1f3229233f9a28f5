"""What is known of frames before their motion is searched."""

import numpy as np
import torch

from neuralcodec.model.frame_step import FramePlace
from neuralcodec.model.motion_prior import MotionSetting
from neuralcodec.model.recurrence import Recurrence
from neuralcodec.model.temporal_motion import ReferenceMotion, temporal_motion


def motion_setting(
    references: tuple[Recurrence, Recurrence], place: FramePlace, q: torch.Tensor
) -> MotionSetting:
    """Of B frames at `place` that refer to these, q (B,)."""
    both = zip(*(_motions(reference) for reference in references), strict=True)
    times = map(int, place.time.tolist())
    fields = [temporal_motion(time, pair) for time, pair in zip(times, both, strict=True)]
    temporal = torch.from_numpy(np.stack(fields)).float().to(q.device)
    return MotionSetting(temporal, place.refer(references).distances, place.level, q)


def _motions(reference: Recurrence) -> list[ReferenceMotion]:
    fields = reference.motion.to(torch.int16).cpu().numpy()
    away = [(int(first), int(second)) for first, second in reference.distances.tolist()]
    parts = zip(fields, map(int, reference.time.tolist()), away, strict=True)
    return [ReferenceMotion(*part) for part in parts]
