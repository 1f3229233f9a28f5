"""The classical codecs of a bench: what they are given and what is counted."""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from neuralcodec.bench.peer_files import (
    PeerEncoding,
    decode_file,
    encode_to_file,
    in_decoding_order,
)
from neuralcodec.bench.peers import PEERS, check_setting, options_of, refusal
from neuralcodec.bench.settings import CodecSetting, find_anchor, parse_settings
from neuralcodec.errors import UsageError
from neuralcodec.metrics import PsnrMeter
from neuralcodec.video import Frame, VideoFormat

PRESETS = {name: peer.default_preset for name, peer in PEERS.items()}
SETTINGS = parse_settings(",".join(PEERS), None, PRESETS)


def moving_clip(
    bit_depth: int = 8, count: int = 5, size: tuple[int, int] = (96, 64)
) -> tuple[list[Frame], VideoFormat]:
    """A soft pattern that slides by two samples a frame, so that prediction pays."""
    width, height = size
    ys, xs = np.mgrid[0:height, 0:width]
    scale = 2 ** (bit_depth - 8)
    dtype = np.uint8 if bit_depth == 8 else np.uint16
    frames = []
    for t in range(count):
        y = 128 + 60 * np.sin((xs + 2 * t) / 5) * np.cos(ys / 7) + 30 * ((xs + 2 * t) // 16 % 2)
        u, v = 100 + ys[::2, ::2] / 2, 140 + 20 * np.sin((xs[::2, ::2] + t) / 9)
        frames.append(Frame(*((p * scale).astype(dtype) for p in (y, u, v)), pts=t * 40))
    return frames, VideoFormat(width, height, Fraction(1, 1000), bit_depth)


def default_of(name: str) -> CodecSetting:
    return CodecSetting(name, PRESETS[name])


def coded(
    path: Path,
    setting: CodecSetting,
    clip: tuple[list[Frame], VideoFormat],
    *,
    quality: int = 30,
    gop: int = 30,
) -> PeerEncoding:
    frames, fmt = clip
    return encode_to_file(frames, fmt, path, setting, quality=quality, gop=gop)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="asks Linux for its threads")
def test_no_encoder_is_measured_with_real_time_priority(tmp_path: Path):
    def policies() -> set[int]:
        return {os.sched_getscheduler(int(task.name)) for task in Path("/proc/self/task").iterdir()}

    frames, fmt = moving_clip()
    seen = []

    def watched() -> Iterator[Frame]:
        for frame in frames:
            yield frame
            seen.append(policies())

    encode_to_file(watched(), fmt, tmp_path / "c.mkv", default_of("svtav1"), quality=30, gop=30)
    assert seen == [{os.SCHED_OTHER}] * len(frames)
    check_setting(default_of("svtav1"))
    assert policies() == {os.SCHED_OTHER}


def psnr_of(clip: tuple[list[Frame], VideoFormat], path: Path, setting: CodecSetting) -> float:
    meter = PsnrMeter()
    shown = decode_file(path, setting, clip[1].bit_depth)
    for reference, frame in zip(clip[0], shown, strict=True):
        meter.add(reference, frame)
    return meter.mean.yuv


@pytest.mark.parametrize(
    ("setting", "bit_depth"),
    [(s, depth) for s in SETTINGS for depth in PEERS[s.name].bit_depths],
    ids=lambda value: getattr(value, "label", value),
)
def test_a_peer_shows_every_frame_in_place_and_pays_for_quality_in_bits(
    setting, bit_depth, tmp_path
):
    clip = moving_clip(bit_depth)
    peer = PEERS[setting.name]
    good, poor = tmp_path / "good.mkv", tmp_path / "poor.mkv"
    best = coded(good, setting, clip, quality=peer.best)
    worst = coded(poor, setting, clip, quality=peer.worst)
    assert psnr_of(clip, good, setting) > max(38, psnr_of(clip, poor, setting) + 3)
    assert good.stat().st_size > best.payload_bytes > worst.payload_bytes > 0


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.label)
def test_a_peer_obeys_the_gop_length(setting, tmp_path):
    clip = moving_clip(count=8)
    one_gop, all_intra = (coded(tmp_path / f"{g}.mkv", setting, clip, gop=g) for g in (8, 1))
    assert all_intra.payload_bytes > 1.3 * one_gop.payload_bytes


