"""A part of an .nlc file is read without the rest of it."""

import io
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
    IndexEntry,
    PacketsContent,
    StreamHeader,
    find_gop,
    find_gop_of_frame,
)
from neuralcodec.errors import DamagedFile
from neuralcodec.references import chain
from neuralcodec.streams import ATTACHMENT, AUDIO, OtherStream, StreamPacket
from neuralcodec.video import VideoFormat

HEADER = StreamHeader(VideoFormat(64, 48, Fraction(1, 25)), 8, "tiny", bytes(32))
EXTRAS = Extras(
    streams=(
        OtherStream(0, AUDIO, "aac", Fraction(1, 48000)),
        OtherStream(1, ATTACHMENT, "ttf", Fraction(1, 90000), data=bytes(100_000)),
    )
)
GOP_COUNT = 40
FRAMES = 2  # in each GOP
PAYLOAD = 20_000


def make_contents():
    """For each GOP packets, then the GOP; at last, packets after the last one."""
    found = []
    for number in range(GOP_COUNT + 1):
        packets = (StreamPacket(0, 1000 * number, None, 1000, True, b"sound"),)
        found.append(PacketsContent(packets))
        if number < GOP_COUNT:
            first = FRAMES * number
            frames = tuple(
                FrameRecord(first + i, 30, bytes(PAYLOAD), chain(i)) for i in range(FRAMES)
            )
            stats = GopStats(first, ((40.0, 41.0, 42.0),) * FRAMES)
            found.append(GopContent(GopRecord(first, 7, frames), stats))
    return found


CONTENTS = make_contents()
FILE = written(CONTENTS, HEADER, EXTRAS)
INDEX = ContainerReader(io.BytesIO(FILE), "film.nlc").index()


def part(first_gop, end_gop):
    return CONTENTS[2 * first_gop : 2 * end_gop + 1]


class CountingFile(io.BytesIO):
    bytes_read = 0

    def read(self, count=-1):
        piece = super().read(count)
        self.bytes_read += len(piece)
        return piece


@pytest.mark.parametrize(
    ("first", "end"), [(0, 0), (0, 1), (0, 40), (1, 1), (7, 9), (39, 40), (40, 40)]
)
def test_a_part_holds_its_gops_and_the_packets_before_each_and_after_the_last(first, end):
    reader = ContainerReader(io.BytesIO(FILE), "film.nlc")
    assert list(reader.contents_between(first, end)) == part(first, end)


def test_a_part_is_read_without_the_rest_of_the_file():
    file = CountingFile(FILE)
    reader = ContainerReader(file, "film.nlc")
    assert reader.header == HEADER
    reader.index()
    before = file.bytes_read
    assert list(reader.contents_between(30, 32)) == part(30, 32)
    assert file.bytes_read - before < 2 * FRAMES * PAYLOAD + 1000
    assert before < 100_000 + 2000


def test_a_part_is_given_while_it_is_read():
    file = CountingFile(FILE)
    reader = ContainerReader(file, "film.nlc")
    found = reader.contents_between(10, 30)
    before = file.bytes_read
    assert [next(found), next(found)] == part(10, 11)[:2]
    assert file.bytes_read - before < 3 * FRAMES * PAYLOAD


def test_parts_and_the_whole_may_be_read_by_turns():
    reader = ContainerReader(io.BytesIO(FILE), "film.nlc")
    whole = reader.contents()
    given = [next(whole) for _ in range(3)]
    later, sooner = reader.contents_between(30, 32), reader.contents_between(2, 4)
    taken = list(zip(later, sooner, strict=True))
    assert [content for content, _ in taken] == part(30, 32)
    assert [content for _, content in taken] == part(2, 4)
    assert reader.read_gop(INDEX[5])[0] == CONTENTS[11].gop
    assert given + list(whole) == CONTENTS


