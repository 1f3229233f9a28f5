"""One clip of a bench: what is known of it is taken from the cache, the rest is run."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from neuralcodec.bench import peers
from neuralcodec.bench.cache import BenchCache, Identity, Measurement, Timing
from neuralcodec.bench.clips import Source, extract
from neuralcodec.bench.job import JobReport, JobRequest
from neuralcodec.bench.plan import BenchPlan, parameters_of, qualities_of
from neuralcodec.bench.processes import run_job
from neuralcodec.bench.quality import FrameQuality, measure, write_picture
from neuralcodec.bench.results import Clip, Codec, FramePicture, Point, Skipped, Spread
from neuralcodec.bench.settings import NCODEC, CodecSetting
from neuralcodec.errors import InputError
from neuralcodec.media import VideoReader
from neuralcodec.video import Frame

_SEED = 0  # of the order in which codecs take turns


@dataclass(frozen=True)
class _Encoding:
    """One codec at one quality."""

    setting: CodecSetting
    codec: Codec
    quality: int
    identity: Identity


class _CannotCode(Exception):
    """A codec fails on this clip, for the reason that it gives."""


class ClipRun:
    """Measures one clip; `folder` takes files that are not needed afterwards.

    Attributes:
        clip: what was measured of the source.
        notices: what was converted in reading it.
        skipped: the codecs that could not be measured.
        encodings: how many were made, and not found in the cache.

    Raises InputError, from the constructor, for a source that is not fit for a bench.
    """

    def __init__(self, plan: BenchPlan, cache: BenchCache, source: Source, folder: Path):
        self._plan = plan
        self._cache = cache
        self._source = source
        self._folder = folder
        self._y4m = folder / "source.y4m"
        self._extract = extract(source, plan.setup.frames, self._y4m)
        self.notices = self._extract.notices
        self.skipped: list[Skipped] = []
        self.encodings = 0
        fmt = self._extract.format
        self.clip = Clip(
            name=source.name,
            path=str(source.path),
            sha256=source.sha256,
            width=fmt.width,
            height=fmt.height,
            bit_depth=fmt.bit_depth,
            frame_rate=float(fmt.frame_rate) if fmt.frame_rate else None,
            frames=self._extract.frames,
            pictures=tuple(self._keep_source_pictures()),
        )

    def points(self, step: Callable[[str], None]) -> list[Point]:
        """Calls `step` before each run with what it is, also for those found in the cache."""
        encodings = self._encodings()
        failed: set[CodecSetting] = set()
        for repeat in range(self._plan.setup.repeats):
            order = list(encodings)
            random.Random(_SEED + repeat).shuffle(order)
            for encoding in order:
                step(f"{self.clip.name} {encoding.codec.label} {encoding.quality}")
                if encoding.setting in failed:
                    continue
                try:
                    self._run(encoding, repeat)
                except _CannotCode as error:
                    failed.add(encoding.setting)
                    self.skipped.append(Skipped(self.clip.name, encoding.codec.label, str(error)))
        return [self._point(e) for e in encodings if e.setting not in failed]

    def _encodings(self) -> list[_Encoding]:
        setup = self._plan.setup
        found = []
        for setting, codec in zip(self._plan.settings, self._plan.codecs, strict=True):
            reason = None
            if setting.name != NCODEC:
                reason = peers.refusal(setting, self._extract.format)
            if reason:
                self.skipped.append(Skipped(self.clip.name, codec.label, reason))
                continue
            for quality in qualities_of(setting, setup.points):
                identity = Identity(
                    source_sha256=self._source.sha256,
                    frames=self.clip.frames,
                    codec=codec.label,
                    version=codec.version,
                    parameters=parameters_of(setting, quality, setup.gop, self._plan.model),
                    metrics=setup.metrics,
                    machine=f"{setup.machine}, {setup.device}",
                )
                found.append(_Encoding(setting, codec, quality, identity))
        return found

    def _run(self, encoding: _Encoding, repeat: int) -> None:
        """Measures and times an encoding, unless it has been timed as often as this before."""
        known = self._known(encoding)
        if known and len(known.timings) > repeat:
            return
        coded = self._folder / "coded.nlc"
        shown = self._folder / "shown.y4m"
        coded.unlink(missing_ok=True)
        shown.unlink(missing_ok=True)
        encoded = self._job("encode", encoding, self._y4m, coded)
        decoded = self._job("decode", encoding, coded, shown)
        self.encodings += 1
        timing = Timing(
            encode_fps=encoded.frames / encoded.seconds,
            decode_fps=decoded.frames / decoded.seconds,
            encode_memory=encoded.peak_memory,
            decode_memory=decoded.peak_memory,
        )
        if known:
            self._cache.keep(encoding.identity, known.timed_again(timing))
            return
        kept: list[FrameQuality] = []

        def keep(frame: Frame, quality: FrameQuality) -> None:
            path = self._cache.picture_path(encoding.identity, quality.frame)
            write_picture(frame, self._extract.format, path)
            kept.append(quality)

        try:
            quality = measure(
                self._y4m,
                shown,
                self._plan.setup.metrics,
                self._extract.shown_frames,
                keep,
            )
        except InputError as error:
            raise _CannotCode(f"its pictures cannot be measured: {error}") from error
        found = Measurement(
            frames=encoded.frames,
            payload_bytes=encoded.payload_bytes,
            container_bytes=coded.stat().st_size - encoded.payload_bytes,
            quality=quality,
            pictures=tuple(kept),
            timings=(timing,),
        )
        self._cache.keep(encoding.identity, found)

    def _known(self, encoding: _Encoding) -> Measurement | None:
        """None also where its pictures are gone."""
        paths = [self._cache.picture_path(encoding.identity, n) for n in self._extract.shown_frames]
        return self._cache.find(encoding.identity) if all(p.exists() for p in paths) else None

    def _job(self, verb: str, encoding: _Encoding, source: Path, target: Path) -> JobReport:
        report = run_job(
            JobRequest(
                verb=verb,
                source=str(source),
                target=str(target),
                report=str(self._folder / "report.json"),
                name=encoding.setting.name,
                preset=encoding.setting.preset,
                low_delay=encoding.setting.low_delay,
                quality=encoding.quality,
                gop=self._plan.setup.gop,
                bit_depth=self.clip.bit_depth,
                model=self._plan.model,
                device=self._plan.setup.device,
            )
        )
        if report.error:
            raise _CannotCode(f"{verb} at quality {encoding.quality}: {report.error}")
        return report

    def _keep_source_pictures(self) -> Iterator[FramePicture]:
        folder = self._cache.clip_folder(self._source.sha256)
        paths = {n: folder / f"source-{n}.png" for n in self._extract.shown_frames}
        if not all(path.exists() for path in paths.values()):
            with VideoReader(self._y4m) as reader:
                for number, frame in enumerate(reader):
                    if number in paths:
                        write_picture(frame, self._extract.format, paths[number])
        for number, path in paths.items():
            yield FramePicture(number, str(path), psnr_yuv=None)

    def _point(self, encoding: _Encoding) -> Point:
        found = self._cache.find(encoding.identity)
        if found is None:
            raise InputError(f"{self._cache.folder}: changed while the bench ran; run it again")
        samples = self.clip.width * self.clip.height * found.frames
        bits = 8 * found.payload_bytes
        rate = self.clip.frame_rate
        timings = found.timings
        return Point(
            clip=self.clip.name,
            codec=encoding.codec.label,
            quality=float(encoding.quality),
            parameters=encoding.identity.parameters,
            payload_bytes=found.payload_bytes,
            container_bytes=found.container_bytes,
            bpp=bits / samples,
            kbps=bits / found.frames * rate / 1000 if rate else None,
            psnr_y=found.quality.psnr_y,
            psnr_u=found.quality.psnr_u,
            psnr_v=found.quality.psnr_v,
            psnr_yuv=found.quality.psnr_yuv,
            ssim=found.quality.ssim,
            ms_ssim=found.quality.ms_ssim,
            vmaf=found.quality.vmaf,
            encode_fps=_spread([t.encode_fps for t in timings]),
            decode_fps=_spread([t.decode_fps for t in timings]),
            encode_memory=_spread_if_known([t.encode_memory for t in timings]),
            decode_memory=_spread_if_known([t.decode_memory for t in timings]),
            pictures=tuple(
                FramePicture(
                    kept.frame,
                    str(self._cache.picture_path(encoding.identity, kept.frame)),
                    kept.psnr_yuv,
                )
                for kept in found.pictures
            ),
        )


def _spread(figures: list[float]) -> Spread:
    return Spread(median(figures), min(figures), max(figures), len(figures))


def _spread_if_known(figures: list[int | None]) -> Spread | None:
    known = [float(figure) for figure in figures if figure is not None]
    return _spread(known) if known else None
