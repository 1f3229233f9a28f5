"""Drawn sequences of full contrast: waves, and moving boxes and glyphs as on a screen.

The clips to train from hold natural video alone. Weights that had seen nothing else coded waves of
full contrast at 15 dB where a classical codec has 40.
"""

import numpy as np
import torch
from torch import Tensor

Sequence = tuple[Tensor, Tensor]


def synthetic_sequence(length: int, size: int, random: np.random.Generator) -> Sequence:
    """y (T, 1, S, S) and uv (T, 2, S/2, S/2), uint8."""
    draw = _waves if random.random() < 0.5 else _screen
    y, u, v = draw(length, size, random)
    sigma = random.choice([0.0, 1.0, 3.0, 8.0])
    planes = [_samples(plane, sigma, random) for plane in (y, u, v)]
    return planes[0][:, None], torch.stack(planes[1:], 1)


def stretch_contrast(y: Tensor, uv: Tensor, random: np.random.Generator) -> Sequence:
    """The same sequence with one to four times the contrast, or inverted, clipped to uint8."""
    gain = random.uniform(1, 4) * random.choice([-1, 1])
    middle = random.uniform(64, 192)

    def stretched(plane: Tensor, around: float) -> Tensor:
        return ((plane.float() - around) * gain + 128).round().clamp(0, 255).to(torch.uint8)

    return stretched(y, middle), stretched(uv, 128.0)


def standing_still(y: Tensor, uv: Tensor, random: np.random.Generator) -> Sequence:
    """The same sequence as by a fixed camera: all of it stands, or all beyond a rectangle;
    often with noise that is new in every frame."""
    height, width = y.shape[-2:]
    moves = torch.zeros(height, width, dtype=torch.bool)
    if random.random() < 0.6:
        side = (random.uniform(0.1, 0.6, 2) * (height, width)).astype(int) // 2 * 2
        top, left = (
            2 * random.integers((n - s) // 2 + 1)
            for n, s in zip((height, width), side, strict=True)
        )
        moves[top : top + side[0], left : left + side[1]] = True
    sigma = random.choice([0.0, 0.0, 0.7, 1.5, 3.5])

    def held(planes: Tensor, mask: Tensor) -> Tensor:
        still = torch.where(mask, planes, planes[:1]).float()
        if sigma:
            noise = random.standard_normal(still.shape, dtype=np.float32)
            still += torch.from_numpy(sigma * noise)
        return still.round().clamp(0, 255).to(torch.uint8)

    return held(y, moves), held(uv, moves[::2, ::2])


def _samples(plane: np.ndarray, sigma: float, random: np.random.Generator) -> Tensor:
    noisy = plane + sigma * random.standard_normal(plane.shape) if sigma else plane
    return torch.from_numpy(np.clip(np.round(noisy), 0, 255).astype(np.uint8))


def _waves(length: int, size: int, random: np.random.Generator) -> list[np.ndarray]:
    """Per plane one wave down and one across, each with its period and speed."""
    planes = []
    times = np.arange(length)[:, None]
    for side in (size, size // 2, size // 2):
        amplitude = random.uniform(10, 127.5, 2) * (1, random.choice([0, 0.5, 1]))
        period = np.exp(random.uniform(np.log(12), np.log(160), 2))
        speed = random.uniform(-0.5, 0.5, 2)  # radians per frame
        start = random.uniform(0, 2 * np.pi, 2)
        place = np.arange(side)[None] * 2 * np.pi
        across, down = (
            amplitude[i] * np.sin(place / period[i] + times * speed[i] + start[i]) for i in (0, 1)
        )
        planes.append(random.uniform(64, 192) + across[:, None, :] + down[:, :, None])
    return planes


def _screen(length: int, size: int, random: np.random.Generator) -> list[np.ndarray]:
    """A plain ground with boxes, some full of glyphs, moved by whole chroma samples a frame."""
    planes = [np.full((length, size // s, size // s), _level(random)) for s in (1, 2, 2)]
    for _ in range(random.integers(2, 9)):
        rows, columns = 2 * random.integers(4, size // 3, 2)
        box = [
            _glyphs(rows, columns, random)
            if random.random() < 0.5
            else np.full((rows, columns), _level(random))
        ]
        box += [np.full((rows // 2, columns // 2), _level(random)) for _ in "uv"]
        velocity = random.integers(-3, 4, 2) * (random.random() < 0.6)
        place = random.integers(-8, size // 2, 2)
        for t in range(length):
            top, left = place + t * velocity
            for plane, part, scale in zip(planes, box, (2, 1, 1), strict=True):
                _paste(plane[t], part, scale * top, scale * left)
    return planes


def _level(random: np.random.Generator) -> float:
    return float(random.choice([16, 128, 235]) if random.random() < 0.4 else random.uniform(0, 255))


def _glyphs(rows: int, columns: int, random: np.random.Generator) -> np.ndarray:
    """Small random bitmaps in lines, as text has edges."""
    ink, paper = _level(random), _level(random)
    scale = random.integers(1, 4)
    cells = random.random((rows // scale + 1, columns // scale + 1)) < 0.5
    cells[:: random.integers(5, 12)] = False  # space between the lines
    cells[:, :: random.integers(4, 8)] = False  # and between the letters
    bitmap = np.repeat(np.repeat(cells, scale, 0), scale, 1)[:rows, :columns]
    return np.where(bitmap, ink, paper)


def _paste(plane: np.ndarray, part: np.ndarray, top: int, left: int) -> None:
    """Writes `part` into `plane` where the two overlap."""
    rows, columns = part.shape
    above, before = max(0, -top), max(0, -left)
    target = plane[max(0, top) : max(0, top + rows), max(0, left) : max(0, left + columns)]
    if target.size:
        target[:] = part[above : above + target.shape[0], before : before + target.shape[1]]
