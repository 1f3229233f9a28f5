"""What a model is worth beside x265, and beside the one it began as: what `ncodec bench` would say.

Real files of real encoders, whole pictures, a GOP of the usual length, the bench's own jobs, range
of qualities, count of bytes and measure of quality.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import mean

from neuralcodec.atomic_file import AtomicFile, scratch_folder
from neuralcodec.bench import peers
from neuralcodec.bench.cache import coding_digest
from neuralcodec.bench.clips import write_y4m
from neuralcodec.bench.job import JobReport, JobRequest, perform
from neuralcodec.bench.plan import parameters_of, qualities_of
from neuralcodec.bench.processes import run_job
from neuralcodec.bench.quality import measure
from neuralcodec.bench.settings import NCODEC, CodecSetting
from neuralcodec.encoder.presets import DEFAULT_PRESET
from neuralcodec.errors import InputError, NcodecError
from neuralcodec.files.encode import DEFAULT_GOP
from neuralcodec.metrics.bd_rate import RatePoint, bd_rate
from neuralcodec.model.model_file import load_model
from neuralcodec.training.footage import FootagePart
from neuralcodec.training.interruption import StopRequest
from neuralcodec.training.set_aside import LEAST
from neuralcodec.video import VideoFormat

OURS = CodecSetting(NCODEC, DEFAULT_PRESET)
X265 = CodecSetting("x265", "medium")
POINTS = 5  # qualities of each codec, as `ncodec bench` takes them
FEWER = 24  # frames less of each clip, where time is short
PROBES = (2, 2, 10)  # frames coded to learn how long all will take; the first time all is loaded
MOST_OF_PROBES = 0.5  # of the seconds allowed: where they need more, what follows needs too many
MOST_SECONDS = 600.0  # of a comparison

Curve = list[RatePoint]


@dataclass(frozen=True)
class Worth:
    """Of a model, in percent of bits at equal PSNR-YUV, means over the clips compared; None where
    there is no figure. curves: of each clip."""

    over_x265: float | None
    curves: tuple[Curve, ...]


class _TooSlow(InputError):
    pass


@dataclass(frozen=True)
class Pace:
    """Of coding and decoding at one quality, in seconds: before the first frame, and per sample."""

    first: float
    per_sample: float

    def seconds(self, samples: int) -> float:
        return self.first + self.per_sample * samples


class Comparison:
    """parts: as much of them is compared as `allowed` seconds suffice for, from the end; whole
    pictures, and at least LEAST frames of a clip. These seconds are those of the first model, of
    x265 and of finding out how fast both are. folder: keeps the curves.

    Attributes: `parts`, what is compared; `seconds`, about how long a model takes; `seconds_left`,
    with x265 where it is still to be coded. Raises InputError where the time does not suffice, and
    Interrupted."""

    def __init__(
        self,
        parts: Sequence[FootagePart],
        model: str,
        folder: Path,
        device: str,
        allowed: float,
        stop: StopRequest,
    ) -> None:
        self._file, self._device, self._stop = folder / "comparison.json", device, stop
        self._scratch = folder / "comparison"
        self.parts = list(parts)
        began = time.monotonic()
        with scratch_folder(self._scratch) as scratch:
            paces = _paces(self.parts[0], model, device, scratch, allowed, stop)
        allowed = max(allowed - (time.monotonic() - began), 0)
        sizes = [format_of(part) for part in self.parts]

        def seconds(paces: Sequence[Pace] = paces) -> float:
            return POINTS * sum(
                pace.seconds(fmt.width * fmt.height * part.length)
                for part, fmt in zip(self.parts, sizes, strict=False)
                for pace in paces
            )

        while seconds() > allowed:
            longest = max(part.length for part in self.parts)
            if longest > LEAST:
                self.parts = [_end_of(part, max(longest - FEWER, LEAST)) for part in self.parts]
            elif len(self.parts) > 1:
                self.parts.pop()
            else:
                raise InputError(
                    f"{LEAST} frames of {self.parts[0].name} would take {in_minutes(seconds())}, "
                    f"more than {in_minutes(allowed)}"
                )
        self.seconds, self.seconds_left = seconds(paces[:1]), seconds()
        # Where frames come unevenly, there may be fewer in the time that they are looked for.
        real = [replace(part, length=part.length_found()) for part in self.parts]
        self.parts = [part for part in real if part.length >= LEAST // 2]
        if not self.parts:
            raise InputError(f"the last frames of {real[0].footage.name} cannot be read")

    @property
    def text(self) -> str:
        """What is compared."""
        return ", ".join(
            f"the last {part.length} frames of {part.footage.name}" for part in self.parts
        )

    def worth(self, model: str, tell: Callable[[str], None]) -> Worth:
        """Raises NcodecError, and Interrupted between two qualities."""
        ours: list[Curve] = []
        found: list[float] = []
        for part in self.parts:
            with scratch_folder(self._scratch) as scratch:
                source = scratch / "source.y4m"
                fmt = write_part(part, source)
                ours.append(self._curve(source, fmt, OURS, model))
                try:
                    found.append(bd_rate(self._x265_curve(source, fmt), ours[-1]))
                except (ValueError, NcodecError) as error:
                    self._stop.check()  # a terminal's Ctrl-C ends x265's process too
                    tell(f"{part.footage.name} cannot be compared with x265: {error}")
        self.seconds_left = self.seconds
        return Worth(mean(found) if found else None, tuple(ours))

    def _x265_curve(self, source: Path, fmt: VideoFormat) -> Curve:
        _check_x265(fmt)
        return self._curve(source, fmt, X265, "")

    def _curve(self, source: Path, fmt: VideoFormat, setting: CodecSetting, model: str) -> Curve:
        """From the folder where it is known."""
        with source.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        version = (
            f"{coding_digest()} {load_model(model).sha256.hex()} {self._device}"
            if setting.name == NCODEC
            else peers.library_version(setting)
        )
        parameters = parameters_of(setting, "{quality}", DEFAULT_GOP, "")
        key = f"{digest}: {parameters}, {POINTS} points, {version}"
        known = _read(self._file)
        if key not in known:
            known[key] = measured_curve(source, fmt, setting, model, self._device, self._stop)
            plain = {name: [(p.rate, p.psnr) for p in curve] for name, curve in known.items()}
            with AtomicFile(self._file, overwrite=True) as output:
                output.file.write(json.dumps(plain, indent=1).encode())
        return known[key]


def saved_bits(before: Worth, after: Worth) -> float | None:
    """Percent of bits that the second needs more than the first; negative: fewer."""
    found = []
    for first, second in zip(before.curves, after.curves, strict=True):
        try:
            found.append(bd_rate(first, second))
        except ValueError:
            continue
    return mean(found) if found else None


def measured_curve(
    source: Path,
    fmt: VideoFormat,
    setting: CodecSetting,
    model: str,
    device: str,
    stop: StopRequest,
) -> Curve:
    """Bytes of the video in files that are written, quality of the pictures decoded from them.

    Raises InputError, and Interrupted."""
    points = []
    for quality in qualities_of(setting, POINTS):
        stop.check()
        points.append(_measured_point(source, fmt, setting, model, device, quality))
    return points


def _check_x265(fmt: VideoFormat) -> None:
    """Raises NcodecError where it is not there, or cannot code such frames."""
    peers.check_setting(X265)
    if reason := peers.refusal(X265, fmt):
        raise InputError(reason)


def _measured_point(
    source: Path, fmt: VideoFormat, setting: CodecSetting, model: str, device: str, quality: int
) -> RatePoint:
    with tempfile.TemporaryDirectory(dir=source.parent) as folder:
        coded, shown = Path(folder) / "coded.nlc", Path(folder) / "shown.y4m"
        request = JobRequest(
            verb="encode",
            source=str(source),
            target=str(coded),
            report=str(Path(folder) / "report.json"),
            name=setting.name,
            preset=setting.preset,
            low_delay=setting.low_delay,
            quality=quality,
            gop=DEFAULT_GOP,
            bit_depth=fmt.bit_depth,
            model=model,
            device=device,
        )
        done = _done(request)
        _done(replace(request, verb="decode", source=str(coded), target=str(shown)))
        found = measure(source, shown, ["psnr"])
    return RatePoint(
        8 * done.payload_bytes / (done.frames * fmt.width * fmt.height), found.psnr_yuv
    )


def _done(request: JobRequest) -> JobReport:
    """ncodec here, with this process's threads; x265 apart, as its crash would end the training."""
    if request.name == NCODEC:
        return perform(request)
    report = run_job(request)
    if report.error:
        raise InputError(f"{request.name} at quality {request.quality}: {report.error}")
    return report


