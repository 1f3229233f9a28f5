"""Damaged and hostile descriptions and packets: what is undamaged is given, and nothing else."""

import io
import struct
import tracemalloc
import zlib
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralcodec.container import (
    ContainerReader,
    ContainerWriter,
    Extras,
    FrameRecord,
    GopContent,
    GopRecord,
    GopStats,
    PacketsContent,
    StreamHeader,
    layout,
)
from neuralcodec.container.extras import parse_mastering_display, parse_stream, parse_tags
from neuralcodec.container.packets import parse_packets
from neuralcodec.errors import DamagedFile
from neuralcodec.origin import Origin
from neuralcodec.references import chain
from neuralcodec.streams import (
    ATTACHMENT,
    AUDIO,
    SUBTITLE,
    Chapter,
    FileTags,
    OtherStream,
    StreamPacket,
)
from neuralcodec.video import ContentLight, MasteringDisplay, VideoFormat

HEADER = StreamHeader(
    VideoFormat(
        64,
        48,
        Fraction(1, 25),
        mastering_display=MasteringDisplay(((1, 2), (3, 4), (5, 6)), (7, 8), (9, 10)),
        content_light=ContentLight(1000, 400),
    ),
    4,
    "tiny",
    bytes(32),
)
STREAMS = (
    OtherStream(0, AUDIO, "aac", Fraction(1, 48000), 1, (("language", "eng"),), "mp4", b"empty"),
    OtherStream(1, SUBTITLE, "ass", Fraction(1, 1000)),
    OtherStream(2, ATTACHMENT, "ttf", Fraction(1, 90000), data=b"a font"),
)
TAGS = FileTags(
    (("title", "Film"),), (("handler_name", "Video"),), 1, (Chapter(0, 9, Fraction(1, 1000)),)
)
ORIGIN = Origin(start=Fraction(5, 2), is_scaled=True)
EXTRAS = Extras(TAGS, STREAMS, ORIGIN)


def gop_content(number):
    gop = GopRecord(number, 7, (FrameRecord(number, 30, b"payload", chain(0)),))
    return GopContent(gop, GopStats(number, ((40.0, 41.0, 42.0),)))


def packets_content(number):
    sound = StreamPacket(0, 1024 * number, None, 1024, True, b"sound", (("skip_samples", b"12"),))
    text = StreamPacket(1, 40 * number, 40 * number, 0, True, b"text")
    return PacketsContent((sound, text))


CONTENTS = [make(n) for n in range(3) for make in (packets_content, gop_content)]
CONTENTS.append(packets_content(3))


def make_file():
    file = io.BytesIO()
    container = ContainerWriter(file, HEADER, EXTRAS)
    for content in CONTENTS:
        if isinstance(content, PacketsContent):
            container.write_packets(content.packets)
        else:
            container.write_gop(content.gop, content.stats)
    container.finish()
    return file.getvalue()


FILE = make_file()
HEAD_END = 12 + 12 + struct.unpack_from("<I", FILE, 16)[0]


def chunk(chunk_type, payload):
    body = chunk_type + struct.pack("<I", len(payload)) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def chunk_ranges(*chunk_types):
    ranges, at = [], 12
    while at < len(FILE):
        end = at + 12 + struct.unpack_from("<I", FILE, at + 4)[0]
        if FILE[at : at + 4] in chunk_types:
            ranges.append((at, end))
        at = end
    return ranges


DESCRIPTIONS = chunk_ranges(b"mdcv", b"clli", b"tags", b"orig", b"strm")
PLACES = dict(
    zip(["mdcv", "clli", "tags", "orig", "audio", "text", "font"], DESCRIPTIONS, strict=True)
)
CONTENT_RANGES = chunk_ranges(b"pckt", b"GOPS")
START = FILE[:HEAD_END]
FIRST_GOP, LAST_GOP = chunk_ranges(b"GOPS")[0], chunk_ranges(b"GOPS")[-1]


def read(data, keep_going=True):
    """(header, extras, contents, damage)."""
    reader = ContainerReader(io.BytesIO(data), "film.nlc")
    return reader.header, reader.extras, list(reader.contents(keep_going)), reader.damage


def fault_of(data):
    with pytest.raises(DamagedFile) as raised:
        read(data, keep_going=False)
    return str(raised.value)


