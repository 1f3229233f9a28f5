"""What a frame costs on the mean of many clips, from a look at it: where nothing better is known.

Measured on 2,000 frames of eight clips of the training set; single clips have half or twice the
bits of intra frames, a third more or less of inter frames, and 2 dB more or less.
"""

import math

from neuralcodec.encoder.lookahead import FrameComplexity

USUAL_Q = 28  # of these figures, as a control gives it
INTRA_BPP = 0.165  # that react to q, of a frame with intra_cost 1
INTRA_GROWTH = 0.65  # exponent over intra_cost
INTER_BPP = 0.18  # that react to q, where prediction finds next to nothing
HALF_NEW = 1.0  # inter_cost of a frame with half of these
NEW_GROWTH = 1.4  # exponent over inter_cost where little moves
LEAST_COST = 0.05  # noise that does not show on small pictures
EASY_DB, DB_PER_OCTAVE = 42.5, -2.5  # PSNR-YUV at intra_cost 1, and more for each doubling
MOTION_DB = -0.3  # for each doubling of 1 + inter_cost


def intra_look(info: FrameComplexity) -> float:
    """Octaves of coding effort of a frame that is not predicted."""
    return math.log2(info.intra_cost + LEAST_COST)


def inter_look(info: FrameComplexity) -> float:
    """Octaves of what prediction leaves to be coded: with more and more that is new, this comes to
    a limit."""
    new = ((info.inter_cost + LEAST_COST) / HALF_NEW) ** NEW_GROWTH
    return math.log2(new / (1 + new))


def motion_look(info: FrameComplexity) -> float:
    """Octaves of what prediction is off by, from the noise on."""
    return math.log2(1 + info.inter_cost)


def usual_bpp(info: FrameComplexity) -> float:
    """Bits per luma sample that react to q."""
    if info.begins_gop:
        return INTRA_BPP * 2.0 ** (INTRA_GROWTH * intra_look(info))
    return INTER_BPP * 2.0 ** inter_look(info)


def usual_psnr(first: FrameComplexity, motion: float) -> float:
    """dB. first: the first frame of the GOP; motion: `motion_look` of the frame."""
    return EASY_DB + DB_PER_OCTAVE * intra_look(first) + MOTION_DB * motion
