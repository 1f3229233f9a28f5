"""One batch as one module call: what DistributedDataParallel watches and averages gradients of."""

import torch
from torch import Tensor, nn

from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.objective import FrameCost, sequence_costs, sequence_loss
from neuralcodec.training.sequences import Sequences


class TrainingStep(nn.Module):
    def __init__(self, model: VideoModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Sequences) -> tuple[Tensor, Tensor]:
        """Its loss, and the figures (4,) that the log shows."""
        costs = sequence_costs(self.model, batch)
        return sequence_loss(self.model, costs), _figures(costs)


@torch.no_grad()
def _figures(costs: list[FrameCost]) -> Tensor:
    """bpp and error of the intra frame, then means over the inter frames."""
    bpp = torch.stack([cost.bpp.mean() for cost in costs])
    error = torch.stack([cost.distortion.mean() for cost in costs])
    return torch.stack([bpp[0], error[0], bpp[1:].mean(), error[1:].mean()])