def check(data, intact):
    """All of CONTENTS whose chunks `intact` says are intact come back, and nothing else."""
    header, extras, found, damage = read(data)
    lost_streams = {s.number for s in STREAMS} - {s.number for s in extras.streams}
    assert header.format.mastering_display in (HEADER.format.mastering_display, None)
    assert header.format.content_light in (HEADER.format.content_light, None)
    assert extras.tags in (TAGS, FileTags())
    assert set(extras.streams) <= set(STREAMS)
    expected = [
        without_streams(content, lost_streams)
        for content, place in zip(CONTENTS, CONTENT_RANGES, strict=True)
        if intact(place)
    ]
    given_gops = [c.gop for c in found if isinstance(c, GopContent)]
    assert [c.gop for c in expected if isinstance(c, GopContent)] == given_gops
    given_packets = [c for c in found if isinstance(c, PacketsContent)]
    assert [c for c in expected if isinstance(c, PacketsContent) and c.packets] == given_packets
    return damage, extras


def without_streams(content, numbers):
    if isinstance(content, GopContent):
        return content
    return PacketsContent(tuple(p for p in content.packets if p.stream not in numbers))


def test_every_flipped_byte_is_found_and_costs_only_what_it_is_in():
    for at in range(HEAD_END, LAST_GOP[0]):
        for mask in (1, 0x20, 0x80):
            data = FILE[:at] + bytes([FILE[at] ^ mask]) + FILE[at + 1 :]
            assert "film.nlc: " in fault_of(data)
            damage, extras = check(data, lambda place, at=at: not place[0] <= at < place[1])
            assert damage, (at, mask)
            if at < DESCRIPTIONS[3][0] or at >= FIRST_GOP[0]:
                assert extras.streams == STREAMS


def test_a_cut_file_gives_all_that_is_whole():
    for size in range(HEAD_END, len(FILE)):
        damage, extras = check(FILE[:size], lambda place, size=size: place[1] <= size)
        assert len(damage) == 1
        assert damage[0].end == size
        whole = [place for place in DESCRIPTIONS[4:] if place[1] <= size]
        assert extras.streams == STREAMS[: len(whole)]


@pytest.mark.parametrize("name", PLACES)
def test_a_description_taken_out_or_damaged_leaves_the_others(name):
    start, end = PLACES[name]
    damaged = FILE[: end - 5] + b"?" + FILE[end - 4 :]
    header, extras, _, damage = read(damaged)
    assert [d.chunk_type for d in damage] == [FILE[start : start + 4].decode()]
    taken_out = FILE[:start] + FILE[end:]
    reader = ContainerReader(io.BytesIO(taken_out), "film.nlc")
    assert (reader.header, reader.extras) == (header, extras)
    assert (header.format.mastering_display is None) == (name == "mdcv")
    assert (header.format.content_light is None) == (name == "clli")
    assert (extras.tags == TAGS) == (name != "tags")
    assert (extras.origin == ORIGIN) == (name != "orig")
    kept = [s for s, place in zip(STREAMS, ["audio", "text", "font"], strict=True) if place != name]
    assert extras.streams == tuple(kept)


def test_packets_of_a_stream_whose_description_is_lost_are_left_out_without_more_damage():
    _, end = PLACES["audio"]
    _, _, found, damage = read(FILE[: end - 5] + b"?" + FILE[end - 4 :])
    assert found == [without_streams(content, {0}) for content in CONTENTS]
    assert len(damage) == 1


@pytest.mark.parametrize("name", ["audio", "text"])
def test_packets_of_a_stream_that_was_never_described_are_damage(name):
    start, end = PLACES[name]
    data = FILE[:start] + FILE[end:]
    number = ["audio", "text"].index(name)
    assert f"a packet of stream {number}, which is not described" in fault_of(data)
    _, _, found, damage = read(data)
    assert found == [content for content in CONTENTS if isinstance(content, GopContent)]
    assert len(damage) == 4


def test_packets_of_an_attachment_are_damage():
    forged = chunk(b"pckt", b"\1\x80\2\0")
    assert "stream 2, which is not described" in fault_of(
        FILE[: FIRST_GOP[0]] + forged + FILE[FIRST_GOP[0] :]
    )


def test_damage_that_reaches_from_a_description_into_a_gop_is_told_once():
    start, end = PLACES["font"][0], FIRST_GOP[1]
    header, extras, found, damage = read(FILE[:start] + bytes(end - start) + FILE[end:])
    assert (header, extras) == (HEADER, Extras(TAGS, STREAMS[:2], ORIGIN))
    assert found == CONTENTS[2:]
    assert [(d.start, d.gop) for d in damage] == [(start, None)]


@pytest.mark.parametrize("name", PLACES)
def test_a_description_that_comes_again_is_damage(name):
    start, end = PLACES[name]
    data = FILE[:end] + FILE[start:end] + FILE[end:]
    header, extras, found, damage = read(data)
    assert (header, extras, found) == (HEADER, EXTRAS, CONTENTS)
    assert [(d.start, d.end) for d in damage] == [(end, 2 * end - start)]


