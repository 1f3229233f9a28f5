"""One batch as one module call: what DistributedDataParallel watches and averages gradients of."""

import torch
from torch import Tensor, nn

from neuralcodec.model.video_model import VideoModel
from neuralcodec.training.objective import FrameCost, sequence_costs, sequence_loss


class TrainingStep(nn.Module):
    """count_vectors: whether the prior of the vectors is trained too."""

    def __init__(self, model: VideoModel, count_vectors: bool = True) -> None:
        super().__init__()
        self.model, self.count_vectors = model, count_vectors

    def forward(self, y: Tensor, uv: Tensor, q: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """A batch as in `stream.Batch` -> its loss, and the figures (5,) that the log shows."""
        costs = sequence_costs(self.model, y, uv, q, vectors, self.count_vectors)
        return sequence_loss(self.model, costs, q), _figures(costs)


@torch.no_grad()
def _figures(costs: list[FrameCost]) -> Tensor:
    """bpp and error of the intra frame, then means over the inter frames: latent bpp, error and
    vector bpp."""
    bpp = torch.stack([cost.latent_bpp.mean() for cost in costs])
    error = torch.stack([cost.distortion.mean() for cost in costs])
    vectors = torch.stack([cost.vector_bpp.mean() for cost in costs[1:]])
    return torch.stack([bpp[0], error[0], bpp[1:].mean(), error[1:].mean(), vectors.mean()])
