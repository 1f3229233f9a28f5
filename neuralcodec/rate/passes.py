"""From what the user asks for to the control that steers the encoder."""

from collections.abc import Callable, Iterator

from neuralcodec.container.sizes import INDEX_BYTES
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.encoder.quality_control import QualityControl
from neuralcodec.errors import InputError, UsageError
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.rate.first_pass import survey
from neuralcodec.rate.one_pass_bits import LiveBits
from neuralcodec.rate.one_pass_psnr import LivePsnr
from neuralcodec.rate.target import RateKind, RateTarget
from neuralcodec.rate.trials import SampleCoder, Trials
from neuralcodec.rate.two_pass import PlannedBits, PlannedPsnr
from neuralcodec.video import Frame, VideoFormat

SIZE_MARGIN = 0.004  # of a size, kept free: what is asked for is mostly a limit


def control_after_first_pass(
    target: RateTarget,
    frames: Iterator[Frame],
    fmt: VideoFormat,
    installed: InstalledModel,
    settings: EncoderSettings,
    other_bytes: Callable[[], int],
) -> QualityControl:
    """Reads all of `frames` and codes a sample of them. The second pass must read the same frames
    and use the same settings.

    other_bytes: asked after the reading; bytes of the file that are neither GOPS nor stat chunks
    nor index entries: head, other streams, tail.
    Raises InputError where there are no frames, or no room for any.
    """
    seen = survey(frames, fmt, settings)
    if seen.frames == 0:
        raise InputError("no frames; nothing to encode")
    trials = Trials(SampleCoder(installed, fmt, settings), seen, fmt.width * fmt.height)
    if target.kind is RateKind.PSNR:
        return PlannedPsnr(trials.plan_psnr(target.value))
    if target.kind is RateKind.BITRATE:
        budget = target.value * seen.seconds
    elif target.kind is RateKind.BPP:
        budget = target.value * fmt.width * fmt.height * seen.frames
    else:
        others = other_bytes() + seen.gops * INDEX_BYTES
        budget = 8 * ((1 - SIZE_MARGIN) * target.value - others)
    return PlannedBits(trials.plan_bits(max(budget, 1.0)))


def live_control(target: RateTarget, fmt: VideoFormat, gop: int) -> QualityControl:
    """For a source that can be read only once. Raises UsageError for a size."""
    if target.kind is RateKind.SIZE:
        raise UsageError(
            "a size needs an input that can be read twice, and a pipe cannot; "
            "give a file, or a bitrate"
        )
    if target.kind is RateKind.PSNR:
        return LivePsnr(fmt, gop, target.value)
    if target.kind is RateKind.BITRATE:
        return LiveBits(fmt, gop, per_second=target.value, per_frame=None)
    per_frame = target.value * fmt.width * fmt.height
    return LiveBits(fmt, gop, per_second=None, per_frame=per_frame)
