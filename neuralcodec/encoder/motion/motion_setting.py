"""What is known of frames before their motion is searched."""

import numpy as np
import torch
from torch import Tensor

from neuralcodec.model.motion_prior import MotionSetting
from neuralcodec.model.recurrence import Recurrence
from neuralcodec.model.temporal_motion import ReferenceMotion, temporal_motion

Pair = tuple[Recurrence, Recurrence]


def motion_setting(references: Pair, shown: Tensor, level: Tensor, q: Tensor) -> MotionSetting:
    """shown, level, q (B,) of frames that refer to these."""
    both = [_motions(reference) for reference in references]
    fields = [
        temporal_motion(int(time), pair)
        for time, pair in zip(shown.tolist(), zip(*both, strict=True), strict=True)
    ]
    temporal = torch.from_numpy(np.stack(fields)).float().to(q.device)
    distances = torch.stack([shown - reference.time for reference in references], 1)
    return MotionSetting(temporal, distances, level, q)


def _motions(reference: Recurrence) -> list[ReferenceMotion]:
    fields = reference.motion.to(torch.int16).cpu().numpy()
    away = [(int(first), int(second)) for first, second in reference.distances.tolist()]
    parts = zip(fields, map(int, reference.time.tolist()), away, strict=True)
    return [ReferenceMotion(*part) for part in parts]
