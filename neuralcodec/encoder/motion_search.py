"""Block motion search of the encoder, on luma, in torch: the same code on CPU and GPU.

Vectors are integers in quarter samples, one per 8x8 block. A full search at 1/8 and 1/4 resolution
gives candidates for 16x16 blocks; these are refined to half samples, handed to their four 8x8
blocks, and refined to quarter samples there. The cost is the mean of absolute differences over a
support somewhat larger than the block + λ * an estimate of the bits, in which a vector equal to a
neighbour's or to the last frame's is nearly free.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from neuralcodec.model.motion_compensation import LOBES, TAPS, interpolation_filter
from neuralcodec.model.motion_prior import VECTOR_LIMIT

PAD = 64  # samples around the reference that windows may reach into
EIGHTH_RANGE = 6  # ±48 samples
QUARTER_RANGE = 3  # ±12 samples
FULL, HALF, QUARTER = 4, 2, 1  # sizes of a step, in quarter samples
REPEATED_BITS = 1.0  # of a vector that a neighbour has too
SIDEWAYS = ((1, 0), (-1, 0), (0, 1), (0, -1))
AROUND = (*SIDEWAYS, (1, 1), (1, -1), (-1, 1), (-1, -1))
NEW_BITS = 6.0  # of any other, and the bits of its difference to the predictor


@dataclass(frozen=True)
class SearchEffort:
    """quarter_samples: refine vectors beyond half samples. every_offer: offer each 8x8 block moves
    by whole samples and its neighbours' half-sample vectors too. thorough: compare all rows of 8x8
    blocks, not every second one of a wider support, and move vectors diagonally too. bit_price:
    what an estimated bit weighs; 1 for a field that is final."""

    quarter_samples: bool = True
    every_offer: bool = True
    thorough: bool = False
    bit_price: float = 1.0


NORMAL_SEARCH = SearchEffort()
THOROUGH_SEARCH = SearchEffort(thorough=True)


def absolute_error_lambda(mse_lambda: Tensor) -> Tensor:
    """λ for absolute errors from the λ of bpp + λ·MSE, by the usual square root (x264, HM)."""
    return (0.75 * mse_lambda).rsqrt()


def search_vectors(
    current: Tensor,
    reference: Tensor,
    last: Tensor,
    mse_lambda: Tensor,
    effort: SearchEffort = NORMAL_SEARCH,
    planes: Tensor | None = None,
) -> Tensor:
    """current, reference: luma (B, 1, H, W) in [0, 1], H and W multiples of 16; last: the vectors
    of the frame before (B, 2, H/8, W/8); mse_lambda (B,); planes: `padded_planes` of the reference,
    where they are there already. Returns integers, shaped as `last`."""
    with torch.no_grad(), torch.autocast(current.device.type, enabled=False):
        current, reference = current.float(), reference.float()
        last = last.float().permute(0, 2, 3, 1)
        weight = absolute_error_lambda(mse_lambda)[:, None, None] * effort.bit_price
        planes = padded_planes(reference) if planes is None else planes
        coarse = BlockCosts(current, planes, weight, 16, support=24, rows_skipped=4)
        field = _search_coarse(coarse, current, reference, last)
        support, rows_skipped = (10, 1) if effort.thorough else (12, 2)
        fine = BlockCosts(current, planes, weight, 8, support, rows_skipped)
        return _search_fine(fine, field, last, effort).permute(0, 3, 1, 2).contiguous()


def _search_coarse(level: "BlockCosts", current: Tensor, reference: Tensor, last: Tensor) -> Tensor:
    """Half-sample vectors of 16x16 blocks, (B, H/16, W/16, 2)."""
    far = _full_search(current, reference, level.weight, 8, EIGHTH_RANGE)
    near = _full_search(current, reference, level.weight, 4, QUARTER_RANGE)
    before = _to_steps(last[:, ::2, ::2], FULL)
    level.begin(torch.zeros_like(far))
    level.offer([far, near, before])
    level.offer(_neighbours(level.best))
    level.offer(level.moved(AROUND, FULL), before)
    level.offer(_neighbours(level.best))
    level.offer(level.moved(AROUND, HALF), before)
    return level.best


def _search_fine(level: "BlockCosts", field: Tensor, last: Tensor, effort: SearchEffort) -> Tensor:
    """Quarter-sample vectors of 8x8 blocks, (B, H/8, W/8, 2)."""
    moves = AROUND if effort.thorough else SIDEWAYS
    level.begin(field.repeat_interleave(2, 1).repeat_interleave(2, 2))
    before = _to_steps(last, HALF)
    level.offer([*_neighbours(level.best, 2), torch.zeros_like(before), before], before)
    if effort.every_offer:
        level.offer(level.moved(SIDEWAYS, FULL), before)
    level.offer(level.moved(moves, HALF), before)
    if effort.every_offer:
        level.offer(_neighbours(level.best), before)
    if effort.quarter_samples:
        level.offer(level.moved(moves, QUARTER), last)
        level.offer([*_neighbours(level.best), last], last)
    return level.best


class BlockCosts:
    """Costs of vectors for all blocks of one size."""

    def __init__(
        self, current: Tensor, planes: Tensor, weight: Tensor,
        block: int, support: int, rows_skipped: int,
    ) -> None:  # fmt: skip
        """planes: from `padded_planes`; weight (B, 1, 1) of the estimated bits. Of the support,
        every `rows_skipped`-th row is compared: less work, nearly the same vectors."""
        batch, _, height, width = current.shape
        device = current.device
        self.weight = weight
        self.area = block * block
        margin = (support - block) // 2
        padded = F.pad(current, (margin,) * 4, mode="replicate")[:, 0]
        windows = padded.unfold(1, support, block).unfold(2, support, block)
        self.target = windows[..., ::rows_skipped, :].contiguous()
        views = planes.unfold(2, support, 1).unfold(3, support, 1)
        self.views = views[..., ::rows_skipped, :]
        columns = torch.arange(width // block, device=device)[None] * block
        rows = torch.arange(height // block, device=device)[:, None] * block
        origin = torch.stack(torch.broadcast_tensors(columns, rows), -1)
        self.corner = origin + PAD - margin
        self.item = torch.arange(batch, device=device)[:, None, None]
        room = PAD - margin - 2
        size = torch.tensor([width, height], device=device)
        self.lowest = (-4 * (origin + room)).clamp(min=-VECTOR_LIMIT)
        self.highest = (4 * (size - block - origin + room)).clamp(max=VECTOR_LIMIT)

    def begin(self, vectors: Tensor) -> None:
        self.best = self._inside(vectors)
        self.error = self._error(self.best)

    def offer(self, candidates: list[Tensor], before: Tensor | None = None) -> None:
        """Takes the best of several vectors for each block. Bits are estimated next to the present
        vectors of the blocks around, and those that the last frame has, if given."""
        vectors = torch.stack([self.best, *(self._inside(c) for c in candidates)])
        errors = torch.stack([self.error, *(self._error(v) for v in vectors[1:])])
        bits = _BitEstimate(self.best, before)
        costs = errors + torch.stack([bits.of(v) for v in vectors]) * self.weight / self.area
        choice = costs.argmin(0, keepdim=True)
        self.error = errors.gather(0, choice)[0]
        self.best = vectors.gather(0, choice[..., None].expand(*choice.shape, 2))[0]

    def moved(self, moves: tuple[tuple[int, int], ...], step: int) -> list[Tensor]:
        offsets = torch.tensor(moves, dtype=self.best.dtype, device=self.best.device) * step
        return [self.best + offset for offset in offsets]

    def errors_at(self, vectors: Tensor, blocks: Tensor) -> Tensor:
        """Transformed error (B, n) of vectors (B, n, 2) at n blocks, given as flat indices;
        infinite where a window would leave the padded reference."""
        lowest, highest = (b.flatten(0, 1)[blocks] for b in (self.lowest, self.highest))
        corner, target = self.corner.flatten(0, 1)[blocks], self.target.flatten(1, 2)[:, blocks]
        inside = torch.minimum(torch.maximum(vectors, lowest), highest)
        item = self.item[:, 0]

        errors = _transformed_error(self._windows(inside, corner, item) - target)
        return torch.where((inside == vectors).all(-1), errors, torch.inf)

    def _error(self, vectors: Tensor) -> Tensor:
        """Mean absolute error (B, h, w)."""
        windows = self._windows(vectors, self.corner, self.item)
        return (windows - self.target).abs_().mean((-1, -2))

    def _windows(self, vectors: Tensor, corner: Tensor, item: Tensor) -> Tensor:
        quarters = vectors.long()
        whole, fraction = quarters >> 2, quarters & 3
        start = whole + corner
        plane = FULL * fraction[..., 1] + fraction[..., 0]
        return self.views[item, plane, start[..., 1], start[..., 0]]

    def _inside(self, vectors: Tensor) -> Tensor:
        """Keeps windows within the padded reference."""
        return torch.minimum(torch.maximum(vectors, self.lowest), self.highest)


def _transformed_error(difference: Tensor) -> Tensor:
    """(..., rows, columns), multiples of 4 -> (...): the mean absolute coefficient of a Hadamard
    transform of 4x4 samples, of white noise about as large as its mean absolute value. Nearer to
    the bits of what is left to code than plain differences are, which is why x264 refines its
    vectors by it (SATD)."""
    rows, columns = difference.shape[-2:]
    squares = difference.unflatten(-1, (columns // 4, 4)).unflatten(-3, (rows // 4, 4))
    samples = squares.transpose(-3, -2).flatten(-2)
    two = torch.tensor([[1, 1], [1, -1]], dtype=difference.dtype, device=difference.device)
    four = torch.kron(two, two)
    return (samples @ torch.kron(four, four) / 4).abs_().mean((-1, -2, -3))


def _full_search(
    current: Tensor, reference: Tensor, weight: Tensor, scale: int, reach: int
) -> Tensor:
    """Best vector per 16x16 block (B, h, w, 2) over all offsets at 1/scale resolution."""
    small = F.avg_pool2d(current, scale)
    other = F.pad(F.avg_pool2d(reference, scale), (reach,) * 4, mode="replicate")
    height, width = small.shape[-2:]
    side = 2 * reach + 1
    shifted = other[:, 0].unfold(1, height, 1).unfold(2, width, 1)
    errors = (shifted - small[:, :, None]).abs_().reshape(-1, side * side, height, width)
    block = 16 // scale
    sums = F.avg_pool2d(F.pad(errors, (1,) * 4, mode="replicate"), block + 2, stride=block)
    steps = torch.arange(-reach, reach + 1, dtype=small.dtype, device=small.device) * (4.0 * scale)
    offsets = torch.stack([steps.repeat(side), steps.repeat_interleave(side)], -1)
    price = _vector_bits(offsets)[None, :, None, None] * weight[:, None] / 16**2
    return offsets[(sums + price).argmin(1)]


def _vector_bits(difference: Tensor) -> Tensor:
    """Rough code length of a difference of vectors in quarter samples, summed over dim -1."""
    return (1.5 * torch.log2(1 + difference.abs())).sum(-1)


class _BitEstimate:
    """What vectors would cost next to those of a field, and after the last frame's."""

    def __init__(self, field: Tensor, before: Tensor | None) -> None:
        around = _neighbours(field)
        self.predictor = torch.stack([field, *around]).median(0).values
        self.known = around if before is None else [*around, before]

    def of(self, vectors: Tensor) -> Tensor:
        bits = NEW_BITS + _vector_bits(vectors - self.predictor)
        for other in self.known:
            bits = torch.where((vectors == other).all(-1), REPEATED_BITS, bits)
        return bits


