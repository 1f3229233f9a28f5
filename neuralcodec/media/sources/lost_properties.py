"""What a source says of its pictures and an .nlc file has no place for, so that it can be told."""

from collections.abc import Mapping

import av
from av.video.stream import VideoStream

from neuralcodec.media.conversion import has_alpha

# By the kind of side data, as `side_data_of` names it.
_KINDS = {
    "SPHERICAL": "360° projection",
    "STEREO3D": "stereo 3D",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "DOVI_METADATA": "Dolby Vision",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
    "ICC_PROFILE": "ICC profile",
    "A53_CC": "closed captions in the pictures",
    "AFD": "active format description",
    "S12M_TIMECODE": "time codes of the pictures",
}
_ADDED_BLOCKS = 0x41E7  # element of Matroska: what is added to each block
_DOLBY_VISION = {int.from_bytes(name, "big") for name in (b"dvcC", b"dvvC", b"dvwC")}
_STEREO_TAG, _ALPHA_TAG = "stereo_mode", "alpha_mode"


def lost_properties(
    stream: VideoStream,
    header: Mapping[int, int],
    first: av.VideoFrame,
    side_data: Mapping[str, bytes],
) -> str | None:
    """A sentence that names them; None if there are none.

    `header` is the stream's `stream_header`, `side_data` that of the first picture.
    """
    found = {words: None for kind, words in _KINDS.items() if kind in side_data}
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if _STEREO_TAG in tags:  # a tag, which is kept, and which Matroska writes it from
        found.pop(_KINDS["STEREO3D"], None)
    if header.get(_ADDED_BLOCKS) in _DOLBY_VISION:
        found["Dolby Vision"] = None
    # VP8 and VP9 have transparency in a second stream of pictures, which is not decoded.
    if tags.get(_ALPHA_TAG) == "1" and not has_alpha(first.format):
        found["transparency"] = None
    return (
        f"left out of what the source says of its pictures: {', '.join(found)}" if found else None
    )
