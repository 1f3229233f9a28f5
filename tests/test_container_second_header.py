"""A damaged beginning costs nothing: the header stands in the file once or twice more."""

import io
import itertools
import struct
import zlib
from dataclasses import replace
from fractions import Fraction

import pytest
from container_files import written

from neuralcodec.container import (
    ContainerReader,
    Extras,
    FrameRecord,
    GopContent,
    GopRecord,
    GopStats,
    PacketsContent,
    StreamHeader,
    beginning,
    layout,
)
from neuralcodec.errors import DamagedFile
from neuralcodec.references import chain
from neuralcodec.streams import ATTACHMENT, AUDIO, FileTags, OtherStream, StreamPacket
from neuralcodec.video import ContentLight, VideoFormat

HEADER = StreamHeader(
    VideoFormat(64, 48, Fraction(1, 25), content_light=ContentLight(1000, 400)),
    4,
    "tiny",
    bytes(range(32)),
)
SOUND = OtherStream(0, AUDIO, "aac", Fraction(1, 48000))
EXTRAS = Extras(FileTags((("title", "Film"),)), (SOUND,))
FRAMES = 2  # in each GOP


def contents_of(gops, payload=b"payload"):
    """Packets, then the GOP of their time, so many times."""
    found = []
    for first in range(0, FRAMES * gops, FRAMES):
        frames = tuple(FrameRecord(first + i, 30, payload, chain(i)) for i in range(FRAMES))
        stats = GopStats(first, ((40.0, 41.0, 42.0),) * FRAMES)
        found.append(PacketsContent((StreamPacket(0, 1024 * first, None, 1024, True, b"sound"),)))
        found.append(GopContent(GopRecord(first, 7, frames), stats))
    return found


def write(contents, header=HEADER, extras=EXTRAS):
    return written(contents, header, extras)


CONTENTS = contents_of(2)
FILE = write(CONTENTS)
HEAD_END = 12 + 12 + struct.unpack_from("<I", FILE, 16)[0]


def chunk(chunk_type, payload):
    body = chunk_type + struct.pack("<I", len(payload)) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def chunks_of(data):
    """(type, start, end) of each."""
    found, at = [], 12
    while at < len(data):
        end = at + 12 + struct.unpack_from("<I", data, at + 4)[0]
        found.append((data[at : at + 4], at, end))
        at = end
    return found


def places(chunk_type, data=FILE):
    return [(start, end) for kind, start, end in chunks_of(data) if kind == chunk_type]


COPIES = places(b"head")
FIRST_GOP = places(b"GOPS")[0]


class Pipe(io.RawIOBase):
    """It gives a few bytes at a time and cannot seek."""

    def __init__(self, data):
        self._file = io.BytesIO(data)
        self.given = 0

    def readable(self):
        return True

    def read(self, count=-1):
        piece = self._file.read(min(count, 100))
        self.given += len(piece)
        return piece


def read(data, keep_going=True):
    """(header, extras, contents, damage), the same from a file and from a pipe."""
    found = []
    for file in (io.BytesIO(data), Pipe(data)):
        reader = ContainerReader(file, "film.nlc")
        contents = list(reader.contents(keep_going))
        found.append((reader.header, reader.extras, contents, reader.damage))
    assert found[0] == found[1]
    return found[0]


def fault_of(data):
    faults = set()
    for file in (io.BytesIO(data), Pipe(data)):
        with pytest.raises(DamagedFile) as raised:
            list(ContainerReader(file, "film.nlc").contents())
        faults.add(str(raised.value))
    (fault,) = faults
    return fault


def zeroed(data, start, end):
    return data[:start] + bytes(end - start) + data[end:]


def test_the_header_stands_after_the_first_gop_and_before_the_index():
    for gops, kinds in {
        0: [],
        1: [b"GOPS", b"stat", b"head"],
        2: [b"GOPS", b"stat", b"head", b"pckt", b"GOPS", b"stat", b"head"],
    }.items():
        data = write(contents_of(gops))
        after_descriptions = [kind for kind, _, _ in chunks_of(data)][4:]
        assert after_descriptions == [b"pckt"] * (gops > 0) + kinds + [b"INDX", b"TAIL"]
        for start, end in places(b"head", data):
            assert data[start + 8 : end - 4] == data[8:12] + data[20 : HEAD_END - 4]


def test_a_flipped_bit_in_the_beginning_costs_nothing():
    for at, bit in itertools.product(range(HEAD_END), range(8)):
        data = FILE[:at] + bytes([FILE[at] ^ 1 << bit]) + FILE[at + 1 :]
        header, extras, contents, damage = read(data)
        assert (header, extras, contents) == (HEADER, EXTRAS, CONTENTS), (at, bit)
        if at in (10, 11):  # the minor version
            assert damage == []
            continue
        ((what, start, end),) = [(d.chunk_type, d.start, d.end) for d in damage]
        assert (what, start, end) == ((None, 0, 12) if at < 12 else ("HEAD", 12, HEAD_END))
        fault = fault_of(data)
        assert f"bytes {start} to {end - 1}): " in fault
        assert fault.endswith("use --keep-going to decode the undamaged GOPs")


