"""Records written to an .nlc file come back as they were, from files and from live pipes."""

import io
import math
from dataclasses import replace
from fractions import Fraction

import pytest
from gop_placements import chain_of, pyramids
from hypothesis import given, settings
from hypothesis import strategies as st

from neuralcodec.container import (
    ContainerReader,
    ContainerWriter,
    FrameRecord,
    GopRecord,
    GopStats,
    StreamHeader,
    writer,
)
from neuralcodec.container.sizes import GopSize
from neuralcodec.display_matrix import DisplayMatrix
from neuralcodec.errors import DamagedFile, OutputError
from neuralcodec.references import chain
from neuralcodec.video import ColorTags, FieldOrder, VideoFormat

HEADER = StreamHeader(VideoFormat(64, 48, Fraction(1, 12800)), 8, "tiny", bytes(32))

u8 = st.integers(0, 255)
i32 = st.integers(-(2**31), 2**31 - 1)
ratios = st.builds(Fraction, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
formats = st.builds(
    VideoFormat,
    width=st.integers(16, 16384),
    height=st.integers(16, 16384),
    time_base=ratios,
    bit_depth=st.sampled_from([8, 10]),
    frame_rate=st.none() | ratios,
    sample_aspect_ratio=st.just(Fraction(0)) | ratios,
    display_matrix=st.none() | st.builds(DisplayMatrix, st.tuples(*[i32] * 9)),
    field_order=st.sampled_from(FieldOrder),
    color=st.builds(ColorTags, u8, u8, u8, st.booleans(), st.integers(0, 6)),
)
model_names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60).filter(
    lambda name: name.isprintable() and not set(name) & set("/\\") and name[0] != "."
)
headers = st.builds(
    StreamHeader,
    formats,
    st.integers(9, 65536),
    model_names,
    st.binary(min_size=32, max_size=32),
)
coded = st.tuples(
    st.integers(-(2**61) + 1, 2**61 - 1),
    st.integers(-9, 90),
    st.binary(max_size=300),
)
decibels = st.integers(0, 65534).map(lambda steps: steps / 500) | st.just(math.inf)
frames_with_psnr = st.tuples(coded, st.tuples(decibels, decibels, decibels))
gop_contents = st.tuples(
    st.integers(0, 2**32 - 1),
    st.lists(frames_with_psnr, min_size=1, max_size=9),
    st.integers(1, 16),
    st.booleans(),
)


def number_gops(contents):
    gops, first = [], 0
    for symbols_crc, rows, size, depth_first in contents:
        places = pyramids(len(rows), size, depth_first or size > 8)
        frames = tuple(
            FrameRecord(*frame, place) for (frame, _), place in zip(rows, places, strict=True)
        )
        gop = GopRecord(first, symbols_crc, frames)
        gops.append((gop, GopStats(first, tuple(psnr for _, psnr in rows))))
        first += len(rows)
    return gops


def write(header, gops, finish=True):
    file = io.BytesIO()
    container = ContainerWriter(file, header)
    for gop, stats in gops:
        container.write_gop(gop, stats)
    if finish:
        container.finish()
    assert container.bytes_written == len(file.getvalue())
    return file.getvalue()


def one_gop(first_frame=0, frame_count=2, payload=b"payload"):
    rows = tuple(
        FrameRecord(512 * (first_frame + i), 30, payload, chain(i)) for i in range(frame_count)
    )
    psnr = ((40.0, 41.0, 42.0),) * frame_count
    return GopRecord(first_frame, 7, rows), GopStats(first_frame, psnr)


THREE_GOPS = [one_gop(0, 3), one_gop(3, 1), one_gop(4, 2, b"")]


class LivePipe:
    """A pipe that nobody fills while it is read: reading more than is there would wait forever."""

    def __init__(self):
        self.waiting = b""

    def write(self, data):
        self.waiting += data

    def flush(self):
        pass

    def read(self, count):
        assert count <= len(self.waiting), "the reader waits for bytes that it does not need yet"
        data, self.waiting = self.waiting[:count], self.waiting[count:]
        return data


