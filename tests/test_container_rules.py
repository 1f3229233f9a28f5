"""Each rule of docs/format.md about values is enforced, also where all CRC-32 hold."""

import io
import struct
import time
import zlib
from fractions import Fraction

import pytest

from neuralcodec.container import (
    ContainerReader,
    ContainerWriter,
    FrameRecord,
    GopRecord,
    GopStats,
    StreamHeader,
    layout,
)
from neuralcodec.container.payloads import parse_gop
from neuralcodec.container.varint import (
    append_signed_varint,
    append_varint,
    read_signed_varint,
    read_varint,
)
from neuralcodec.container.writer import pack_beginning
from neuralcodec.errors import DamagedFile
from neuralcodec.references import Placement, chain
from neuralcodec.video import VideoFormat


def chunk(chunk_type, payload):
    body = chunk_type + struct.pack("<I", len(payload)) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def whole_file():
    header = StreamHeader(VideoFormat(64, 48, Fraction(1, 25)), 4, "tiny", bytes(32))
    file = io.BytesIO()
    container = ContainerWriter(file, header)
    container.write_gop(
        GopRecord(0, 0, (FrameRecord(0, 30, b"frame", chain(0)),)),
        GopStats(0, ((40.0, 41.0, 42.0),)),
    )
    container.finish()
    return file.getvalue()


FILE = whole_file()
HEAD = FILE[20:102]
START = FILE[:106]
COPY_AT = FILE.index(b"head")
INDX_AT, TAIL_AT = FILE.index(b"INDX"), FILE.index(b"TAIL")


def fault_of(data):
    with pytest.raises(DamagedFile) as raised:
        list(ContainerReader(io.BytesIO(data), "film.nlc").gops())
    return str(raised.value)


@pytest.mark.parametrize(
    ("at", "forged", "message"),
    [
        (0, struct.pack("<I", 15), "width is 15"),
        (0, struct.pack("<I", 16385), "width is 16385"),
        (4, struct.pack("<I", 15), "height is 15"),
        (4, struct.pack("<I", 2**32 - 1), "height is 4294967295"),
        (8, b"\x09", "bit depth is 9"),
        (9, b"\0", "chroma format is 0"),
        (10, struct.pack("<II", 0, 0), "time base is 0"),
        (10, struct.pack("<II", 1, 0), "time base is 1/0"),
        (18, struct.pack("<II", 25, 0), "frame rate is 25/0"),
        (18, struct.pack("<II", 0, 1), "frame rate is 0/1"),
        (26, struct.pack("<II", 1, 0), "sample aspect is 1/0"),
        (37, b"\x02", "full-range flag is 2"),
        (38, b"\x07", "chroma location is 7"),
        (39, b"\x03", "field order is 3"),
        (40, struct.pack("<I", 0), "longest GOP is 0"),
        (40, struct.pack("<I", 65537), "longest GOP is 65537"),
        (45, b"\xff", "not UTF-8"),
        (45, b"/", "model name is"),
        (45, b".", "model name is"),
        (45, b"\n", "model name is"),
        (44, b"\xff", "header is too short"),
        (81, b"\x02", "display matrix's flag is 2"),
        (81, b"\x01", "header is too short"),
    ],
)
def test_a_header_element_out_of_range_is_named(at, forged, message):
    head = HEAD[:at] + forged + HEAD[at + len(forged) :]
    fault = fault_of(FILE[:12] + chunk(b"HEAD", head) + FILE[106:COPY_AT])
    assert message in fault
    assert "get the file again" in fault


def gop(first_frame=0, count=1, pts=0, rows=b"\1\0\x3c\1", payload=b"x"):
    return struct.pack("<QIqI", first_frame, count, pts, 0) + rows + payload


FIRST = b"\0\0\0"  # of q 0, stored nowhere, no payload
STORED = b"\0\x08\0"  # in slot 0
NEXT = b"\2\0\0\0\0"  # reads slot 0 twice


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"", "too short for a GOP"),
        (gop()[:23], "too short for a GOP"),
        (gop(count=0), "number of frames is 0"),
        (gop(count=65537), "number of frames is 65537"),
        (
            gop(count=5, rows=STORED + NEXT + b"\2\0" * 3 + b"\0\3", payload=b""),
            "number of frames is 5 (allowed: 1 to 4)",
        ),
        (gop(count=2), "kind is 60 (allowed: 0 to 1)"),
        (gop(count=2, payload=b""), "does not end"),
        (gop(first_frame=2**48), "first frame's number is"),
        (gop(rows=FIRST)[:-2], "does not end"),
        (gop(pts=2**61), "a time stamp is"),
        (gop(pts=-(2**61)), "a time stamp is"),
        (gop(count=2, pts=2**61 - 1, rows=STORED + NEXT + b"\2"), "a time stamp is"),
        (gop(rows=b"\1\0\xb6\x01\x01"), "a quality is 91"),
        (gop(rows=b"\1\0\x13\x01"), "a quality is -10"),
        (gop(rows=b"\1\0\x3c\x02"), "disagrees"),
        (gop(rows=b"\1\0\x3c\x00"), "disagrees"),
        (gop(rows=b"\1\0\x3c" + b"\xff" * 9 + b"\x01"), "disagrees"),
        (gop(rows=b"\1\0\x3c" + b"\xff" * 9 + b"\x02"), "exceeds 64 bits"),
        (gop(rows=b"\1\0\x3c" + b"\x80" * 10 + b"\x01"), "does not end"),
    ],
)
def test_a_gop_that_breaks_a_rule_is_damage(payload, message):
    assert message in fault_of(START + chunk(b"GOPS", payload))