@pytest.mark.parametrize("name", PLACES)
def test_a_description_after_the_first_gop_is_damage(name):
    start, end = PLACES[name]
    at = LAST_GOP[0]
    header, extras, found, damage = read(FILE[:at] + FILE[start:end] + FILE[at:])
    assert (header, extras, found) == (HEADER, EXTRAS, CONTENTS)
    assert ["its place is before all GOPs" in d.what for d in damage] == [True]


def test_descriptions_go_on_after_an_ancillary_chunk_that_is_not_known():
    at = PLACES["text"][0]
    data = FILE[:at] + chunk(b"note", b"of a later version") + FILE[at:]
    assert read(data, keep_going=False) == (HEADER, EXTRAS, CONTENTS, [])


def test_a_critical_chunk_that_is_not_known_is_an_error_among_descriptions():
    at = PLACES["text"][0]
    data = FILE[:at] + chunk(b"NOTE", b"of a later version") + FILE[at:]
    assert "made by a newer ncodec" in fault_of(data)


def test_too_many_damaged_descriptions_end_even_keep_going(monkeypatch):
    monkeypatch.setattr(layout, "MAX_DAMAGES", 20)
    data = START + chunk(b"strm", b"") * 30 + FILE[HEAD_END:]
    reader = ContainerReader(io.BytesIO(data), "film.nlc")
    with pytest.raises(DamagedFile, match="too many places"):
        list(reader.contents(keep_going=True))
    assert len(reader.damage) == 20


LIGHT = struct.pack("<B8H2I", 7, *range(8), 1, 2)
FIXED = struct.pack("<BBIII", 0, 0, 1, 48000, 0)
NO_CHAPTERS = b"\0\0" + bytes(4) + b"\0"
A_CHAPTER = struct.pack("<qqII", 0, 1, 1, 1000) + b"\0"


@pytest.mark.parametrize(
    ("chunk_type", "payload", "message"),
    [
        (b"mdcv", LIGHT[:-1], "ends inside"),
        (b"mdcv", b"\x08" + LIGHT[1:], "flags of the mastering display is 8"),
        (b"clli", bytes(3), "ends inside"),
        (b"tags", b"", "does not end"),
        (b"tags", NO_CHAPTERS + b"\0", "1 bytes follow"),
        (b"tags", b"\x81\x20", "number of tags is 4097"),
        (b"tags", b"\1\1\xff\0", "not UTF-8"),
        (b"tags", b"\1\xff\x7fx", "ends inside"),
        (b"tags", NO_CHAPTERS[:-1] + b"\x81\x80\1", "number of chapters is 16385"),
        (b"tags", NO_CHAPTERS[:-1] + b"\2" + A_CHAPTER, "ends inside"),
        (b"tags", NO_CHAPTERS[:-1] + b"\1" + A_CHAPTER[:16] + bytes(9), "time base is 0/0"),
        (b"orig", b"\1", "ends inside"),
        (b"orig", b"\0\2", "flags of the origin is 512"),
        (b"orig", b"\1\0\1", "does not end"),
        (b"orig", b"\1\0\1\0", "is 1/0"),
        (b"orig", b"\1\0\x81\x80\x80\x80\x10\1", "start is 4.29497e+09 s"),
        (b"orig", b"\2\0\0\1", "rate is 0"),
        (b"orig", b"\4\0\x80\x80\x80\x80\x08\1", "rate is 2147483648"),
        (b"orig", b"\x08\0\x80\x80\x80\x80\x10", "number of the source is 4294967296"),
        (b"orig", b"\x10\0\x80\x80\x80\x80\x08", "number of the source is 2147483648"),
        (b"orig", b"\x20\0\1\n\x10\x10", "pixel format"),
        (b"orig", b"\x20\0\0\x0f\x10", "side of the source is 15"),
        (b"orig", bytes(3), "1 bytes follow"),
        (b"strm", b"", "ends inside"),
        (b"strm", FIXED, "ends inside"),
        (b"strm", FIXED[:1] + b"\4" + FIXED[2:] + b"\3aac\0\0\0", "kind of the stream is 4"),
        (b"strm", FIXED[:2] + bytes(4) + FIXED[6:] + b"\3aac\0\0\0", "time base is 0/48000"),
        (b"strm", FIXED + b"\3a\x1bc\0\0\0", "name of its codec"),
        (b"strm", FIXED + b"\3aac\0\3m\n4\0", "name of its format"),
        (b"strm", FIXED + b"\3aac\0\0\5empt", "ends inside"),
        (b"strm", FIXED + b"\3aac\0\0\0data", "has data of its own"),
    ],
)
def test_a_description_that_breaks_a_rule_is_damage(chunk_type, payload, message):
    assert message in fault_of(START + chunk(chunk_type, payload) + FILE[HEAD_END:])


