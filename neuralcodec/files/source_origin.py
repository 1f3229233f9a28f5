"""Reading a source again in the way in which a file's frames were taken from it."""

import os
from dataclasses import replace

from neuralcodec.endpoints import is_read_once
from neuralcodec.errors import DamagedFile, InputError, NcodecError, UsageError
from neuralcodec.files.paths import PathLike
from neuralcodec.media import NumberedPictures, RawInput, SourceOptions, VideoReader
from neuralcodec.media.picture_numbers import is_pattern
from neuralcodec.media.sources.source import RAW_SUFFIXES
from neuralcodec.origin import Origin, RawPictures
from neuralcodec.video import USUAL_RATE, VideoFormat


def origin_of(options: SourceOptions, reader: VideoReader) -> Origin:
    """What a file records of the options that its frames were read with."""
    raw, pictures = options.raw, options.pictures
    rate = raw.frame_rate if raw else pictures.frame_rate if pictures else None
    return Origin(
        start=options.start,
        fps=options.fps,
        is_scaled=options.scale is not None,
        keeps_fields=not options.deinterlace,
        stream=reader.video_stream if options.maps else None,
        frame_rate=rate,
        first_picture=pictures.first if pictures else None,
        raw=RawPictures(raw.pixel_format, raw.width, raw.height) if raw else None,
    )


def open_again(path: PathLike, origin: Origin, fmt: VideoFormat) -> VideoReader:
    """The source of a file with frames of `fmt`, which give what the encoder saw.

    It may have another form by now: raw video may have a container, a stream be alone. Raises
    InputError, for want of the part that the file holds as well; DamagedFile for what no source can
    be read with.
    """
    name = os.fspath(path)
    try:
        options = _options(origin, fmt, name)
    except UsageError as error:
        raise DamagedFile("its record of how its source was read is not usable") from error
    alternatives = [options, replace(options, maps=()), replace(options, maps=(), raw=None)]
    if is_read_once(path):
        alternatives = [options]
    first_error: NcodecError | None = None
    for number, chosen in enumerate(alternatives):
        if chosen in alternatives[:number]:
            continue
        try:
            return VideoReader(path, options=chosen)
        except (InputError, UsageError) as error:
            first_error = first_error or error
    assert first_error is not None
    if origin.start and _can_be_read(path, replace(options, maps=(), start=None)):
        raise InputError(
            f"{name} has nothing at {float(origin.start):g} s, where the file begins; "
            "give the source it was made from"
        ) from first_error
    raise first_error


def _options(origin: Origin, fmt: VideoFormat, name: str) -> SourceOptions:
    raw, pictures = None, None
    rate = origin.frame_rate or USUAL_RATE
    if origin.raw is not None and (is_read_once(name) or name.lower().endswith(RAW_SUFFIXES)):
        raw = RawInput(origin.raw.pixel_format, origin.raw.width, origin.raw.height, rate)
    elif is_pattern(name):
        pictures = NumberedPictures(rate, origin.first_picture)
    return SourceOptions(
        start=origin.start,
        scale=(fmt.width, fmt.height) if origin.is_scaled else None,
        fps=origin.fps,
        deinterlace=not origin.keeps_fields,
        audio=False,
        maps=() if origin.stream is None else (f"0:{origin.stream}",),
        raw=raw,
        pictures=pictures,
    )


def _can_be_read(path: PathLike, options: SourceOptions) -> bool:
    if is_read_once(path):
        return False
    try:
        VideoReader(path, options=options).close()
    except NcodecError:
        return False
    return True
