"""Short clips in many codecs, made by FFmpeg's command line, to make odd media files of."""

import random
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SECONDS = 60  # for one command
# What each container holds; the first that a piece has decides whether it fits.
_VIDEO = {
    "ts": {"h264", "hevc", "mpeg4", "mpeg2", "mpeg1"},
    "mpg": {"mpeg2", "mpeg1"},
    "avi": {"h264", "mpeg4", "mpeg2", "mjpeg", "msmpeg4", "ffv1", "vp8", "wmv2"},
    "flv": {"h264", "flv1"},
    "mp4": {"h264", "hevc", "mpeg4", "mpeg2", "vp9", "av1", "mjpeg"},
    "webm": {"vp8", "vp9", "av1"},
    "gif": {"gif"},
}
_SOUND = {
    "ts": {"aac", "mp3", "mp2", "ac3"},
    "mpg": {"mp2", "ac3", "mp3"},
    "avi": {"mp3", "mp2", "ac3", "pcm"},
    "flv": {"aac", "mp3"},
    "mp4": {"aac", "mp3", "ac3", "opus", "flac"},
    "webm": {"opus", "vorbis"},
    "gif": set[str](),
}
_ENCODERS = {
    "h264": "libx264 -preset ultrafast -x264-params keyint=12:scenecut=0:bframes={b}:b-pyramid=1",
    "hevc": "libx265 -preset ultrafast -x265-params log-level=none:keyint=12:bframes={b}",
    "mpeg4": "mpeg4 -g 12 -bf {b} -q:v 6",
    "mpeg2": "mpeg2video -g 12 -bf {b} -q:v 6",
    "mpeg1": "mpeg1video -g 12 -bf {b} -q:v 6",
    "vp8": "libvpx -deadline realtime -cpu-used 8 -g 12 -auto-alt-ref {b} -b:v 200k",
    "vp9": "libvpx-vp9 -deadline realtime -cpu-used 8 -g 12 -b:v 200k",
    "av1": "libaom-av1 -usage realtime -cpu-used 8 -g 12 -b:v 200k",
    "flv1": "flv1 -g 12 -q:v 6",
    "mjpeg": "mjpeg -q:v 6",
    "msmpeg4": "msmpeg4 -g 12 -q:v 6",
    "wmv2": "wmv2 -g 12 -q:v 6",
    "ffv1": "ffv1",
    "theora": "libtheora -g 12 -q:v 4",
    "gif": "gif",
}
_SOUND_ENCODERS = {
    "aac": "aac",
    "mp3": "libmp3lame",
    "mp2": "mp2",
    "ac3": "ac3",
    "opus": "libopus",
    "vorbis": "libvorbis",
    "flac": "flac",
    "pcm": "pcm_s16le",
}
_SUBTITLES = "1\n00:00:00,200 --> 00:00:00,700\nOne\n\n2\n00:00:01,000 --> 00:00:01,400\nTwo\n"


@dataclass(frozen=True)
class Piece:
    """A short clip in the container NUT, which holds all codecs and exact times."""

    path: Path
    video: str
    sounds: tuple[str, ...]

    def fits(self, kind: str) -> bool:
        if kind == "mkv":
            return True
        return self.video in _VIDEO[kind] and set(self.sounds) <= _SOUND[kind]


def ffmpeg(program: str, *arguments: str | Path, how: list[str] | None = None) -> bytes:
    """What the command writes to standard output; what it noted is dropped."""
    command = [program, "-nostdin", "-y", "-v", "error", *map(str, arguments)]
    if how is not None:
        how.append(subprocess.list2cmdline(command))
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False)
    return done.stdout


def make_pieces(program: str, folder: Path, clips: Sequence[Path], seed: int) -> list[Piece]:
    """For each container at least six, with different sound, sizes, rates and ways of timing."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.srt").write_text(_SUBTITLES)
    rng = random.Random(seed)
    wanted = [
        (kind, codec)
        for kind, codecs in _VIDEO.items()
        for codec in sorted(codecs) * -(-6 // len(codecs))
    ]
    wanted += [("mkv", codec) for codec in ("theora", "ffv1", "h264", "hevc")]
    pieces = []
    for number, (kind, codec) in enumerate(wanted):
        path = folder / f"{number:02}-{codec}.nut"
        possible = sorted(_SOUND.get(kind, set(_SOUND_ENCODERS)))
        sounds = tuple(rng.sample(possible, min(rng.choice((0, 1, 1, 1, 2)), len(possible))))
        ffmpeg(program, *_encoding(rng, codec, sounds, clips), path)
        if path.exists() and path.stat().st_size > 200:
            pieces.append(Piece(path, codec, sounds))
        else:
            print(f"{path.name} could not be made")
    return pieces


def _encoding(
    rng: random.Random, codec: str, sounds: Sequence[str], clips: Sequence[Path]
) -> list[str | Path]:
    """FFmpeg's arguments for a piece, up to its name."""
    width, height = rng.choice(((64, 48), (96, 64), (160, 96), (112, 80)))
    of_television = codec in ("mpeg1", "mpeg2")  # they have a fixed list of rates
    rate = rng.choice(("25", "30000/1001", "50") if of_television else ("25", "30000/1001", "12"))
    seconds = rng.choice((0.9, 1.2, 2.1))
    timings = ["null", "null", "select=mod(n\\,5)+gt(n\\,12)", "setpts=PTS+N*N/9000/TB"]
    timing = rng.choice(timings[: 3 if of_television else 4])
    if clips and rng.random() < 0.5:
        begin = f"{rng.random() * 2:.2f}"
        source: list[str | Path] = ["-ss", begin, "-t", str(seconds), "-i", rng.choice(list(clips))]
        timing = f"fps={rate},scale={width}:{height},setsar=1,{timing}"
    else:
        picture = rng.choice(("testsrc", "testsrc2", "smptebars", "mandelbrot"))
        lavfi = f"{picture}=size={width}x{height}:rate={rate}"
        source = ["-f", "lavfi", "-t", str(seconds), "-i", lavfi]
    for pitch, _ in enumerate(sounds, 3):
        length = seconds + rng.choice((-0.4, 0, 0, 0.7))
        tone = f"sine={pitch}00:sample_rate={rng.choice((44100, 48000))}"
        source += ["-f", "lavfi", "-t", f"{length:.2f}", "-i", tone]
    ticks = "0" if of_television else "1/1000"
    coding = ["-map", "0:v", "-vf", timing, "-fps_mode", "passthrough", "-enc_time_base", ticks]
    if codec != "gif":
        coding += ["-pix_fmt", "yuvj420p" if codec == "mjpeg" else "yuv420p"]
    coding += ["-threads", "1", "-c:v", *_ENCODERS[codec].format(b=rng.choice((0, 2))).split()]
    for stream, sound in enumerate(sounds):
        coding += ["-map", f"{stream + 1}:a", f"-c:a:{stream}", _SOUND_ENCODERS[sound]]
        if sound == "opus":
            coding += [f"-ar:a:{stream}", "48000"]
    return [*source, *coding]
