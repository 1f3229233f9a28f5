"""Odd media files, made by FFmpeg's command line: pieces remuxed, joined, cut and altered.

What is made of a number and a seed is always the same, as far as FFmpeg's encoders are.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from media_pieces import Piece, ffmpeg

KINDS = ("ts", "avi", "flv", "mkv", "mp4", "webm", "gif", "mpg")
_WRAP = (1 << 33) / 90000  # seconds after which the clock of MPEG-2 systems begins anew


@dataclass
class Sample:
    """A file to read, and how it came about."""

    path: Path
    kind: str
    how: list[str] = field(default_factory=list)


_Options = tuple[str, ...]
# Ticks per second, about: what FFmpeg's filter `setts` adds is in the muxer's unit.
_TICKS = {"ts": 90000, "mpg": 90000, "avi": 25, "mp4": 12800, "gif": 100}
_ANY: tuple[_Options, ...] = (
    (),
    ("-output_ts_offset", "0.4"),
    ("-output_ts_offset", "100"),
    ("-output_ts_offset", "-0.3", "-avoid_negative_ts", "disabled"),
    ("-copyts", "-avoid_negative_ts", "disabled"),
    ("-avoid_negative_ts", "make_zero"),
    ("-bsf:v", "setts=pts=PTS+gte(N\\,15)*3*TICKS:dts=DTS+gte(N\\,15)*3*TICKS"),
    ("-bsf:a", "setts=ts=TS+gte(N\\,20)*0.5*TICKS"),
    (
        *("-bsf:v", "setts=pts=PTS+gte(N\\,15)*20*TICKS:dts=DTS+gte(N\\,15)*20*TICKS"),
        *("-bsf:a", "setts=ts=TS+gte(N\\,25)*20*TICKS"),
    ),
    ("-bsf:v", "setts=pts=DTS"),  # as careless programs do
    ("-bsf:v", "noise=amount=0:drop=not(mod(n\\,7))*gt(n\\,2)"),
)
_CLOCK: tuple[_Options, ...] = (
    ("-muxdelay", "0", "-muxpreload", "0"),
    ("-output_ts_offset", f"{_WRAP - 1.9:.3f}"),  # begins anew after half a second
    ("-output_ts_offset", f"{_WRAP / 2:.3f}"),
)
_OF_KIND: dict[str, tuple[_Options, ...]] = {
    "ts": (
        *_CLOCK,
        ("-mpegts_start_pid", "0x200"),
        ("-mpegts_service_id", "7", "-mpegts_pmt_start_pid", "0x300"),
        ("-mpegts_flags", "resend_headers+initial_discontinuity"),
        ("-mpegts_m2ts_mode", "1"),
        ("-mpegts_copyts", "1", "-copyts"),
        ("-muxrate", "2M"),
    ),
    "mpg": (*_CLOCK, ("-f", "vob"), ("-f", "dvd"), ("-f", "svcd")),
    "avi": (("-fflags", "+genpts"), ("-fflags", "+bitexact"), ("-reserve_index_space", "4096")),
    "flv": (("-flvflags", "no_duration_filesize"), ("-flvflags", "add_keyframe_index")),
    "mkv": (("-live", "1"), ("-cluster_time_limit", "300"), ("-cues_to_front", "1")),
    "webm": (("-live", "1"), ("-cluster_time_limit", "300"), ("-cues_to_front", "1")),
    "mp4": (
        ("-movflags", "frag_keyframe+empty_moov"),
        ("-movflags", "frag_every_frame+empty_moov+default_base_moof"),
        ("-movflags", "frag_keyframe+empty_moov+delay_moov+global_sidx"),
        ("-movflags", "faststart"),
        ("-movflags", "negative_cts_offsets"),
        ("-use_editlist", "0"),
        ("-video_track_timescale", "600"),
        ("-f", "mov", "-movie_timescale", "90000"),
    ),
    "gif": (("-final_delay", "150"), ("-loop", "-1")),
}
_TEXT_CODEC = {"mkv": "srt", "mp4": "mov_text", "webm": "webvtt"}


class Maker:
    """Makes the files of a seed out of pieces; `folder` gets them."""

    def __init__(self, program: str, folder: Path, pieces: Sequence[Piece], seed: int):
        self._program = program
        self._folder = folder
        self._pieces = pieces
        self._text = pieces[0].path.with_name("text.srt")
        self._seed = seed

    def make(self, number: int) -> Sample:
        """The file of a number. Where FFmpeg refuses to make one, the next is tried."""
        kind = KINDS[number % len(KINDS)]
        sample = Sample(self._folder / f"{number:04}.{kind}", kind)
        for attempt in range(10):
            rng = random.Random(f"{self._seed}-{number}-{attempt}")
            sample.how.clear()
            _CHANGES[number // len(KINDS) % len(_CHANGES)](self, rng, sample)
            if sample.path.exists():
                break
        return sample

    def remux(self, rng: random.Random, sample: Sample) -> None:
        self._remux(rng, sample, sample.path)

    def cut_end(self, rng: random.Random, sample: Sample) -> None:
        self._remux(rng, sample, sample.path)
        self._damage(rng, sample, _cut_end)

    def cut_start(self, rng: random.Random, sample: Sample) -> None:
        self._remux(rng, sample, sample.path)
        self._damage(rng, sample, _cut_start)

    def cut_out(self, rng: random.Random, sample: Sample) -> None:
        self._remux(rng, sample, sample.path)
        self._damage(rng, sample, _cut_out)

    def flip_bits(self, rng: random.Random, sample: Sample) -> None:
        self._remux(rng, sample, sample.path)
        self._damage(rng, sample, _flip_bits)

    def join_bytes(self, rng: random.Random, sample: Sample) -> None:
        parts = [part for part in self._parts(rng, sample) if part.exists()]
        sample.path.write_bytes(b"".join(part.read_bytes() for part in parts))
        sample.how.append(f"cat {' '.join(map(str, parts))} > {sample.path}")
        if rng.random() < 0.15:
            self._damage(rng, sample, rng.choice((_cut_end, _cut_start, _cut_out)))

    def join_packets(self, rng: random.Random, sample: Sample) -> None:
        parts = self._parts(rng, sample)
        script = sample.path.with_suffix(".ffconcat")
        script.write_text("\n".join(f"file '{part.resolve()}'" for part in parts))
        arguments: list[str | Path] = [
            "-f",
            "concat",
            "-safe",
            "0",
            "-i",
            script,
            "-map",
            "0",
            "-c",
            "copy",
        ]
        ffmpeg(self._program, *arguments, sample.path, how=sample.how)

    def _parts(self, rng: random.Random, sample: Sample) -> list[Path]:
        """Two or three files to join, of the same piece or of others."""
        first = self._choose(rng, sample.kind)
        parts = []
        for number in range(rng.choice((2, 2, 3))):
            piece = first if rng.random() < 0.6 else self._choose(rng, sample.kind)
            parts.append(sample.path.with_suffix(f".part{number}.{sample.kind}"))
            self._remux(rng, sample, parts[-1], piece)
        return parts

    def _choose(self, rng: random.Random, kind: str) -> Piece:
        return rng.choice([piece for piece in self._pieces if piece.fits(kind)])

    def _remux(
        self, rng: random.Random, sample: Sample, path: Path, piece: Piece | None = None
    ) -> None:
        piece = piece or self._choose(rng, sample.kind)
        inputs: list[str | Path] = [*(("-ss", "0.5") if rng.random() < 0.15 else ())]
        inputs += ["-i", piece.path]
        sound = "0:a"
        if piece.sounds and rng.random() < 0.2:
            inputs += ["-itsoffset", rng.choice(("0.4", "-0.2", "1.5")), "-i", piece.path]
            sound = "1:a"
        if sample.kind == "flv" or rng.random() < 0.2:
            sound += ":0"
        copy = ["-map", "0:v", "-map", f"{sound}?", "-c", "copy"]
        if sample.kind in _TEXT_CODEC and rng.random() < 0.25:
            inputs += ["-i", self._text]
            copy += ["-map", f"{int(sound[0]) + 1}:s", "-c:s", _TEXT_CODEC[sample.kind]]
        options = [*rng.choice(_ANY), *rng.choice(_OF_KIND[sample.kind])]
        ticks = str(_TICKS.get(sample.kind, 1000))
        options = [option.replace("TICKS", ticks) for option in options]
        if rng.random() < 0.1:
            options += ["-t", f"{rng.uniform(0.2, 0.8):.2f}"]
        muxer = {"mkv": "matroska", "ts": "mpegts"}.get(sample.kind, sample.kind)
        if muxer in ("matroska", "webm", "flv", "avi", "mpegts") and rng.random() < 0.2:
            # A pipe cannot be gone back in: sizes and indexes stay unknown.
            arguments = [*inputs, *copy, *options, "-f", muxer, "pipe:1"]
            path.write_bytes(ffmpeg(self._program, *arguments, how=sample.how))
            sample.how[-1] += f" > {path}"
        else:
            ffmpeg(self._program, *inputs, *copy, *options, path, how=sample.how)
        if not path.exists() or path.stat().st_size < 100:  # not everything goes together
            arguments = ["-i", piece.path, "-map", "0:v", "-map", "0:a:0?", "-c", "copy"]
            sample.how.pop()
            ffmpeg(self._program, *arguments, path, how=sample.how)

    def _damage(self, rng: random.Random, sample: Sample, change: "_Damage") -> None:
        if not sample.path.exists() or sample.path.stat().st_size < 100:
            return
        data = bytearray(sample.path.read_bytes())
        sample.how.append(change(rng, data))
        sample.path.write_bytes(data)


_Damage = Callable[[random.Random, bytearray], str]  # says what it did


def _cut_end(rng: random.Random, data: bytearray) -> str:
    left = rng.randrange(len(data) // 4, len(data))
    del data[left:]
    return f"the first {left} bytes alone"


def _cut_start(rng: random.Random, data: bytearray) -> str:
    gone = rng.choice((rng.randrange(1, 400), rng.randrange(1, len(data) // 2)))
    del data[:gone]
    return f"without the first {gone} bytes"


def _cut_out(rng: random.Random, data: bytearray) -> str:
    start = rng.randrange(len(data) // 8, len(data))
    count = min(rng.choice((1, 7, 188, 1000, 5000)), len(data) - start)
    del data[start : start + count]
    return f"without {count} bytes from {start} on"


def _flip_bits(rng: random.Random, data: bytearray) -> str:
    places = [(rng.randrange(len(data)), rng.randrange(8)) for _ in range(rng.choice((1, 2, 5)))]
    for at, bit in places:
        data[at] ^= 1 << bit
    return f"bits flipped (byte, bit): {places}"


_CHANGES: tuple[Callable[[Maker, random.Random, Sample], None], ...] = (
    Maker.remux,
    Maker.join_bytes,
    Maker.cut_end,
    Maker.join_packets,
    Maker.cut_out,
    Maker.join_bytes,
    Maker.remux,
    Maker.cut_start,
    Maker.flip_bits,
)