def row(shown, before, *, slots=(0, 0), stored=None, level=0):
    """Of a kind of its own, which is number 1, 2, ... as `before` counts."""
    place = (0 if stored is None else stored + 1) << 3 | level
    out = bytearray()
    append_varint(out, 2 * (len(before) + 1))
    out += bytes([place, slots[1] << 3 | slots[0]])
    append_signed_varint(out, shown - (before[-1] if before else 0) - 1)
    append_varint(out, 0)
    before.append(shown)
    return bytes(out)


def frames_of(*rows):
    """A GOP whose frames after the first have these numbers in the order of showing, or a number
    and more of what `row` takes. Slots are ranks."""
    before, table = [], bytearray(STORED)
    for each in rows:
        shown, more = each if isinstance(each, tuple) else (each, {})
        table += row(shown, before, **more)
    times = b"\0\0" if len(rows) == 1 else b"\0" + bytes([len(rows) - 1])
    return gop(count=len(rows) + 1, rows=bytes(table) + times, payload=b"")


def test_frames_in_another_order_than_that_of_coding_are_read():
    found = parse_gop(frames_of(2, (1, {"level": 7})))
    assert [frame.place.shown for frame in found.frames] == [0, 2, 1]
    assert found.frames[2].place == Placement(1, 7, (0, 0), None)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (frames_of((1, {"slots": (0, 1)})), "refers to slot 1, which is empty"),
        (frames_of((1, {"slots": (5, 0)})), "refers to slot 5, which is empty"),
        (frames_of((1, {"slots": (0, 6)})), "rank of a slot is 6"),
        (frames_of((1, {"slots": (0, 7)})), "rank of a slot is 7"),
        (frames_of((1, {"stored": 6})), "rank of a slot is 6"),
        (frames_of(2, 2), "two frames are number 2"),
        (frames_of(1, 1), "two frames are number 1"),
        (frames_of(0), "two frames are number 0"),
        (frames_of(2), "number shown of a frame is 2 (allowed: 0 to 1)"),
        (frames_of(-1), "number shown of a frame is -1"),
        (frames_of(2**62), "number shown of a frame is"),
        (frames_of(*range(18, 1, -1), 1), "more than 16 frames wait"),
        (gop(count=2, rows=FIRST + NEXT + b"\0\0", payload=b""), "slot 0, which is empty"),
        (gop(count=2, rows=STORED + b"\0\0\0\0", payload=b""), "at the beginning of a GOP"),
        (gop(rows=b"\2\0\0\1"), "kind is 1 (allowed: 0 to 0)"),
        (gop(rows=b"\0\x40\1"), "bits that say nothing"),
        (gop(count=2, rows=STORED + b"\2\0\x80\0\0\0\0", payload=b""), "bits that say nothing"),
        (gop(count=2, rows=STORED + NEXT + b"\0\1", payload=b""), "number of time stamps is 3"),
        (
            gop(count=2, rows=STORED + NEXT + b"\0" + b"\xff" * 9 + b"\1", payload=b""),
            "time stamps",
        ),
        (gop(count=2, rows=STORED + NEXT + b"\0", payload=b""), "does not end"),
        (gop(count=2, rows=STORED + b"\2\0", payload=b""), "does not end"),
    ],
)
def test_a_structure_that_breaks_a_rule_is_damage(payload, message):
    header = StreamHeader(VideoFormat(64, 48, Fraction(1, 25)), 32, "tiny", bytes(32))
    beginning = pack_beginning(header)[0]
    assert message in fault_of(beginning + chunk(b"GOPS", payload))


def test_sixteen_frames_may_wait_for_one_shown_before_them():
    found = parse_gop(frames_of(*range(17, 0, -1)))
    assert [frame.place.shown for frame in found.shown] == list(range(18))


def test_a_frame_count_without_frames_takes_no_time():
    payload = gop(count=65536, rows=STORED + NEXT + b"\0" + b"\xff\xff\3", payload=b"")
    header = StreamHeader(VideoFormat(64, 48, Fraction(1, 25)), 65536, "tiny", bytes(32))
    data = pack_beginning(header)[0] + 200 * chunk(b"GOPS", payload)
    started = time.process_time()
    reader = ContainerReader(io.BytesIO(data), "film.nlc")
    assert list(reader.gops(keep_going=True)) == []
    assert time.process_time() - started < 2


