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

from neuralcodec.atomic_file import AtomicFile
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
from neuralcodec.training.set_aside import LEAST
from neuralcodec.video import VideoFormat

OURS = CodecSetting(NCODEC, DEFAULT_PRESET)
X265 = CodecSetting("x265", "medium")
POINTS = 5  # qualities of each codec, as `ncodec bench` takes them
FEWER = 24  # frames less of each clip, where time is short
PROBES = (2, 2, 10)  # frames coded to learn how long all will take; the first time all is loaded
MOST_SECONDS = 600.0  # of a comparison

Curve = list[RatePoint]


@dataclass(frozen=True)
class Worth:
    """Of a model, in percent of bits at equal PSNR-YUV, means over the clips compared; None where
    there is no figure. curves: of each clip."""

    over_x265: float | None
    curves: tuple[Curve, ...]


class Comparison:
    """parts: as much of them is compared as `allowed` seconds suffice for, from the end; whole
    pictures, and at least LEAST frames of a clip. folder: keeps the curves.

    Attributes: `parts`, what is compared; `seconds`, about how long a model takes. Raises
    InputError where the time does not suffice."""

    def __init__(
        self, parts: Sequence[FootagePart], model: str, folder: Path, device: str, allowed: float
    ) -> None:
        self._file, self._device = folder / "comparison.json", device
        self.parts = list(parts)
        speed = _seconds_per_sample(self.parts[0], model, device)
        sizes = [format_of(part) for part in self.parts]

        def seconds() -> float:
            samples = sum(
                fmt.width * fmt.height * part.length
                for part, fmt in zip(self.parts, sizes, strict=False)
            )
            return speed * POINTS * samples

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
        self.seconds = seconds()
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
        """Raises NcodecError."""
        ours: list[Curve] = []
        found: list[float] = []
        for part in self.parts:
            with tempfile.TemporaryDirectory(dir=self._file.parent) as folder:
                source = Path(folder) / "source.y4m"
                fmt = write_part(part, source)
                ours.append(self._curve(source, fmt, OURS, model))
                try:
                    found.append(bd_rate(self._x265_curve(source, fmt), ours[-1]))
                except (ValueError, NcodecError) as error:
                    tell(f"{part.footage.name} cannot be compared with x265: {error}")
        return Worth(mean(found) if found else None, tuple(ours))

    def _x265_curve(self, source: Path, fmt: VideoFormat) -> Curve:
        peers.check_setting(X265)
        if reason := peers.refusal(X265, fmt):
            raise InputError(reason)
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
            known[key] = measured_curve(source, fmt, setting, model, self._device)
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
    source: Path, fmt: VideoFormat, setting: CodecSetting, model: str, device: str
) -> Curve:
    """Bytes of the video in files that are written, quality of the pictures decoded from them."""
    return [
        _measured_point(source, fmt, setting, model, device, quality)
        for quality in qualities_of(setting, POINTS)
    ]


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


def _seconds_per_sample(part: FootagePart, model: str, device: str) -> float:
    """Of coding and decoding at one quality, without what a call takes before its first frame."""
    middle = qualities_of(OURS, 3)[1]
    fmt = format_of(part)
    frames, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.y4m"
        for count in PROBES:
            frames.append(write_y4m((f for f, _ in islice(part.read(), count)), source, fmt))
            began = time.perf_counter()
            _measured_point(source, fmt, OURS, model, device, middle)
            seconds.append(time.perf_counter() - began)
    per_frame = (seconds[-1] - seconds[-2]) / max(frames[-1] - frames[-2], 1)
    if per_frame <= 0:  # other work of the machine came between
        per_frame = seconds[-1] / frames[-1]
    return per_frame / (fmt.width * fmt.height)


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
