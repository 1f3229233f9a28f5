"""Motion between small pictures, of 8x8 blocks in half samples: rough, and fast enough to try many
pairs of pictures before one is coded."""

import numpy as np

from neuralcodec.kernels.compiled import compiled, inlined
from neuralcodec.kernels.motion.lanes import absolute_differences

BLOCK = 8
BORDER = 24  # samples repeated around a picture
_errors_8 = absolute_differences(BLOCK, BLOCK)

_PLANES = "int16[:,:,::1]"
_FIELD = "int16[:,:,::1]"
_COSTS = "int32[:,::1]"


@compiled(f"void(int16[:,::1], {_PLANES})")
def half_samples(picture, planes):  # type: ignore[no-untyped-def]
    """A picture with its border, and the same half a sample to the right, down, and both."""
    height, width = picture.shape
    rows, columns = planes.shape[1:]
    for y in range(rows):
        line = picture[min(max(y - BORDER, 0), height - 1)]
        for x in range(columns):
            planes[0, y, x] = line[min(max(x - BORDER, 0), width - 1)]
    for y in range(rows):
        below = min(y + 1, rows - 1)
        for x in range(columns):
            right = min(x + 1, columns - 1)
            a, b = np.int32(planes[0, y, x]), np.int32(planes[0, y, right])
            c, d = np.int32(planes[0, below, x]), np.int32(planes[0, below, right])
            planes[1, y, x] = (a + b + 1) >> 1
            planes[2, y, x] = (a + c + 1) >> 1
            planes[3, y, x] = (a + b + c + d + 2) >> 2


@inlined()
def _place(planes, row, column, x, y):  # type: ignore[no-untyped-def]
    """Where the window of a block begins for a vector, as a flat index."""
    rows, columns = planes.shape[1:]
    plane = 2 * (y & 1) + (x & 1)
    down = row * BLOCK + BORDER + (y >> 1)
    across = column * BLOCK + BORDER + (x >> 1)
    return (plane * rows + down) * columns + across


@inlined()
def _median(a, b, c):  # type: ignore[no-untyped-def]
    return max(min(a, b), min(max(a, b), c))


@compiled(
    f"void(int16[:,::1], {_PLANES}, int32[::1], int64, {_FIELD}, {_FIELD}, {_COSTS}, {_COSTS})"
)
def search(picture, planes, bits, price, start, field, errors, spent):  # type: ignore[no-untyped-def]
    """Vectors into `field`, sums of absolute differences into `errors`, bits into `spent`.

    bits: of a difference to what the neighbours say, by its size; price: of one, in errors; start:
    a field to begin with."""
    height, width = errors.shape
    stride = picture.shape[1]
    reach_y, reach_x = (height - 1) * BLOCK, (width - 1) * BLOCK
    room = BORDER - 2
    tried = np.empty((5, 2), np.int64)
    for row in range(height):
        low_y, high_y = -2 * (row * BLOCK + room), 2 * (reach_y - row * BLOCK + room)
        for column in range(width):
            low_x, high_x = -2 * (column * BLOCK + room), 2 * (reach_x - column * BLOCK + room)
            here = row * BLOCK * stride + column * BLOCK
            tried[:] = 0
            tried[0, 0], tried[0, 1] = start[row, column, 0], start[row, column, 1]
            if column > 0:
                tried[1, 0], tried[1, 1] = field[row, column - 1, 0], field[row, column - 1, 1]
            if row > 0:
                tried[2, 0], tried[2, 1] = field[row - 1, column, 0], field[row - 1, column, 1]
                right = min(column + 1, width - 1)
                tried[3, 0], tried[3, 1] = field[row - 1, right, 0], field[row - 1, right, 1]
            middle_x = _median(tried[1, 0], tried[2, 0], tried[3, 0])
            middle_y = _median(tried[1, 1], tried[2, 1], tried[3, 1])
            if row == 0:
                middle_x, middle_y = tried[1, 0], tried[1, 1]
            least, best_x, best_y = np.int64(1) << 40, np.int64(0), np.int64(0)
            best_error, best_bits = np.int64(0), np.int64(0)
            for i in range(5):
                x = min(max(tried[i, 0], low_x), high_x)
                y = min(max(tried[i, 1], low_y), high_y)
                error = np.int64(
                    _errors_8(picture, here, stride, planes, _place(planes, row, column, x, y),
                              planes.shape[2])
                )  # fmt: skip
                used = np.int64(bits[abs(x - middle_x)]) + bits[abs(y - middle_y)]
                if error + price * used < least:
                    least, best_x, best_y = error + price * used, x, y
                    best_error, best_bits = error, used
            step = np.int64(8)
            while step > 0:
                improved, rounds = True, 0
                while improved and rounds < 8:
                    improved = False
                    rounds += 1
                    from_x, from_y = best_x, best_y
                    for i in range(4):
                        x = from_x + ((i == 0) - (i == 1)) * step
                        y = from_y + ((i == 2) - (i == 3)) * step
                        if x < low_x or x > high_x or y < low_y or y > high_y:
                            continue
                        error = np.int64(
                            _errors_8(picture, here, stride, planes,
                                      _place(planes, row, column, x, y), planes.shape[2])
                        )  # fmt: skip
                        used = np.int64(bits[abs(x - middle_x)]) + bits[abs(y - middle_y)]
                        if error + price * used < least:
                            least, best_x, best_y = error + price * used, x, y
                            best_error, best_bits = error, used
                            improved = True
                step >>= 1
            field[row, column, 0], field[row, column, 1] = best_x, best_y
            errors[row, column], spent[row, column] = best_error, best_bits


@compiled(f"void(int16[:,::1], {_PLANES}, {_FIELD}, {_PLANES}, {_FIELD}, {_COSTS})")
def mean_errors(picture, first, first_field, second, second_field, errors):  # type: ignore[no-untyped-def]
    """Sums of absolute differences to the mean of two predictions."""
    height, width = errors.shape
    stride = first.shape[2]
    one, other = first.reshape(-1), second.reshape(-1)
    for row in range(height):
        for column in range(width):
            x, y = np.int64(first_field[row, column, 0]), np.int64(first_field[row, column, 1])
            a = _place(first, row, column, x, y)
            x, y = np.int64(second_field[row, column, 0]), np.int64(second_field[row, column, 1])
            b = _place(second, row, column, x, y)
            total = np.int32(0)
            for i in range(BLOCK):
                line = picture[row * BLOCK + i]
                for j in range(BLOCK):
                    mean = (np.int32(one[a + j]) + np.int32(other[b + j]) + 1) >> 1
                    total += abs(np.int32(line[column * BLOCK + j]) - mean)
                a += stride
                b += stride
            errors[row, column] = total
