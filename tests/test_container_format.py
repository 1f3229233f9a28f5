"""docs/format.md and the code say the same about the .nlc file."""

import io
import math
import re
import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from neuralcodec.container import (
    ContainerReader,
    ContainerWriter,
    Extras,
    FrameRecord,
    GopRecord,
    GopStats,
    PacketsContent,
    StreamHeader,
    layout,
)
from neuralcodec.references import Placement
from neuralcodec.streams import ATTACHMENT, AUDIO, Chapter, FileTags, OtherStream, StreamPacket
from neuralcodec.video import ColorTags, ContentLight, MasteringDisplay, VideoFormat

DOC = (Path(__file__).parent.parent / "docs" / "format.md").read_text(encoding="utf-8")

HEADER = StreamHeader(
    VideoFormat(
        64,
        48,
        Fraction(1, 12800),
        frame_rate=Fraction(25),
        sample_aspect_ratio=Fraction(1),
        color=ColorTags(1, 1, 1, False, 1),
    ),
    32,
    "tiny",
    bytes(range(32)),
)
GOPS = [
    (
        GopRecord(
            0,
            0x11223344,
            (
                FrameRecord(-512, 30, b"intra", Placement(0)),
                FrameRecord(512, 33, b"", Placement(2, slots=(0, 0), stored=1)),
                FrameRecord(0, 27, b"b", Placement(1, 1, slots=(0, 1), stored=None)),
            ),
        ),
        GopStats(0, ((40.0, 42.5, 43.002), (37.5, 41.0, 41.0), (math.inf,) * 3)),
    ),
    (
        GopRecord(3, 0x55667788, (FrameRecord(1024, 31, b"hi", Placement(0)),)),
        GopStats(3, ((38.25, 41.0, 41.5),)),
    ),
]
HDR_HEADER = replace(
    HEADER,
    format=replace(
        HEADER.format,
        mastering_display=MasteringDisplay(
            ((35400, 14600), (8500, 39850), (6550, 2300)), (15635, 16450), None
        ),
        content_light=ContentLight(1000, 400),
    ),
)
EXTRAS = Extras(
    FileTags(
        (("title", "Tea"),),
        (("language", "eng"),),
        1,
        (Chapter(0, 1500, Fraction(1, 1000), (("title", "Pot"),)),),
    ),
    (
        OtherStream(
            0,
            AUDIO,
            "opus",
            Fraction(1, 48000),
            1,
            (("language", "eng"),),
            "matroska",
            b"\x1a\x45\xdf\xa3",
        ),
        OtherStream(
            1,
            ATTACHMENT,
            "ttf",
            Fraction(1, 90000),
            metadata=(("filename", "a.ttf"),),
            data=b"font",
        ),
    ),
)
PACKETS = (
    StreamPacket(0, -312, -312, 960, True, b"one", (("skip_samples", b"\x38\x01"),)),
    StreamPacket(0, 648, 648, 960, True, b"three"),
    StreamPacket(0, 1608, 1608, 480, True, b""),
)


def section(heading: str) -> str:
    return DOC.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def example(number: int = 0) -> bytes:
    dump = section("Example").split("```hexdump\n")[1 + number].split("```")[0]
    return bytes.fromhex(re.sub(";.*", "", dump))


def test_the_example_in_the_specification_is_written_to_the_byte():
    file = io.BytesIO()
    container = ContainerWriter(file, HEADER)
    for gop, stats in GOPS:
        container.write_gop(gop, stats)
    container.finish()
    assert file.getvalue().hex(" ") == example().hex(" ")


def test_the_example_in_the_specification_is_read():
    reader = ContainerReader(io.BytesIO(example()), "example")
    assert reader.header == HEADER
    assert list(reader.gops()) == GOPS
    assert [reader.read_gop(entry) for entry in reader.index()] == GOPS