@pytest.mark.parametrize("count", [1, 8, 12, 13, 50, HEAD_END])
def test_zeros_over_the_beginning_cost_no_gop(count):
    header, extras, contents, damage = read(bytes(count) + FILE[count:])
    assert (header, extras, contents) == (HEADER, EXTRAS, CONTENTS)
    assert [(d.start, d.end, d.loss) for d in damage] == [(0, 12 if count < 13 else HEAD_END, None)]


@pytest.mark.parametrize("count", [HEAD_END + 1, FIRST_GOP[0], FIRST_GOP[0] + 1, FIRST_GOP[1]])
def test_zeros_over_more_than_the_beginning_cost_what_they_hit(count):
    data = bytes(count) + FILE[count:]
    header, _, contents, damage = read(data)
    hit = [kind for kind, start, _ in chunks_of(FILE) if start < count]
    assert header.format.content_light == (None if b"clli" in hit else ContentLight(1000, 400))
    assert [c.gop for c in contents if isinstance(c, GopContent)] == [
        c.gop for c in CONTENTS[3 if b"GOPS" in hit else 1 :: 2]
    ]
    assert len(damage) == 1
    lost = damage[0].loss
    assert (lost and (lost.first_frame, lost.end_frame)) == ((0, 2) if b"GOPS" in hit else None)


@pytest.mark.parametrize("count", [5, 11, 12, 40, HEAD_END, HEAD_END + 30])
def test_a_beginning_cut_off_or_put_before_costs_only_what_it_hits(count):
    for data in (FILE[count:], bytes(count) + FILE, FILE[:12] + FILE[max(count, 12) :]):
        header, _, contents, damage = read(data)
        assert replace(header, format=HEADER.format) == HEADER
        assert [c for c in contents if isinstance(c, GopContent)] == CONTENTS[1::2]
        assert len(damage) == (data != FILE)


def test_descriptions_after_a_damaged_header_are_found_and_damaged_ones_told():
    start, end = places(b"tags")[0]
    data = zeroed(zeroed(FILE, 20, 30), end - 4, end)
    header, extras, contents, damage = read(data)
    assert (header, extras, contents) == (HEADER, Extras(streams=(SOUND,)), CONTENTS)
    assert [(d.chunk_type, d.start) for d in damage] == [("HEAD", 12), ("tags", start)]


@pytest.mark.parametrize("start", [0, 12])
def test_without_the_first_copy_the_one_before_the_index_is_taken(start, monkeypatch):
    # In a long file it is beyond what is searched from the beginning on.
    monkeypatch.setattr(layout, "MAX_COPY_SEARCH", COPIES[1][0])
    data = zeroed(zeroed(FILE, start, HEAD_END), COPIES[0][0], COPIES[0][1])
    reader = ContainerReader(io.BytesIO(data), "film.nlc")
    assert reader.header == HEADER
    assert list(reader.contents(keep_going=True)) == CONTENTS
    assert [d.start for d in reader.damage] == [start, COPIES[0][0]]
    with pytest.raises(DamagedFile, match=r"not an \.nlc file" if start == 0 else "HEAD chunk"):
        ContainerReader(Pipe(data), "pipe")


def test_a_damaged_beginning_and_a_cut_end_leave_the_gops_between():
    cut = COPIES[0][1] + 10
    header, extras, contents, damage = read(zeroed(FILE[:cut], 0, HEAD_END))
    assert (header, extras, contents) == (HEADER, EXTRAS, CONTENTS[:2])
    assert [d.ends_file for d in damage] == [False, True]


def without_copies(data):
    return b"".join(
        [data[:12], *(data[start:end] for kind, start, end in chunks_of(data) if kind != b"head")]
    )


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (0, 4, "film.nlc: it is not an .nlc file"),
        (4, 8, "film.nlc: its first bytes were altered, as by a text-mode transfer"),
        (8, 9, "film.nlc: made by another ncodec (format 0.0; this one reads 1.x)"),
        (
            20,
            30,
            "film.nlc: its header (HEAD chunk, at byte 12) is damaged: its CRC-32 does not match; "
            "without it nothing can be decoded: get the file again",
        ),
    ],
)
def test_where_the_copies_are_lost_too_the_file_is_refused_as_if_it_had_none(start, end, message):
    begun = zeroed(FILE, start, end)
    assert fault_of(without_copies(begun)) == message
    for copy_start, copy_end in COPIES:
        begun = zeroed(begun, copy_start + 20, copy_end - 4)
    assert fault_of(begun) == message


def copy_chunk(header, version=(1, 2)):
    """A chunk of the type of a copy, of another file."""
    data = write(contents_of(1), header)
    start, end = places(b"head", data)[0]
    return chunk(b"head", struct.pack("<HH", *version) + data[start + 12 : end - 4])


OTHER = replace(HEADER, model_name="another")