def varint(value):
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "does not end"),
        (b"\0", "number of packets is 0"),
        (varint(16385) + b"\0\0" * 16385, "number of packets is 16385"),
        (b"\2\1\0", "ends inside"),
        (b"\1\1\1", "ends inside"),
        (b"\1\1\0x", "1 bytes follow"),
        (b"\1\1" + varint(2**64 - 1), "ends inside"),
        (b"\1\x08\0\0", "no PTS"),
        (b"\1\x12\0\0", "no DTS"),
        (b"\1\x80\7\0", "a packet of stream 7"),
        (b"\1\x80" + varint(256) + b"\0", "stream of a packet is 256"),
        (b"\1\x0a" + varint(2**62) + b"\0", "PTS of a packet of stream 0 is 2305843009213693952"),
        (b"\1\x14" + varint(2**62 - 1) + b"\0", "DTS of a packet of stream 0 is -2305843009213"),
        (b"\1\x20\1\0", "duration of a packet of stream 0 is -1"),
        (b"\1\x40\0\0", "number of side data of a packet is 0"),
        (b"\1\x40\0" + varint(17) + b"\0\0" * 17, "number of side data of a packet is 17"),
        (b"\1\x40\0\1\1\xff\0", "not UTF-8"),
        (b"\1\x40\0\1\1a\1", "ends inside"),
    ],
)
def test_packets_that_break_a_rule_are_damage_and_leave_the_gop_after_them(payload, message):
    at = FIRST_GOP[0]
    data = FILE[:at] + chunk(b"pckt", payload) + FILE[at:]
    assert message in fault_of(data)
    _, _, found, damage = read(data)
    assert found == CONTENTS
    assert [d.chunk_type for d in damage] == ["pckt"]


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_forged_descriptions_and_packets_do_nothing_but_raise_damaged_file(data):
    at, end = data.draw(st.sampled_from(DESCRIPTIONS + CONTENT_RANGES))
    payload = bytearray(FILE[at + 8 : end - 4])
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(payload)))
        payload[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    forged = FILE[:at] + chunk(FILE[at : at + 4], bytes(payload)) + FILE[end:]
    for keep_going in (False, True):
        reader = ContainerReader(io.BytesIO(forged), "film.nlc")
        try:
            found = list(reader.contents(keep_going))
        except DamagedFile:
            assert not keep_going
            continue
        # Whatever is given could have been written.
        extras = reader.extras
        if [s.number for s in extras.streams] == list(range(len(extras.streams))):
            container = ContainerWriter(io.BytesIO(), reader.header, extras)
            for content in found:
                if isinstance(content, PacketsContent):
                    container.write_packets(content.packets)


@pytest.mark.parametrize(
    ("parse", "payload"),
    [
        (parse_packets, varint(16384) + b"\1\0" * 500),
        (parse_packets, b"\1\1" + varint(2**34) + bytes(1000)),
        (parse_packets, b"\1\x40\0\x10" + (b"\1a" + varint(2**34)) * 16),
        (parse_tags, b"\x80\x20" + b"\1a\1b" * 250),
        (parse_tags, b"\1\1a" + varint(2**34) + bytes(1000)),
        (parse_tags, NO_CHAPTERS[:-1] + varint(16384) + A_CHAPTER * 40),
        (parse_stream, FIXED + b"\3aac\0\0" + varint(2**34) + bytes(1000)),
        (parse_mastering_display, bytes(1000)),
    ],
)
def test_a_count_or_length_beyond_the_bytes_that_are_there_allocates_nothing_big(parse, payload):
    tracemalloc.start()
    try:
        with pytest.raises(layout.Malformed):
            parse(payload)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 18


@pytest.mark.parametrize(
    ("chunk_type", "largest"), [(b"tags", 1 << 20), (b"strm", 1 << 26), (b"pckt", 1 << 24)]
)
def test_a_lying_length_on_a_short_file_allocates_nothing_big(tmp_path, chunk_type, largest):
    for length, told in ((largest, "ends inside"), (largest + 1, "more than it may have")):
        path = tmp_path / "film.nlc"
        path.write_bytes(START + chunk_type + struct.pack("<I", length) + bytes(900))
        # A file of the operating system: unlike BytesIO, its read allocates all that is asked for.
        with path.open("rb") as file:
            tracemalloc.start()
            try:
                with pytest.raises(DamagedFile, match=told):
                    list(ContainerReader(file, "film.nlc").contents())
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        assert peak < 3 << 20