class ForwardOnly:
    """A finished pipe that hands out a few bytes at a time; it has no seek and no tell."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, count):
        return self._file.read(min(count, 7))


@settings(max_examples=60, deadline=None)
@given(headers, st.lists(gop_contents, max_size=4))
def test_any_records_come_back_as_they_were_written(header, contents):
    gops = number_gops(contents)
    data = write(header, gops)
    forward = ContainerReader(ForwardOnly(data), "pipe")
    assert forward.header == header
    assert list(forward.gops()) == gops
    seeking = ContainerReader(io.BytesIO(data), "file")
    assert [seeking.read_gop(entry) for entry in seeking.index()] == gops


def test_a_live_pipe_gives_each_gop_as_soon_as_its_statistics_are_written():
    pipe = LivePipe()
    container = ContainerWriter(pipe, HEADER)
    gops = ContainerReader(pipe, "pipe").gops()
    for gop, stats in THREE_GOPS:
        container.write_gop(gop, stats)
        assert next(gops) == (gop, stats)


def test_every_gop_is_flushed_when_it_is_written():
    raw = io.BytesIO()
    container = ContainerWriter(io.BufferedWriter(raw, 1 << 16), HEADER)
    assert len(raw.getvalue()) == container.bytes_written
    for gop, stats in THREE_GOPS:
        container.write_gop(gop, stats)
        assert len(raw.getvalue()) == container.bytes_written
    container.finish()
    assert len(raw.getvalue()) == container.bytes_written


def test_reading_the_index_leaves_forward_reading_where_it_is():
    reader = ContainerReader(io.BytesIO(write(HEADER, THREE_GOPS)), "file")
    gops = reader.gops()
    assert next(gops) == THREE_GOPS[0]
    assert [reader.read_gop(entry) for entry in reader.index()] == THREE_GOPS
    assert list(gops) == THREE_GOPS[1:]


def test_the_index_is_read_from_the_end_without_reading_the_gops():
    data = write(HEADER, [one_gop(2 * i, 2, bytes(50_000)) for i in range(20)])
    file = io.BytesIO(data)
    counted = []
    read = file.read
    file.read = lambda count: counted.append(count) or read(count)
    index = ContainerReader(file, "file").index()
    assert [entry.first_frame for entry in index] == list(range(0, 40, 2))
    assert [entry.first_pts for entry in index] == [512 * frame for frame in range(0, 40, 2)]
    assert {entry.frame_count for entry in index} == {2}
    assert sum(counted) < 2000


@pytest.mark.parametrize(
    ("places", "limit"),
    [(chain_of(97), 3 * 97 + 12), (pyramids(97, 8), 3 * 97 + 75), (pyramids(97, 16, True), 391)],
)
def test_frames_at_a_constant_rate_take_three_bytes_each_beside_their_payload(places, limit):
    header = StreamHeader(HEADER.format, 100, "tiny", bytes(32))
    frames = tuple(FrameRecord(512 * p.shown, 30 - 4 * p.level, bytes(300), p) for p in places)
    gop, stats = GopRecord(0, 7, frames), GopStats(0, ((40.0, 41.0, 42.0),) * len(places))
    empty = len(write(header, [], finish=False))
    size = len(write(header, [(gop, stats)], finish=False)) - empty
    statistics = 12 + 8 + 6 * len(places)
    header_copy = empty - 12 + 4
    rows = size - statistics - header_copy - 12 - 24 - 300 * len(places)
    assert rows <= limit
    counted = GopSize()
    bits = sum(counted.add(frame) for frame in frames)
    assert bits == size - header_copy


@pytest.mark.parametrize(
    "header",
    [
        StreamHeader(VideoFormat(15, 48, Fraction(1, 25)), 8, "tiny", bytes(32)),
        StreamHeader(VideoFormat(64, 16385, Fraction(1, 25)), 8, "tiny", bytes(32)),
        StreamHeader(VideoFormat(64, 48, Fraction(0)), 8, "tiny", bytes(32)),
        StreamHeader(VideoFormat(64, 48, Fraction(1, 2**32)), 8, "tiny", bytes(32)),
        StreamHeader(VideoFormat(64, 48, Fraction(1, 25), 9), 8, "tiny", bytes(32)),
        StreamHeader(HEADER.format, 0, "tiny", bytes(32)),
        StreamHeader(HEADER.format, 65537, "tiny", bytes(32)),
        StreamHeader(HEADER.format, 8, "", bytes(32)),
        StreamHeader(HEADER.format, 8, "x" * 256, bytes(32)),
        StreamHeader(HEADER.format, 8, "../tiny", bytes(32)),
        StreamHeader(HEADER.format, 8, "\x1b[2J", bytes(32)),
        StreamHeader(HEADER.format, 8, "tiny", bytes(31)),
    ],
)
def test_a_stream_that_no_reader_would_accept_is_not_written(header):
    file = io.BytesIO()
    with pytest.raises(OutputError, match="cannot hold this video"):
        ContainerWriter(file, header)
    assert file.getvalue() == b""


@pytest.mark.parametrize(
    ("gop", "stats"),
    [
        one_gop(first_frame=1),
        one_gop(frame_count=0),
        one_gop(frame_count=9),
        (one_gop()[0], GopStats(0, ((40.0, 40.0, 40.0),))),
        (one_gop()[0], GopStats(0, ((40.0, 40.0, math.nan),) * 2)),
        (one_gop()[0], GopStats(1, one_gop()[1].psnr)),
        (GopRecord(0, 7, (FrameRecord(0, 91, b"", chain(0)),)), GopStats(0, ((40.0, 40.0, 40.0),))),
        (
            GopRecord(0, 7, (FrameRecord(2**61, 1, b"", chain(0)),)),
            GopStats(0, ((40.0, 40.0, 40.0),)),
        ),
        (
            GopRecord(0, 2**32, (FrameRecord(0, 1, b"", chain(0)),)),
            GopStats(0, ((40.0, 40.0, 40.0),)),
        ),
    ],
)
def test_wrong_records_are_refused_and_leave_the_file_whole(gop, stats):
    file = io.BytesIO()
    container = ContainerWriter(file, HEADER)
    with pytest.raises(ValueError):
        container.write_gop(gop, stats)
    container.write_gop(*one_gop())
    container.finish()
    assert list(ContainerReader(io.BytesIO(file.getvalue()), "file").gops()) == [one_gop()]


def test_a_gop_larger_than_a_chunk_may_be_is_refused_with_advice(monkeypatch):
    monkeypatch.setattr(writer.layout, "MAX_GOP_PAYLOAD", 1000)
    container = ContainerWriter(io.BytesIO(), HEADER)
    with pytest.raises(OutputError, match="shorter GOPs"):
        container.write_gop(*one_gop(payload=bytes(500)))


def test_more_gops_than_a_file_may_hold_are_refused_with_advice(monkeypatch):
    monkeypatch.setattr(writer.layout, "MAX_GOPS", 1)
    container = ContainerWriter(io.BytesIO(), HEADER)
    container.write_gop(*one_gop(0, 2))
    with pytest.raises(OutputError, match="longer GOPs"):
        container.write_gop(*one_gop(2, 2))


def test_psnr_comes_back_within_a_thousandth_of_a_decibel():
    gop, _ = one_gop(0, 2)
    stats = GopStats(0, ((33.3333, 0.0, 131.0), (-1.0, 500.0, math.inf)))
    ((_, read),) = ContainerReader(io.BytesIO(write(HEADER, [(gop, stats)])), "file").gops()
    assert read.psnr[0] == pytest.approx(stats.psnr[0], abs=0.001)
    assert read.psnr[1] == (0.0, 65534 / 500, math.inf)


def test_a_file_without_frames_is_whole():
    reader = ContainerReader(io.BytesIO(write(HEADER, [])), "file")
    assert list(reader.gops()) == []
    assert reader.index() == []


def test_read_gop_gives_no_other_gop_than_the_one_asked_for():
    reader = ContainerReader(io.BytesIO(write(HEADER, THREE_GOPS)), "file")
    entries = reader.index()
    with pytest.raises(DamagedFile, match="another GOP"):
        reader.read_gop(replace(entries[0], offset=entries[1].offset))
    with pytest.raises(DamagedFile, match="no GOP"):
        reader.read_gop(replace(entries[0], offset=len(write(HEADER, THREE_GOPS))))


def test_read_gop_says_where_a_gop_is_damaged():
    data = bytearray(write(HEADER, THREE_GOPS))
    entries = ContainerReader(io.BytesIO(data), "film.nlc").index()
    data[entries[1].offset + 40] ^= 1
    reader = ContainerReader(io.BytesIO(data), "film.nlc")
    assert reader.index() == entries
    with pytest.raises(DamagedFile, match=rf"film\.nlc.*byte {entries[1].offset} .*--keep-going"):
        reader.read_gop(entries[1])
    assert reader.read_gop(entries[2]) == THREE_GOPS[2]
