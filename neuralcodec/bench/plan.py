"""What a bench will do, settled and checked before it begins."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import av
import torch

from neuralcodec.bench import peers
from neuralcodec.bench.cache import coding_digest
from neuralcodec.bench.clips import Source
from neuralcodec.bench.quality import METRICS
from neuralcodec.bench.results import AbsentMetric, Codec, Setup
from neuralcodec.bench.settings import NCODEC, CodecSetting
from neuralcodec.bench.vmaf import ABSENT, vmaf_is_there
from neuralcodec.codec.device import find_device
from neuralcodec.errors import UsageError
from neuralcodec.model.model_file import load_model
from neuralcodec.version import __version__

_NCODEC_BEST, _NCODEC_WORST = 63, 0


@dataclass(frozen=True)
class BenchPlan:
    """What to measure, and how."""

    sources: tuple[Source, ...]
    settings: tuple[CodecSetting, ...]
    codecs: tuple[Codec, ...]  # of the settings, in their order
    setup: Setup
    model: str  # of ncodec: a name or a file

    @property
    def runs(self) -> int:
        """Encodings and decodings, if all have to be made."""
        qualities = sum(len(qualities_of(s, self.setup.points)) for s in self.settings)
        return len(self.sources) * qualities * self.setup.repeats


def make_plan(
    sources: Sequence[Source],
    settings: Sequence[CodecSetting],
    anchor: CodecSetting,
    *,
    points: int,
    gop: int,
    frames: int | None,
    repeats: int,
    metrics: Sequence[str],
    model: str,
    device: str,
    command: str,
) -> BenchPlan:
    """Raises UsageError for what an encoder does not take, ModelError and DeviceError."""
    for setting in settings:
        if setting.name != NCODEC:
            peers.check_setting(setting)
    versions = _versions()
    resolved = str(find_device(device))
    if any(setting.name == NCODEC for setting in settings):
        installed = load_model(model)
        digest = installed.sha256.hex()
        versions["model"] = f"{installed.name} {digest[:16]}"
    ncodec_version = f"{versions['ncodec']} with model {versions.get('model')}"
    codecs = tuple(
        Codec(
            label=setting.label,
            name=setting.name,
            preset=setting.preset,
            low_delay=setting.low_delay,
            version=ncodec_version if setting.name == NCODEC else peers.library_version(setting),
            parameters=parameters_of(setting, "{quality}", gop, model),
        )
        for setting in settings
    )
    absent = [AbsentMetric("vmaf", ABSENT)] if not vmaf_is_there() and "vmaf" in metrics else []
    setup = Setup(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        command=command,
        machine=_machine(),
        device=resolved,
        versions=versions,
        metrics=tuple(m for m in metrics if m not in {a.name for a in absent}),
        absent_metrics=tuple(absent),
        anchor=anchor.label,
        points=points,
        gop=gop,
        frames=frames,
        repeats=repeats,
    )
    return BenchPlan(tuple(sources), tuple(settings), codecs, setup, model)


def parse_metrics(text: str) -> list[str]:
    """Names with commas between, in the order of METRICS; PSNR always. Raises UsageError."""
    names = {part.strip() for part in text.split(",")} - {""}
    if unknown := names - set(METRICS):
        raise UsageError(
            f"unknown metric {', '.join(sorted(unknown))}; known are {', '.join(METRICS)}"
        )
    return [name for name in METRICS if name in names | {"psnr"}]


def qualities_of(setting: CodecSetting, points: int) -> list[int]:
    """`points` different qualities evenly over a codec's range, best first; fewer if the range
    has fewer."""
    if setting.name == NCODEC:
        best, worst = _NCODEC_BEST, _NCODEC_WORST
    else:
        best, worst = peers.PEERS[setting.name].best, peers.PEERS[setting.name].worst
    steps = max(1, points - 1)
    return list(dict.fromkeys(round(best + (worst - best) * i / steps) for i in range(points)))


def parameters_of(setting: CodecSetting, quality: int | str, gop: int, model: str) -> str:
    """The exact parameters of an encoding, as results give them."""
    if setting.name == NCODEC:
        preset = f" preset={setting.preset}" if setting.preset else ""
        delay = " low-delay" if setting.low_delay else ""
        return f"ncodec model={Path(model).name}{preset}{delay} quality={quality} gop={gop}"
    return str(peers.options_of(setting, quality, gop))


def _versions() -> dict[str, str]:
    libraries = {
        name: ".".join(map(str, version))
        for name, version in av.library_versions.items()
        if name in ("libavcodec", "libavformat", "libswscale")
    }
    return {
        "ncodec": f"{__version__} (code {coding_digest()})",
        "python": platform.python_version(),
        "pyav": av.__version__,
        **libraries,
        "torch": str(torch.__version__),
    }


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    threads = torch.get_num_threads()
    return (
        f"{_processor()}, {cores} {'core' if cores == 1 else 'cores'}, "
        f"{threads} {'thread' if threads == 1 else 'threads'} for networks, "
        f"{platform.system()} {platform.machine()}"
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown processor"