def write_part(part: FootagePart, path: Path) -> VideoFormat:
    """As Y4M, which every codec reads alike. Raises InputError where frames are missing."""
    fmt = format_of(part)
    count = write_y4m((frame for frame, _ in part.read()), path, fmt)
    if count < part.length:
        raise InputError(f"{part.footage.path}: only {count} of {part.length} frames can be read")
    return fmt


def format_of(part: FootagePart) -> VideoFormat:
    for _, fmt in part.read():
        return fmt
    raise InputError(f"{part.footage.path}: no frame {part.start} can be read")


def in_minutes(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.0f} minutes"


def _paces(
    part: FootagePart, model: str, device: str, scratch: Path, allowed: float, stop: StopRequest
) -> list[Pace]:
    """The model's, and x265's where it can be used. Raises InputError, and Interrupted."""
    fmt, source = format_of(part), scratch / "probe.y4m"
    began = time.monotonic()

    def pace(setting: CodecSetting, model: str) -> Pace:
        middle = qualities_of(setting, 3)[1]
        frames, seconds = [], []
        for count in PROBES:
            stop.check()
            frames.append(write_y4m((f for f, _ in islice(part.read(), count)), source, fmt))
            start = time.monotonic()
            _measured_point(source, fmt, setting, model, device, middle)
            seconds.append(time.monotonic() - start)
            if (spent := time.monotonic() - began) > MOST_OF_PROBES * allowed:
                raise _TooSlow(
                    f"a few frames of {part.name} took {in_minutes(spent)}, more than half of the "
                    f"{in_minutes(allowed)} that may be used for all"
                )
        per_frame = (seconds[-1] - seconds[-2]) / max(frames[-1] - frames[-2], 1)
        if per_frame <= 0:  # other work of the machine came between
            per_frame = seconds[-1] / frames[-1]
        first = max(seconds[-2] - per_frame * frames[-2], 0.0)
        return Pace(first, per_frame / (fmt.width * fmt.height))

    found = [pace(OURS, model)]
    try:
        _check_x265(fmt)
        found.append(pace(X265, ""))
    except _TooSlow:
        raise
    except NcodecError:
        stop.check()  # a terminal's Ctrl-C ends x265's process too
    return found  # where x265 fails, `worth` says so


def _end_of(part: FootagePart, length: int) -> FootagePart:
    cut = max(part.length - length, 0)
    return replace(part, start=part.start + cut, length=part.length - cut)


def _read(file: Path) -> dict[str, Curve]:
    """Nothing where the file is missing or damaged."""
    try:
        plain = json.loads(file.read_text())
        return {key: [RatePoint(*point) for point in curve] for key, curve in plain.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}
