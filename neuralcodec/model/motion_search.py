"""Block motion search of the encoder, on luma, in torch: the same code on CPU and GPU.

Vectors are integers in quarter samples, one per 16x16 block, matched over a 24x24 support. A full
search at 1/8 and 1/4 resolution gives candidates; they are compared and refined on windows cut from
the full picture. The cost is the sum of absolute differences + λ * an estimate of the bits.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.model.config import BLOCK
from neuralcodec.model.vector_prior import VECTOR_LIMIT

SUPPORT = 24
PAD = 64  # samples around the reference that windows may reach into
EIGHTH_RANGE = 6  # ±48 samples
QUARTER_RANGE = 3  # ±12 samples


def absolute_error_lambda(mse_lambda: Tensor) -> Tensor:
    """λ for absolute errors from the λ of bpp + λ·MSE, by the usual square root (x264, HM)."""
    return (0.75 * mse_lambda).rsqrt()


def vector_bits(difference: Tensor) -> Tensor:
    """Rough code length of a difference of vectors in quarter samples, summed over dim -1."""
    return (1.5 * torch.log2(1 + difference.abs())).sum(-1)


def search_vectors(current: Tensor, reference: Tensor, last: Tensor, mse_lambda: Tensor) -> Tensor:
    """current, reference: luma (B, 1, H, W) in [0, 1], H and W multiples of 16; last: the vectors
    of the frame before (B, 2, h, w); mse_lambda (B,). Returns integers (B, 2, h, w) as float."""
    with torch.no_grad(), torch.autocast(current.device.type, enabled=False):
        search = _Search(current.float(), reference.float(), absolute_error_lambda(mse_lambda))
        return search.run(last)


class _Search:
    def __init__(self, current: Tensor, reference: Tensor, weight: Tensor) -> None:
        self.batch, _, self.height, self.width = current.shape
        self.rows, self.columns = self.height // BLOCK, self.width // BLOCK
        self.weight = weight[:, None, None]
        self.current, self.reference = current, reference
        margin = (SUPPORT - BLOCK) // 2
        device = current.device
        self.limits = torch.tensor([self.width, self.height], device=device)
        self.origin = torch.stack(
            [
                torch.arange(self.columns, device=device)[None].expand(self.rows, -1) * BLOCK,
                torch.arange(self.rows, device=device)[:, None].expand(-1, self.columns) * BLOCK,
            ],
            -1,
        )
        padded = F.pad(current, (margin, margin, margin, margin), mode="replicate")
        # every second row of the support: half the work, the same vectors nearly everywhere
        windows = padded[:, 0].unfold(1, SUPPORT, BLOCK).unfold(2, SUPPORT, BLOCK)
        self.target = windows[..., ::2, :].contiguous()
        doubled = _half_sample_planes(F.pad(reference, (PAD, PAD, PAD, PAD), mode="replicate"))
        self.views = doubled.unfold(1, 2 * SUPPORT, 1).unfold(2, 2 * SUPPORT, 1)[..., ::4, ::2]
        self.corner = 2 * (self.origin + PAD - margin)
        self.item = torch.arange(self.batch, device=device)[:, None, None]

    def run(self, last: Tensor) -> Tensor:
        last = last.permute(0, 2, 3, 1)
        coarse = self._full_search(8, EIGHTH_RANGE)
        near = self._full_search(4, QUARTER_RANGE)
        best = self._choose([torch.zeros_like(coarse), coarse, near, (last / 4).round() * 4], None)
        predictor = _median(best)
        best = self._choose([best, *_neighbours(best)], predictor)
        best, _ = self._refine(best, predictor, 4)
        predictor = _median(best)
        best = self._choose(
            [best, *_neighbours(best), torch.zeros_like(best), (last / 2).round() * 2], predictor
        )
        best, costs = self._refine(best, predictor, 2)
        best = self._quarter(best, costs)
        return best.permute(0, 3, 1, 2).contiguous()

    def _full_search(self, scale: int, reach: int) -> Tensor:
        """Best vector per block (B, h, w, 2) over all offsets at 1/scale resolution."""
        small = F.avg_pool2d(self.current, scale)
        other = F.pad(F.avg_pool2d(self.reference, scale), (reach,) * 4, mode="replicate")
        height, width = small.shape[-2:]
        side = 2 * reach + 1
        shifted = other[:, 0].unfold(1, height, 1).unfold(2, width, 1)
        errors = (shifted - small[:, :, None]).abs().reshape(self.batch, side * side, height, width)
        block, margin = BLOCK // scale, 1
        sums = F.avg_pool2d(
            F.pad(errors, (margin,) * 4, mode="replicate"), block + 2 * margin, stride=block
        )
        steps = torch.arange(-reach, reach + 1, device=small.device) * (4.0 * scale)
        offsets = torch.stack([steps.repeat(side), steps.repeat_interleave(side)], -1)
        price = vector_bits(offsets)[None, :, None, None] * self.weight[:, None] / BLOCK**2
        return offsets[(sums + price).argmin(1)]

    def _errors(self, vectors: Tensor) -> Tensor:
        """Mean absolute error (B, h, w) at vectors (B, h, w, 2), multiples of half a sample."""
        return (self._windows(vectors) - self.target).abs().mean((-1, -2))

    def _windows(self, vectors: Tensor) -> Tensor:
        corner = (vectors / 2).long() + self.corner
        column = corner[..., 0].clamp(0, self.views.shape[2] - 1)
        row = corner[..., 1].clamp(0, self.views.shape[1] - 1)
        return self.views[self.item, row, column]

    def _costs(self, vectors: Tensor, predictor: Tensor | None) -> Tensor:
        difference = vectors if predictor is None else vectors - predictor
        return self._errors(vectors) + self.weight * vector_bits(difference) / BLOCK**2

    def _choose(self, candidates: list[Tensor], predictor: Tensor | None) -> Tensor:
        candidates = [self._inside(c) for c in candidates]
        costs = torch.stack([self._costs(c, predictor) for c in candidates])
        choice = costs.argmin(0)
        stacked = torch.stack(candidates)
        return stacked.gather(0, choice[None, ..., None].expand(1, *choice.shape, 2))[0]

    def _refine(self, best: Tensor, predictor: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Best of the 3x3 vectors around, and the nine costs (9, B, h, w) around the old best."""
        moves = [(dx, dy) for dy in (-step, 0, step) for dx in (-step, 0, step)]
        offsets = torch.tensor(moves, dtype=best.dtype, device=best.device)
        costs = torch.stack([self._costs(self._inside(best + o), predictor) for o in offsets])
        return self._inside(best + offsets[costs.argmin(0)]), costs

    def _quarter(self, best: Tensor, costs: Tensor) -> Tensor:
        """Quarter samples from a parabola through the costs of the half-sample step."""
        grid = costs.view(3, 3, *costs.shape[1:])
        row = costs.argmin(0) // 3
        column = costs.argmin(0) % 3
        result = best.clone()
        for axis, at, profile in (
            (0, column, grid.gather(0, row[None, None].expand(1, 3, *row.shape))[0]),
            (1, row, grid.gather(1, column[None, None].expand(3, 1, *row.shape))[:, 0]),
        ):
            low, centre, high = profile
            curvature = low + high - 2 * centre
            slope = (low - high) / (2 * curvature.clamp(min=1e-6))
            move = (slope * 2).round().clamp(-1, 1)
            result[..., axis] += torch.where((at == 1) & (curvature > 1e-6), move, 0)
        return result.clamp(-VECTOR_LIMIT, VECTOR_LIMIT)

    def _inside(self, vectors: Tensor) -> Tensor:
        """Keeps windows within the padded reference."""
        room = 4 * (PAD - SUPPORT // 2)
        low = -4 * self.origin - room
        high = 4 * (self.limits - BLOCK - self.origin) + room
        return torch.maximum(torch.minimum(vectors, high), low).clamp(
            -VECTOR_LIMIT + 3, VECTOR_LIMIT - 3
        )


def _half_sample_planes(plane: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, 2H, 2W): the plane with half-sample positions by a 4-tap filter.

    Sums of shifted views: a convolution of one channel is ten times slower on a CPU."""
    plane = plane[:, 0]
    across = torch.stack([plane, _between(plane, 2)], -1).flatten(-2)
    return torch.stack([across, _between(across, 1)], 2).flatten(1, 2)


def _between(x: Tensor, dim: int) -> Tensor:
    """Values half way between each sample and the next along dim; the last is repeated."""
    size = x.shape[dim]
    pad = (1, 2, 0, 0) if dim == 2 else (0, 0, 1, 2)
    padded = F.pad(x[:, None], pad, mode="replicate")[:, 0]
    before, left, right, after = (padded.narrow(dim, i, size) for i in range(4))
    return (left + right) * 0.5625 - (before + after) * 0.0625


def _neighbours(vectors: Tensor) -> list[Tensor]:
    """The vectors left, right, above and below of each block."""
    padded = F.pad(vectors.permute(0, 3, 1, 2), (1, 1, 1, 1), mode="replicate").permute(0, 2, 3, 1)
    return [
        padded[:, 1:-1, :-2],
        padded[:, 1:-1, 2:],
        padded[:, :-2, 1:-1],
        padded[:, 2:, 1:-1],
    ]


def _median(vectors: Tensor) -> Tensor:
    return torch.stack([vectors, *_neighbours(vectors)]).median(0).values
