"""Which tags of a source still hold for a file that is written anew."""

from neuralcodec.streams import Metadata

# Of the file that was read: its kind, its writer, and mkvmerge's statistics of its streams.
_OF_THE_FILE = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_OF_THE_STREAM = {"duration", "bps", "number_of_frames", "number_of_bytes", "vendor_id"}


# QuickTime has a list of languages, in which FFmpeg finds them by one of their two codes.
_QUICKTIME_LANGUAGES = {
    "cze": "ces",
    "deu": "ger",
    "ell": "gre",
    "fre": "fra",
    "isl": "ice",
    "nld": "dut",
    "rum": "ron",
    "slo": "slk",
    "swe": "sve",
    "zho": "chi",
}


def file_metadata(metadata: Metadata) -> dict[str, str]:
    """Tags of a file, without those that only the source could be described by."""
    return {key: value for key, value in metadata if key.lower() not in _OF_THE_FILE}


def video_metadata(metadata: Metadata) -> dict[str, str]:
    """Tags of the video stream, which has been coded anew."""
    kept = stream_metadata(metadata)
    return {key: value for key, value in kept.items() if key.lower() not in _OF_THE_FILE}


def stream_metadata(metadata: Metadata) -> dict[str, str]:
    """Tags of a stream, without those that the muxer writes or that describe its old packets."""
    kept = {key: value for key, value in metadata if not _is_of_the_source(key.lower())}
    name = kept.pop("name", None)  # what FFmpeg reads the title of an MP4's track as
    return kept if name is None else {"title": name} | kept


def with_quicktime_language(metadata: dict[str, str]) -> dict[str, str]:
    """The same tags with the language's other code, if it is that one that MOV knows."""
    language = metadata.get("language", "")
    if language not in _QUICKTIME_LANGUAGES:
        return metadata
    return metadata | {"language": _QUICKTIME_LANGUAGES[language]}


def _is_of_the_source(key: str) -> bool:
    plain = key.split("-")[0]  # mkvmerge adds the language: BPS-eng
    return plain in _OF_THE_STREAM or plain.startswith("_statistics")
