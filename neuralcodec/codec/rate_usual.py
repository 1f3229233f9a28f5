"""What a frame costs on the mean of many clips, from a look at it: where nothing better is known.

Measured on the clips of the training set at 160x96 to 176x144; single clips have half or twice the
bits, and 1.5 dB more or less.
"""

import math

from neuralcodec.codec.gop_structure import Outlook

USUAL_Q = 28  # of these figures, as a control gives it
GROWTH = 0.65  # exponent: bits of a frame over what coding it costs on small pictures
INTRA_BPP = 0.165  # of a frame with intra_cost 1
INTER_BPP = 0.075  # of a frame with inter_cost 1
NOISE = 0.05  # of a cost, which does not show on small pictures
EASY_DB, DB_PER_OCTAVE = 42.5, -2.5  # PSNR-YUV at intra_cost 1, and more for each doubling
MOTION_DB = -0.3  # for each doubling of inter_cost


def octaves(cost: float) -> float:
    """Of what coding a frame costs on small pictures, over 1."""
    return math.log2(cost + NOISE)


def usual_bpp(outlook: Outlook) -> float:
    """Bits per luma sample that react to q."""
    if outlook.begins_gop:
        return INTRA_BPP * 2.0 ** (GROWTH * octaves(outlook.intra_cost))
    return INTER_BPP * 2.0 ** (GROWTH * octaves(outlook.inter_cost))


def usual_psnr(intra_cost: float, inter_cost: float) -> float:
    """dB. intra_cost: of the first frame of the GOP; inter_cost: of the frame."""
    return EASY_DB + DB_PER_OCTAVE * octaves(intra_cost) + MOTION_DB * octaves(inter_cost)
