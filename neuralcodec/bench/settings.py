"""Which codecs are measured, each in which setting: what `--codecs` and `--presets` mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neuralcodec.errors import UsageError

NCODEC = "ncodec"
LOW_DELAY = "lowdelay"
USUAL_ANCHOR = "x265"


@dataclass(frozen=True)
class CodecSetting:
    """One codec in one setting."""

    name: str  # ncodec, or a key of PEERS
    preset: str  # empty: ncodec's default
    low_delay: bool = False  # no frame waits for a later one

    @property
    def label(self) -> str:
        parts = [self.name, self.preset, LOW_DELAY if self.low_delay else ""]
        return ":".join(part for part in parts if part)


def parse_settings(
    codecs: str, presets: str | None, defaults: Mapping[str, str]
) -> list[CodecSetting]:
    """The settings that `--codecs` and `--presets` ask for, in their order.

    codecs: `NAME`, `NAME:PRESET` or `NAME:PRESET:lowdelay`, with commas between, of ncodec
    `ncodec:lowdelay` as well; a bare name of a classical codec stands for its normal and its
    low-delay setting, at its default preset or at those that `presets`
    (`x264=fast,x264=slow,svtav1=8`) gives it. defaults: the known classical codecs with their
    default presets. Raises UsageError.
    """
    chosen = _chosen_presets(presets, defaults)
    settings: dict[CodecSetting, None] = {}
    for item in filter(None, (part.strip() for part in codecs.split(","))):
        name, *rest = item.split(":")
        _check_name(name, defaults)
        if rest:
            settings[_exact(item, name, rest)] = None
            continue
        for preset in chosen.get(name) or [defaults.get(name, "")]:
            settings[CodecSetting(name, preset)] = None
            if name != NCODEC:
                settings[CodecSetting(name, preset, low_delay=True)] = None
    if not settings:
        raise UsageError("--codecs names no codec")
    if idle := set(chosen) - {setting.name for setting in settings}:
        raise UsageError(f"--presets names {', '.join(sorted(idle))}, which --codecs does not")
    return list(settings)


def find_anchor(text: str | None, settings: Sequence[CodecSetting]) -> CodecSetting:
    """The setting with this label, or the first one of the codec with this name.

    None: x265, or else the first classical codec, or else the first of all. Raises UsageError where
    there is none of that name.
    """
    if text is None:
        usual = [s for s in settings if s.name == USUAL_ANCHOR]
        classical = [s for s in settings if s.name != NCODEC]
        return (usual or classical or list(settings))[0]
    for named in (
        [s for s in settings if s.label == text],
        [s for s in settings if s.name == text],
    ):
        if named:
            return named[0]
    labels = ", ".join(setting.label for setting in settings)
    raise UsageError(f"the anchor '{text}' is not measured; it must be one of {labels}")


def _exact(item: str, name: str, rest: list[str]) -> CodecSetting:
    if name == NCODEC and rest == [LOW_DELAY]:
        return CodecSetting(name, "", low_delay=True)
    preset, *delay = rest
    if not preset or delay not in ([], [LOW_DELAY]):
        raise UsageError(f"'{item}' is not of the form NAME, NAME:PRESET or NAME:PRESET:lowdelay")
    return CodecSetting(name, preset, bool(delay))


def _chosen_presets(presets: str | None, defaults: Mapping[str, str]) -> dict[str, list[str]]:
    chosen: dict[str, list[str]] = {}
    for item in filter(None, (part.strip() for part in (presets or "").split(","))):
        name, _, preset = item.partition("=")
        if not preset:
            raise UsageError(f"'{item}' in --presets is not of the form NAME=PRESET")
        _check_name(name, defaults)
        chosen.setdefault(name, []).append(preset)
    return chosen


def _check_name(name: str, defaults: Mapping[str, str]) -> None:
    known = [NCODEC, *defaults]
    if name not in known:
        raise UsageError(f"unknown codec '{name}'; known are {', '.join(known)}")