def padded_planes(reference: Tensor) -> Tensor:
    """(B, 1, H, W) -> (B, 16, H + 2 PAD, W + 2 PAD), float32: what windows are taken from. Plane
    4 y + x is the picture moved by x quarter samples to the left and y up, by the filter of motion
    compensation."""
    padded = F.pad(reference.float(), (PAD,) * 4, mode="replicate")[:, 0]
    batch, height, width = padded.shape
    planes = padded.new_empty(batch, FULL, FULL, height, width)
    for x in range(FULL):
        _moved(padded, 2, x, planes[:, 0, x])
        for y in range(1, FULL):
            _moved(planes[:, 0, x], 1, y, planes[:, y, x])
    return planes.flatten(1, 2)


def _moved(plane: Tensor, dim: int, quarters: int, out: Tensor) -> None:
    """Into `out`, the plane moved along dim; the last samples, which only border windows see, stay
    as they are."""
    out.copy_(plane)
    if quarters == 0:
        return
    weights = interpolation_filter(
        torch.tensor(quarters / FULL, dtype=torch.float32, device="cpu")
    ).tolist()
    size = plane.shape[dim] - TAPS + 1
    inner = out.narrow(dim, LOBES - 1, size).zero_()
    for tap, weight in enumerate(weights):
        inner.add_(plane.narrow(dim, tap, size), alpha=weight)


def _neighbours(vectors: Tensor, distance: int = 1) -> list[Tensor]:
    """The vectors left, right, above and below of each block, `distance` blocks away."""
    d = distance
    padded = F.pad(vectors.permute(0, 3, 1, 2), (d,) * 4, mode="replicate").permute(0, 2, 3, 1)
    rows, columns = padded.shape[1], padded.shape[2]
    return [
        padded[:, d:-d, : columns - 2 * d],
        padded[:, d:-d, 2 * d :],
        padded[:, : rows - 2 * d, d:-d],
        padded[:, 2 * d :, d:-d],
    ]


def _to_steps(vectors: Tensor, step: int) -> Tensor:
    return (vectors / step).round() * step
