"""Which blocks of an inter frame are filtered <-> the first bits of its payload."""

from neuralcodec.entropy import SymbolDecoder, SymbolEncoder
from neuralcodec.model.loop_filters import Filtered

FilteredPlanes = tuple[Filtered, Filtered]  # of luma and of chroma
AFTER_INTRA: FilteredPlanes = (Filtered.CHANGED, Filtered.CHANGED)  # what the first is told by
SAME = 7 / 8  # chance of what the first reference has


def encode_filtered(
    encoder: SymbolEncoder, filtered: FilteredPlanes, before: FilteredPlanes
) -> None:
    for now, last in zip(filtered, before, strict=True):
        encoder.decision(now == last, SAME)
        if now != last:
            encoder.decision(now == max(_others(last)), 0.5)


def decode_filtered(decoder: SymbolDecoder, before: FilteredPlanes) -> FilteredPlanes:
    luma, chroma = (_decode_plane(decoder, last) for last in before)
    return luma, chroma


def _decode_plane(decoder: SymbolDecoder, last: Filtered) -> Filtered:
    if decoder.decision(SAME):
        return last
    low, high = _others(last)
    return high if decoder.decision(0.5) else low


def _others(last: Filtered) -> list[Filtered]:
    return [way for way in Filtered if way != last]