def order_of_frames(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return [packet.pts for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.label)
def test_no_frame_waits_for_a_later_one_in_the_low_delay_setting(setting, tmp_path):
    path = tmp_path / "clip.mkv"
    coded(path, setting, moving_clip(count=20))
    times = order_of_frames(path)
    if setting.low_delay:
        assert times == sorted(times)
    elif setting.name in ("x264", "x265"):  # the AV1 and VP9 ones hide frames inside packets
        assert times != sorted(times)


def test_the_text_of_x264s_settings_is_not_counted(tmp_path):
    done = coded(tmp_path / "x.mkv", default_of("x264"), moving_clip(count=1), quality=51)
    assert done.payload_bytes < 600


@pytest.mark.parametrize("name", PEERS)
def test_peers_write_nothing_to_the_terminal(name, tmp_path, capfd):
    check_setting(default_of(name))
    coded(tmp_path / "x.mkv", default_of(name), moving_clip(count=2))
    assert capfd.readouterr() == ("", "")


def test_decoding_times_follow_the_order_of_packets_whatever_an_encoder_says():
    shown = (0, 3, 2, 1, 4)
    packets = [av.Packet(b"x") for _ in shown]
    for packet, pts, garbage in zip(packets, shown, (1 << 62, -5, 7, 7, -(1 << 62)), strict=True):
        packet.pts, packet.dts = pts, garbage
    times = [packet.dts for packet in in_decoding_order(packets[:2], 0)]
    times += [packet.dts for packet in in_decoding_order(packets[2:], 2)]
    assert times == sorted(set(times))
    assert all(dts <= packet.pts for dts, packet in zip(times, packets, strict=True))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.label)
@pytest.mark.parametrize("count", [1, 2])
def test_a_clip_shorter_than_an_encoder_reorders_is_shown(setting, count, tmp_path):
    clip = moving_clip(count=count)
    coded(tmp_path / "x.mkv", setting, clip)
    assert psnr_of(clip, tmp_path / "x.mkv", setting) > 25


def test_parameters_name_everything_that_changes_the_bytes():
    shown = str(options_of(CodecSetting("x265", "slow", low_delay=True), 27.5, gop=48))
    assert shown.startswith("libx265 preset=slow tune=psnr crf=27.5 g=48 ")
    assert "bframes=0" in shown


@pytest.mark.parametrize(
    ("name", "clip", "reason"),
    [
        ("x264", {"size": (95, 64)}, "even sizes only, not 95x64"),
        ("vp9", {"bit_depth": 10}, "10-bit"),
        ("vp9", {}, None),
    ],
    ids=["odd width", "depth", "nothing wrong"],
)
def test_what_a_peer_cannot_take_is_told_beforehand(name, clip, reason):
    found = refusal(default_of(name), moving_clip(**clip)[1])
    assert (found is None) if reason is None else (reason in found)


def test_a_preset_that_an_encoder_does_not_have_is_refused_before_anything_is_measured():
    with pytest.raises(UsageError, match=r"libx264 refuses .*is 'quick' one of its presets"):
        check_setting(CodecSetting("x264", "quick"))


# Which settings are meant


def labels(codecs: str, presets: str | None = None) -> list[str]:
    return [setting.label for setting in parse_settings(codecs, presets, PRESETS)]


def test_a_bare_name_stands_for_the_normal_and_the_low_delay_setting():
    assert labels("ncodec,x265") == ["ncodec", "x265:medium", "x265:medium:lowdelay"]


def test_ncodec_has_a_low_delay_setting_where_it_is_asked_for():
    asked = "ncodec,ncodec:lowdelay,ncodec:slow:lowdelay"
    assert labels(asked) == ["ncodec", "ncodec:lowdelay", "ncodec:slow:lowdelay"]
    assert [s.low_delay for s in parse_settings(asked, None, PRESETS)] == [False, True, True]


def test_presets_say_what_a_bare_name_stands_for():
    assert labels("ncodec,x264", "x264=fast,x264=slow,ncodec=best") == [
        *("ncodec:best", "x264:fast", "x264:fast:lowdelay", "x264:slow", "x264:slow:lowdelay")
    ]


def test_a_setting_written_out_stands_for_itself_alone_and_only_once():
    assert labels("svtav1:8, x264:slow:lowdelay,svtav1:8") == ["svtav1:8", "x264:slow:lowdelay"]


@pytest.mark.parametrize(
    ("codecs", "presets", "reason"),
    [
        ("x264,h266", None, "unknown codec 'h266'; known are ncodec, x264"),
        ("x264::lowdelay", None, "not of the form NAME, NAME:PRESET"),
        ("x264:slow:latedelay", None, "not of the form"),
        (",", None, "names no codec"),
        ("x264", "x264:slow", "not of the form NAME=PRESET"),
        ("x264", "x265=slow", "names x265, which --codecs does not"),
    ],
)
def test_a_list_of_codecs_that_means_nothing_is_refused(codecs, presets, reason):
    with pytest.raises(UsageError, match=reason):
        parse_settings(codecs, presets, PRESETS)


def test_the_anchor_is_a_label_or_the_first_setting_of_a_name():
    settings = parse_settings("x264,x265:slow:lowdelay,x265:slow", None, PRESETS)
    assert find_anchor("x264", settings).label == "x264:medium"
    assert find_anchor("x265:slow", settings).label == "x265:slow"
    assert find_anchor(None, settings).label.startswith("x265:")
    few = parse_settings("ncodec,vp9:8,x264:slow", None, PRESETS)
    assert find_anchor(None, few).label == "vp9:8"
    with pytest.raises(UsageError, match="'vp9' is not measured; it must be one of x264:medium, "):
        find_anchor("vp9", settings)
