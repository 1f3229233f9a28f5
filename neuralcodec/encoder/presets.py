"""How hard the encoder tries. The file format and the decoder know nothing of it."""

from dataclasses import dataclass, replace

from neuralcodec.encoder.motion.motion_search import NORMAL_SEARCH, THOROUGH_SEARCH, SearchEffort

DEFAULT_PRESET = "medium"


@dataclass(frozen=True)
class Effort:
    """What the encoder spends on each frame.

    search: of the motion vectors.
    priced_motion: choose motion again, by what the motion prior really charges for it.
    joint_searches: of vectors in one of two references, for what those in the other one leave.
    symbol_rounds: how often the symbols of a latent are reconsidered, each time by one gradient
    of bits + λ·distortion; 0: they stay as the analysis gave them.
    gop_trials: how much more q the intra frame of a GOP may get; which of these pays is tried at
    the beginning of each GOP. None: as the size of the first mini-GOP says.
    trial_frames: of a GOP, for each trial.
    """

    search: SearchEffort = NORMAL_SEARCH
    priced_motion: bool = False
    joint_searches: int = 0
    symbol_rounds: int = 0
    gop_trials: tuple[int, ...] = ()
    trial_frames: int = 0


# Most frames between two anchors, if nothing else is asked for
BFRAMES = {"fast": 3, "medium": 15, "slow": 15, "placebo": 15}

# For motion that is chosen again by its price
_BY_PRICE = replace(THOROUGH_SEARCH, bit_price=0.3)
MEDIUM = Effort(_BY_PRICE, priced_motion=True, joint_searches=1)
PRESETS: dict[str, Effort] = {
    "fast": Effort(),
    "medium": MEDIUM,
    "slow": Effort(
        _BY_PRICE,
        priced_motion=True,
        joint_searches=2,
        symbol_rounds=3,
        gop_trials=(8, 12, 20),
        trial_frames=12,
    ),
    "placebo": Effort(
        _BY_PRICE,
        priced_motion=True,
        joint_searches=2,
        symbol_rounds=10,
        gop_trials=(8, 12, 16, 20),
        trial_frames=32,
    ),
}
