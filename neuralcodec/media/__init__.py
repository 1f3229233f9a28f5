"""Video files in and out: everything that touches FFmpeg (through PyAV) is here."""

from neuralcodec.media.reading.reader import VideoReader
from neuralcodec.media.sources.source_options import NumberedPictures, RawInput, SourceOptions
from neuralcodec.media.writing.output import check_output, open_writer
from neuralcodec.media.writing.writer import VideoWriter

__all__ = [
    "NumberedPictures",
    "RawInput",
    "SourceOptions",
    "VideoReader",
    "VideoWriter",
    "check_output",
    "open_writer",
]