def test_bytes_after_the_last_frame_of_a_gop_are_refused():
    with pytest.raises(layout.Malformed, match="disagrees"):
        parse_gop(gop(payload=b"xy"))


@pytest.mark.parametrize(
    ("forged", "message"),
    [
        (chunk(b"stat", b""), "statistics cannot take 0 bytes"),
        (chunk(b"stat", bytes(8)), "statistics cannot take 8 bytes"),
        (chunk(b"stat", bytes(15)), "statistics cannot take 15 bytes"),
        (chunk(b"TAIL", bytes(15)), "TAIL cannot take 15 bytes"),
        (chunk(b"HEAD", HEAD), "a second header"),
        (chunk(b"head", b"\1\0\0"), "copy of the header is too short"),
        (chunk(b"head", b"\2\0\0\0" + HEAD), "copies a header of format 2.0"),
        (chunk(b"head", b"\1\0\0\0" + HEAD[:-1]), "header is too short"),
        (chunk(b"head", b"\1\0\0\0" + b"A" + HEAD[1:]), "no copy of the header"),
        (b"head" + struct.pack("<I", 4101), "4101 bytes, more than it may have"),
        (chunk(b"no!!", b""), "no chunk begins here"),
        (b"stat" + struct.pack("<I", 393_225), "393225 bytes, more than it may have"),
        (b"INDX" + struct.pack("<I", (112 << 20) + 1), "more than it may have"),
        (b"TAIL" + struct.pack("<I", 17), "17 bytes, more than it may have"),
        (b"note" + struct.pack("<I", (16 << 20) + 1), "more than it may have"),
        (b"GOPS" + struct.pack("<I", (1 << 30) + 1), "more than it may have"),
    ],
)
def test_another_chunk_that_breaks_a_rule_is_damage(forged, message):
    assert message in fault_of(START + forged + FILE[106:])


@pytest.mark.parametrize(
    "end",
    [
        chunk(b"INDX", struct.pack("<QQIq", 106, 0, 0, 0)) + FILE[TAIL_AT:],
        chunk(b"INDX", struct.pack("<QQIq", 106, 0, 5, 0)) + FILE[TAIL_AT:],
        chunk(b"INDX", struct.pack("<QQIqQQIq", 106, 0, 0, 0, 118, 0, 1, 0)) + FILE[TAIL_AT:],
        chunk(b"INDX", struct.pack("<QQIq", 106, 1, 1, 0)) + FILE[TAIL_AT:],
        chunk(b"INDX", struct.pack("<QQIq", 0, 0, 1, 0)) + FILE[TAIL_AT:],
        chunk(b"INDX", struct.pack("<QQIq", 2**64 - 1, 0, 1, 0)) + FILE[TAIL_AT:],
        chunk(b"INDX", FILE[INDX_AT + 8 : TAIL_AT - 4] + b"?") + FILE[TAIL_AT:],
        chunk(b"INDX", b"") + FILE[TAIL_AT:],
        FILE[INDX_AT:TAIL_AT] + chunk(b"TAIL", struct.pack("<QQ", 2**64 - 1, 1)),
        FILE[INDX_AT:TAIL_AT] + chunk(b"TAIL", struct.pack("<QQ", 106, 1)),
        FILE[INDX_AT:TAIL_AT] + chunk(b"TAIL", struct.pack("<QQ", INDX_AT, 2)),
        FILE[INDX_AT:TAIL_AT] + chunk(b"TAIL", struct.pack("<Q", INDX_AT)) + bytes(8),
    ],
)
def test_an_index_that_cannot_be_true_is_replaced_by_a_scan(end):
    reader = ContainerReader(io.BytesIO(FILE[:INDX_AT] + end), "film.nlc")
    assert reader.index() == ContainerReader(io.BytesIO(FILE), "film.nlc").index()


@pytest.mark.parametrize(
    ("value", "coded"),
    [
        (0, "00"),
        (-1, "01"),
        (1, "02"),
        (63, "7e"),
        (-64, "7f"),
        (64, "8001"),
        (512, "8008"),
        (2**63 - 1, "feffffffffffffffff01"),
        (-(2**63), "ffffffffffffffffff01"),
    ],
)
def test_signed_integers_take_the_bytes_that_the_specification_says(value, coded):
    out = bytearray()
    append_signed_varint(out, value)
    assert out.hex() == coded
    assert read_signed_varint(bytes(out), 0) == (value, len(out))


@pytest.mark.parametrize("coded", ["", "80", "ff" * 9, "ff" * 9 + "02", "80" * 10 + "00"])
def test_integers_that_do_not_end_or_exceed_64_bits_are_refused(coded):
    with pytest.raises(layout.Malformed):
        read_varint(bytes.fromhex(coded), 0)
