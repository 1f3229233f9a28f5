"""Files of every common container and codec through `encode` and `decode`, compared with FFmpeg."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from common_sources import AudioTrack, SourceClip, make_source

import neuralcodec

MILLISECOND = Fraction(1, 1000)  # Matroska's unit of time: all that it can say
BT709, BT2020_PQ, BT601 = (1, 1, 1), (9, 16, 9), (6, 6, 6)

SOURCES = [
    SourceClip("phone.mp4", options={"bf": "2", "g": "6"}, audio=(AudioTrack("aac"),), color=BT709),
    SourceClip(
        "hdr.mkv",
        "libx265",
        "yuv420p10le",
        audio=(AudioTrack("flac", "mono", "eng"), AudioTrack("ac3", "5.1", "deu")),
        subtitles="subrip",
        chapters=True,
        attachment=True,
        color=BT2020_PQ,
    ),
    SourceClip("web.webm", "libvpx-vp9", audio=(AudioTrack("libopus"),), color=BT601),
    SourceClip("av1.mkv", "libsvtav1", audio=(AudioTrack("libopus"),), color=BT709),
    SourceClip("av1.mp4", "libsvtav1", audio=(AudioTrack("aac", "5.1"),)),
    SourceClip("tv.ts", "mpeg2video", interlaced=True, audio=(AudioTrack("mp2"),), color=BT601),
    SourceClip(
        "camera.avi",
        "mjpeg",
        "yuvj420p",
        full_range=True,
        audio=(AudioTrack("pcm_s16le", "mono"),),
    ),
    SourceClip(
        "phone.mov",
        rotation=90,
        audio=(AudioTrack("pcm_s16le"), AudioTrack("aac")),
        subtitles="mov_text",
    ),
    SourceClip("vfr.mkv", pts=(0, 1, 2, 5, 9, 10, 17, 18), audio=(AudioTrack("libmp3lame"),)),
    SourceClip("odd.mkv", "ffv1", size=(17, 19)),
    SourceClip("hd.mp4", size=(1920, 1080), pts=range(3)),
    SourceClip("old.avi", "mpeg4", options={"bf": "2"}, audio=(AudioTrack("libmp3lame"),)),
]