def test_the_example_of_descriptions_and_packets_is_written_to_the_byte():
    file = io.BytesIO()
    ContainerWriter(file, HDR_HEADER, EXTRAS).write_packets(PACKETS)
    start = example()[: example().index(b"GOPS")]
    assert file.getvalue().hex(" ") == (start + example(1)).hex(" ")


def test_the_example_of_descriptions_and_packets_is_read():
    start = example()[: example().index(b"GOPS")]
    data = start + example(1) + example()[len(start) :]
    reader = ContainerReader(io.BytesIO(data), "example")
    assert reader.header == HDR_HEADER
    assert reader.extras == EXTRAS
    assert next(reader.contents()) == PacketsContent(PACKETS)
    # The index is not where TAIL says, so it is rebuilt.
    assert [reader.read_gop(entry) for entry in reader.index()] == GOPS


def test_the_end_of_the_last_frame_stands_before_the_index():
    file = io.BytesIO()
    container = ContainerWriter(file, HEADER)
    for gop, stats in GOPS:
        container.write_gop(gop, stats)
    container.finish(end_pts=64512)
    chunk = bytes.fromhex("656e6474 08000000 00fc000000000000")
    chunk += zlib.crc32(chunk).to_bytes(4, "little")
    assert file.getvalue().count(chunk) == 1
    assert file.getvalue().index(chunk) > example().index(b"stat", example().index(b"stat") + 4)
    assert file.getvalue().index(chunk) < file.getvalue().index(b"INDX")
    reader = ContainerReader(io.BytesIO(file.getvalue()), "example")
    assert reader.end_pts is None
    assert list(reader.gops()) == GOPS
    assert reader.end_pts == 64512
    assert [reader.read_gop(entry) for entry in reader.index()] == GOPS


@pytest.mark.parametrize("end", [None, 1024, 0, 1 << 61])
def test_an_end_that_says_nothing_is_not_written(end):
    file = io.BytesIO()
    container = ContainerWriter(file, HEADER)
    for gop, stats in GOPS:
        container.write_gop(gop, stats)
    container.finish(end)
    assert file.getvalue() == example()


def test_the_specification_lists_the_elements_of_the_header():
    rows = re.findall(r"^\| (\d+)[^|]* \| (\w+) \| ([\w ]+) \|", section("HEAD"), re.MULTILINE)
    assert [(name, kind) for _, name, kind in rows] == list(layout.HEAD_ELEMENTS)
    sizes = {"u8": 1, "u32": 4, "text": 1, "32 bytes": 32, "matrix": 1}
    at = 0
    for offset, name, kind in rows:
        assert int(offset) == at, name
        at += sizes[kind]


def test_the_specification_states_the_limits_of_packets_and_tags():
    for sentence in (
        f"| packet_count | varint | 1 to {layout.MAX_PACKETS} |",
        f"1 to {layout.MAX_SIDE_DATA} side data",
        f"number of pairs, at most {layout.MAX_METADATA},",
        f"| chapter_count | varint | 0 to {layout.MAX_CHAPTERS} |",
        f"at most {layout.MAX_STREAMS_PAYLOAD >> 20} MiB together",
        ", ".join(f"{code} {kind}" for code, kind in enumerate(layout.STREAM_KINDS)),
    ):
        assert sentence in DOC


def test_the_specification_lists_the_chunk_types_and_their_limits():
    units = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "bytes": 1}
    rows = re.findall(r"^\| `(\w{4})` \|.*?\| ([\d,]+) (\w+) \|", section("Chunk"), re.MULTILINE)
    limits = {name: int(count.replace(",", "")) * units[unit] for name, count, unit in rows}
    assert limits == {name: layout.max_payload(name.encode()) for name in limits}
    after_head = {name for name in limits if layout.CHUNKS_AFTER_HEAD.fullmatch(name.encode())}
    assert after_head == set(limits) - {"HEAD"}
    assert limits.keys() >= {name.decode() for name in layout._MAX_PAYLOADS}
    assert after_head == set(layout.CHUNKS_AFTER_HEAD.pattern.decode().split("|"))