@pytest.mark.parametrize(("first", "end"), [(-1, 1), (2, 1), (0, 41), (41, 41)])
def test_numbers_that_no_gop_has_are_a_mistake_of_the_caller(first, end):
    with pytest.raises(ValueError, match="of 40"):
        ContainerReader(io.BytesIO(FILE), "film.nlc").contents_between(first, end)


def test_a_pipe_has_no_parts():
    class Pipe(io.RawIOBase):
        def __init__(self):
            self._file = io.BytesIO(FILE)

        def readable(self):
            return True

        def read(self, count=-1):
            return self._file.read(count)

    with pytest.raises(io.UnsupportedOperation):
        ContainerReader(Pipe(), "pipe").contents_between(0, 1)


def test_a_part_is_read_of_a_file_that_was_cut():
    cut = FILE[: INDEX[20].offset + 100]
    reader = ContainerReader(io.BytesIO(cut), "film.nlc")
    assert reader.index() == INDEX[:20]
    assert list(reader.contents_between(7, 9)) == part(7, 9)
    with pytest.raises(DamagedFile, match="ends inside"):
        list(reader.contents_between(18, 20))
    assert list(reader.contents_between(18, 20, keep_going=True)) == part(18, 20)


def flipped(at):
    return FILE[:at] + bytes([FILE[at] ^ 1]) + FILE[at + 1 :]


def test_damage_outside_of_a_part_does_not_matter():
    reader = ContainerReader(io.BytesIO(flipped(INDEX[3].offset + 100)), "film.nlc")
    assert list(reader.contents_between(4, 6)) == part(4, 6)
    assert list(reader.contents_between(1, 3)) == part(1, 3)


def test_damage_within_a_part_costs_its_gop_alone():
    reader = ContainerReader(io.BytesIO(flipped(INDEX[3].offset + 100)), "film.nlc")
    with pytest.raises(DamagedFile, match="GOP 3 is damaged"):
        list(reader.contents_between(2, 5))
    for _ in range(2):
        found = list(reader.contents_between(2, 5, keep_going=True))
        assert found == [c for c in part(2, 5) if c != CONTENTS[7]]
    assert [damage.gop for damage in reader.damage] == [3]  # told once


@pytest.mark.parametrize("at", [0, 3, 4, 7])
def test_a_damaged_head_of_the_gop_before_does_not_hide_the_packets_after_it(at):
    reader = ContainerReader(io.BytesIO(flipped(INDEX[3].offset + at)), "film.nlc")
    assert list(reader.contents_between(4, 6, keep_going=True)) == part(4, 6)
    assert len(reader.damage) == 1


def test_a_part_of_a_file_with_damaged_descriptions_leaves_out_what_they_describe():
    data = flipped(FILE.index(b"aac"))
    with pytest.raises(DamagedFile, match="strm"):
        list(ContainerReader(io.BytesIO(data), "film.nlc").contents_between(4, 6))
    reader = ContainerReader(io.BytesIO(data), "film.nlc")
    found = list(reader.contents_between(4, 6, keep_going=True))
    assert found == [c for c in part(4, 6) if isinstance(c, GopContent)]
    assert len(reader.damage) == 1


ENTRIES = [IndexEntry(0, 0, 2, -10), IndexEntry(0, 2, 3, 0), IndexEntry(0, 6, 1, 7)]


def test_the_gop_of_a_time_is_the_last_one_that_begins_no_later():
    expected = {-11: 0, -10: 0, -1: 0, 0: 1, 6: 1, 7: 2, 1000: 2}
    assert {pts: find_gop(ENTRIES, pts) for pts in expected} == expected


def test_the_gop_of_a_frame_is_found_by_its_number():
    expected = {0: 0, 1: 0, 2: 1, 4: 1, 5: 1, 6: 2, 1000: 2}  # frame 5 is lost
    assert {frame: find_gop_of_frame(ENTRIES, frame) for frame in expected} == expected


def test_nothing_is_found_in_an_empty_file():
    for find in (find_gop, find_gop_of_frame):
        with pytest.raises(ValueError, match="no GOP"):
            find([], 0)
