"""docs/format.md and the code say the same about the .nlc file."""

import io
import math
import re
from fractions import Fraction
from pathlib import Path

from neuralcodec.container import (
    ContainerReader,
    ContainerWriter,
    FrameRecord,
    GopRecord,
    GopStats,
    StreamHeader,
    layout,
)
from neuralcodec.video import ColorTags, VideoFormat

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
        GopRecord(0, 0x11223344, (FrameRecord(-512, 30, b"intra"), FrameRecord(0, 33, b""))),
        GopStats(0, ((40.0, 42.5, 43.002), (math.inf,) * 3)),
    ),
    (
        GopRecord(2, 0x55667788, (FrameRecord(512, 31, b"hi"),)),
        GopStats(2, ((38.25, 41.0, 41.5),)),
    ),
]


def section(heading: str) -> str:
    return DOC.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def example() -> bytes:
    dump = section("Example").split("```hexdump\n")[1].split("```")[0]
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


def test_the_specification_lists_the_elements_of_the_header():
    rows = re.findall(r"^\| (\d+)[^|]* \| (\w+) \| ([\w ]+) \|", section("HEAD"), re.MULTILINE)
    assert [(name, kind) for _, name, kind in rows] == list(layout.HEAD_ELEMENTS)
    sizes = {"u8": 1, "i16": 2, "u32": 4, "text": 1, "32 bytes": 32}
    at = 0
    for offset, name, kind in rows:
        assert int(offset) == at, name
        at += sizes[kind]


def test_the_specification_lists_the_chunk_types_and_their_limits():
    units = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "bytes": 1}
    rows = re.findall(r"^\| `(\w{4})` \|.*?\| ([\d,]+) (\w+) \|", section("Chunk"), re.MULTILINE)
    limits = {name: int(count.replace(",", "")) * units[unit] for name, count, unit in rows}
    assert limits == {name: layout.max_payload(name.encode()) for name in limits}
    after_head = {name for name in limits if layout.CHUNKS_AFTER_HEAD.fullmatch(name.encode())}
    assert after_head == set(limits) - {"HEAD"}
    assert after_head == set(layout.CHUNKS_AFTER_HEAD.pattern.decode().split("|"))
