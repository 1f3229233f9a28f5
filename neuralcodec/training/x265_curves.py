"""Rate-distortion curves of x265 for the crops of a validation, made once and kept."""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from neuralcodec.atomic_file import AtomicFile
from neuralcodec.errors import NcodecError
from neuralcodec.metrics.bd_rate import RatePoint
from neuralcodec.training.crops import Crop

if TYPE_CHECKING:
    from neuralcodec.bench.settings import CodecSetting

CRF = (14, 20, 26, 32, 38, 44)  # the range that `ncodec bench` uses
Curve = list[RatePoint]  # bits per luma sample and PSNR-YUV (6:1:1)


class NoCurves(NcodecError):
    """There is no x265 here."""


def x265_curves(crops: Sequence[Crop], file: Path) -> dict[str, Curve]:
    """The curve of each crop, by its digest; from `file` where it has them, which is kept up.

    Raises NoCurves where PyAV or its x265 is missing."""
    try:
        from neuralcodec.bench.peers import check_setting, library_version, options_of
        from neuralcodec.bench.settings import CodecSetting
    except ImportError as error:
        raise NoCurves(f"no BD-rate against x265: {error}") from error
    setting = CodecSetting("x265", "medium", low_delay=False)
    try:
        check_setting(setting)
    except NcodecError as error:
        raise NoCurves(f"no BD-rate against x265: {error}") from error
    lengths = sorted({len(crop.y) for crop in crops})
    options = [str(options_of(setting, quality, gop)) for gop in lengths for quality in CRF]
    made_by = f"{library_version(setting)}: {options}"
    kept = _read(file, made_by)
    missing = [crop for crop in crops if crop.sha256 not in kept]
    for crop in missing:
        kept[crop.sha256] = [encode_point(crop, setting, quality) for quality in CRF]
    if missing:
        _write(file, made_by, kept)
    return {crop.sha256: kept[crop.sha256] for crop in crops}


def encode_point(crop: Crop, setting: "CodecSetting", quality: int) -> RatePoint:
    from fractions import Fraction

    from neuralcodec.bench.peer_files import decode_file, encode_to_file
    from neuralcodec.metrics.psnr import PsnrMeter
    from neuralcodec.video import VideoFormat

    count, _, height, width = crop.y.shape
    fmt = VideoFormat(width, height, Fraction(1, 25), 8, Fraction(25))
    meter = PsnrMeter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crop.mkv"
        done = encode_to_file(crop.frames(), fmt, path, setting, quality=quality, gop=count)
        for source, shown in zip(crop.frames(), decode_file(path, setting, 8), strict=True):
            meter.add(source, shown)
    return RatePoint(8 * done.payload_bytes / (count * height * width), meter.mean.yuv)


def _read(file: Path, made_by: str) -> dict[str, Curve]:
    """Nothing where the file is missing, damaged, or of another x265."""
    try:
        saved = json.loads(file.read_text())
        if saved["made_by"] != made_by:
            return {}
        return {
            digest: [RatePoint(*point) for point in points]
            for digest, points in saved["curves"].items()
        }
    except (OSError, ValueError, LookupError, TypeError):
        return {}


def _write(file: Path, made_by: str, curves: dict[str, Curve]) -> None:
    plain = {digest: [(p.rate, p.psnr) for p in curve] for digest, curve in curves.items()}
    with AtomicFile(file, overwrite=True) as output:
        output.file.write(json.dumps({"made_by": made_by, "curves": plain}, indent=1).encode())