@pytest.mark.parametrize(
    ("copy", "message"),
    [
        (copy_chunk(OTHER), "it is no copy of the header"),
        (copy_chunk(HEADER, (2, 0)), "it copies a header of format 2.0"),
        (chunk(b"head", b""), "the copy of the header is too short"),
    ],
)
@pytest.mark.parametrize("at", [HEAD_END, COPIES[0][0], COPIES[1][0]])
def test_a_copy_that_says_something_else_than_the_header_is_damage_and_no_more(copy, message, at):
    data = FILE[:at] + copy + FILE[at:]
    header, extras, contents, damage = read(data)
    assert (header, extras, contents) == (HEADER, EXTRAS, CONTENTS)
    assert [(d.chunk_type, d.what, d.start) for d in damage] == [("head", message, at)]
    assert message in fault_of(data)


def test_a_copy_may_stand_anywhere_after_the_header():
    copy = FILE[slice(*COPIES[0])]
    for at in [start for _, start, _ in chunks_of(FILE)][1:]:
        data = FILE[:at] + copy + FILE[at:]
        found = read(data, keep_going=False)
        if FILE[at : at + 4] == b"stat":
            # Statistics stand directly after their GOP, or belong to none.
            assert [getattr(c, "gop", c) for c in found[2]] == [
                getattr(c, "gop", c) for c in CONTENTS
            ]
        else:
            assert found == (HEADER, EXTRAS, CONTENTS, [])


def test_where_only_the_signature_is_hit_the_header_holds_against_its_copy():
    start, end = COPIES[0]
    data = b"?" + FILE[1:start] + copy_chunk(OTHER) + FILE[end:]
    header, _, contents, damage = read(data)
    assert (header, contents) == (HEADER, CONTENTS)
    assert [d.chunk_type for d in damage] == [None, "head"]


def test_a_copy_in_an_attached_file_is_not_taken_for_the_files_own():
    font = OtherStream(1, ATTACHMENT, "nlc", Fraction(1, 1000), data=write(contents_of(2), OTHER))
    extras = Extras(streams=(SOUND, font))
    data = write(CONTENTS, extras=extras)
    assert read(zeroed(data, 0, HEAD_END))[:3] == (HEADER, extras, CONTENTS)


@pytest.mark.parametrize("keep_tail", [True, False])
def test_parts_and_single_gops_are_read_of_a_file_with_a_damaged_beginning(keep_tail):
    contents = contents_of(5)
    whole = write(contents)
    index = ContainerReader(io.BytesIO(whole), "film.nlc").index()
    data = zeroed(whole if keep_tail else whole[:-1], 0, 30)
    reader = ContainerReader(io.BytesIO(data), "film.nlc")
    assert reader.index() == index
    assert [reader.read_gop(entry)[0] for entry in index] == [c.gop for c in contents[1::2]]
    assert list(reader.contents_between(2, 4, keep_going=True)) == contents[4:9]
    assert [d.start for d in reader.damage] == [0]
    with pytest.raises(DamagedFile, match=r"bytes 0 to .*--keep-going"):
        list(reader.contents_between(2, 4))


def test_parts_are_read_of_a_file_whose_first_gop_is_part_of_the_damaged_beginning():
    contents = contents_of(5)
    whole = write(contents)
    first, second = ContainerReader(io.BytesIO(whole), "film.nlc").index()[:2]
    reader = ContainerReader(io.BytesIO(bytes(first.offset + 20) + whole[first.offset + 20 :]), "a")
    assert reader.index()[:2] == [first, second]  # times count from the first frame
    with pytest.raises(DamagedFile, match=r"the GOP at byte .* is damaged"):
        reader.read_gop(first)
    for part in ((0, 2), (1, 2)):
        found = list(reader.contents_between(*part, keep_going=True))
        assert [c.gop for c in found if isinstance(c, GopContent)] == [contents[3].gop]
    assert len(reader.damage) == 1
    assert (reader.damage[0].loss.first_frame, reader.damage[0].loss.end_frame) == (0, 2)


def test_a_pipe_is_not_read_further_than_to_the_copy_to_know_the_header():
    data = zeroed(write(contents_of(50, bytes(1000))), 0, HEAD_END)
    pipe = Pipe(data)
    ContainerReader(pipe, "pipe")
    assert pipe.given < data.index(b"head") + 5000


@pytest.mark.parametrize("make", [io.BytesIO, Pipe])
def test_what_is_no_nlc_file_is_refused_after_a_bounded_part_of_it(make, monkeypatch):
    monkeypatch.setattr(layout, "MAX_COPY_SEARCH", 1 << 16)
    noise = bytes(range(256)) * 4096
    file = make(noise)
    with pytest.raises(DamagedFile, match=r"film\.nlc: it is not an \.nlc file"):
        ContainerReader(file, "film.nlc")
    if make is Pipe:
        assert file.given == 1 << 16


def test_a_forged_beginning_is_not_searched_without_end(monkeypatch):
    attempts = 0
    read_chunk = beginning.ChunkStream.read

    def counting(self):
        nonlocal attempts
        attempts += 1
        return read_chunk(self)

    monkeypatch.setattr(beginning.ChunkStream, "read", counting)
    with pytest.raises(DamagedFile, match=r"not an \.nlc file"):
        ContainerReader(io.BytesIO(b"head\0\0\0\0" * 200_000), "film.nlc")
    assert attempts < 70_000
