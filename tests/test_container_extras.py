"""Other streams, their packets, tags, chapters and HDR metadata come back as they were written."""

import io
from dataclasses import replace
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
from neuralcodec.errors import OutputError
from neuralcodec.origin import Origin, RawPictures
from neuralcodec.references import chain
from neuralcodec.streams import (
    ATTACHMENT,
    AUDIO,
    KINDS,
    SUBTITLE,
    Chapter,
    FileTags,
    OtherStream,
    StreamPacket,
)
from neuralcodec.video import ContentLight, MasteringDisplay, VideoFormat

HEADER = StreamHeader(VideoFormat(64, 48, Fraction(1, 25)), 8, "tiny", bytes(32))
AUDIO_STREAM = OtherStream(0, AUDIO, "aac", Fraction(1, 48000))
SUBTITLES = OtherStream(1, SUBTITLE, "ass", Fraction(1, 1000))
FONT = OtherStream(2, ATTACHMENT, "ttf", Fraction(1, 90000), data=b"a font")
EXTRAS = Extras(streams=(AUDIO_STREAM, SUBTITLES, FONT))

u8, u16, u32 = (st.integers(0, 2**bits - 1) for bits in (8, 16, 32))
i64 = st.integers(-(2**63), 2**63 - 1)
texts = st.text(st.characters(codec="utf-8"), max_size=40)
names = st.text(st.characters(codec="utf-8"), max_size=20).filter(str.isprintable)
metadata = st.lists(st.tuples(texts, texts), max_size=4).map(tuple)
time_bases = st.builds(Fraction, st.integers(1, 2**32 - 1), st.integers(1, 2**32 - 1))
points = st.tuples(u16, u16)
formats = st.builds(
    VideoFormat,
    width=st.just(64),
    height=st.just(48),
    time_base=st.just(Fraction(1, 25)),
    mastering_display=st.none()
    | st.builds(
        MasteringDisplay,
        st.none() | st.tuples(points, points, points),
        st.none() | points,
        st.none() | st.tuples(u32, u32),
    ),
    content_light=st.none() | st.builds(ContentLight, u16, u16),
)
file_tags = st.builds(
    FileTags,
    metadata,
    metadata,
    u32,
    st.lists(st.builds(Chapter, i64, i64, time_bases, metadata), max_size=3).map(tuple),
)


rates = st.builds(Fraction, st.integers(1, 2**31 - 1), st.integers(1, 2**31 - 1))
origins = st.builds(
    Origin,
    st.none() | st.fractions(0, 2**31, max_denominator=2**32 - 1),
    st.none() | rates,
    st.booleans(),
    st.booleans(),
    st.none() | u32,
    st.none() | rates,
    st.none() | st.integers(0, 2**31 - 1),
    st.none() | st.builds(RawPictures, names, st.integers(16, 65536), st.integers(16, 65536)),
    st.booleans(),
)


@st.composite
def other_streams(draw):
    streams = []
    for number in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(KINDS))
        data = draw(st.binary(max_size=50)) if kind == ATTACHMENT else b""
        fields = draw(st.tuples(names, time_bases, u32, metadata, names, st.binary(max_size=50)))
        streams.append(OtherStream(number, kind, *fields, data))
    return tuple(streams)


packet_times = st.integers(-(2**61) + 1, 2**61 - 1) | st.integers(-5, 5)


@st.composite
def contents(draw):
    """(extras, contents in file order) of a file of few GOPs."""
    streams = draw(other_streams())
    with_packets = [stream.number for stream in streams if stream.kind != ATTACHMENT]
    found = []
    for first in range(draw(st.integers(0, 3)) + 1):
        if with_packets:
            packet = st.builds(
                StreamPacket,
                st.sampled_from(with_packets),
                st.none() | packet_times,
                st.none() | packet_times,
                st.integers(0, 3) | st.integers(0, 2**61 - 1),
                st.booleans(),
                st.binary(max_size=30),
                st.lists(st.tuples(texts, st.binary(max_size=9)), max_size=3).map(tuple),
            )
            packets = draw(st.lists(packet, max_size=6))
            if packets:
                found.append(PacketsContent(tuple(packets)))
        found.append(gop_content(first))
    if isinstance(found[0], PacketsContent) and draw(st.booleans()):
        found.append(found[0])  # packets after the last GOP
    return Extras(draw(file_tags), streams, draw(origins)), found


def gop_content(first_frame=0):
    gop = GopRecord(first_frame, 7, (FrameRecord(first_frame, 30, b"payload", chain(0)),))
    return GopContent(gop, GopStats(first_frame, ((40.0, 41.0, 42.0),)))


def write(header, extras, found):
    file = io.BytesIO()
    container = ContainerWriter(file, header, extras)
    for content in found:
        if isinstance(content, PacketsContent):
            container.write_packets(content.packets)
        else:
            container.write_gop(content.gop, content.stats)
    container.finish()
    assert container.bytes_written == len(file.getvalue())
    return file.getvalue()


def packet(stream=0, pts=0, data=b"x", **changes):
    return replace(StreamPacket(stream, pts, pts, 1024, True, data), **changes)


class ForwardOnly:
    """A finished pipe that hands out a few bytes at a time; it has no seek and no tell."""

    def __init__(self, data):
        self._file = io.BytesIO(data)

    def read(self, count):
        return self._file.read(min(count, 7))


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


@settings(max_examples=150, deadline=None)
@given(formats, contents())
def test_everything_beside_the_pictures_comes_back_as_it_was_written(video_format, written):
    header = replace(HEADER, format=video_format)
    extras, found = written
    data = write(header, extras, found)
    for file in (ForwardOnly(data), io.BytesIO(data)):
        reader = ContainerReader(file, "film.nlc")
        assert reader.header == header
        assert reader.extras == extras
        assert list(reader.contents()) == found
    gops = [(c.gop, c.stats) for c in found if isinstance(c, GopContent)]
    assert list(ContainerReader(io.BytesIO(data), "film.nlc").gops()) == gops


def test_a_file_without_extras_takes_no_bytes_for_them():
    plain = io.BytesIO()
    container = ContainerWriter(plain, HEADER)
    container.write_packets([])
    assert container.packet_bytes == 0
    container.finish()
    assert plain.getvalue() == write(HEADER, Extras(), [])
    reader = ContainerReader(io.BytesIO(plain.getvalue()), "film.nlc")
    assert reader.extras == Extras()
    assert reader.header == HEADER


def test_a_live_pipe_tells_the_streams_as_soon_as_anything_follows_them():
    pipe = LivePipe()
    container = ContainerWriter(pipe, HEADER, EXTRAS)
    reader = ContainerReader(pipe, "pipe")
    packets_at = container.bytes_written
    container.write_packets([packet()])
    type_end = len(pipe.waiting) - (container.bytes_written - packets_at) + 4
    pipe.waiting, rest = pipe.waiting[:type_end], pipe.waiting[type_end:]
    assert reader.extras == EXTRAS
    assert reader.header == HEADER
    pipe.write(rest)
    found = reader.contents()
    assert next(found) == PacketsContent((packet(),))
    container.write_gop(*gop_of(gop_content()))
    assert next(found) == gop_content()


def gop_of(content):
    return content.gop, content.stats


def test_the_bytes_that_are_not_the_videos_are_counted():
    file = io.BytesIO()
    container = ContainerWriter(file, HEADER, Extras(FileTags((("title", "Film"),)), (FONT_FIRST,)))
    bare = len(write(HEADER, Extras(), []))
    assert container.packet_bytes == container.bytes_written - (bare - 12 - 28)
    container = ContainerWriter(io.BytesIO(), HEADER, EXTRAS)
    before = container.bytes_written, container.packet_bytes
    container.write_packets([packet(data=bytes(1000))])
    assert container.bytes_written - before[0] == container.packet_bytes - before[1] > 1000
    counted = container.packet_bytes
    container.write_gop(*gop_of(gop_content()))
    assert container.packet_bytes == counted


FONT_FIRST = replace(FONT, number=0)


@pytest.mark.parametrize("with_dts", [True, False])
def test_packets_of_a_gapless_stream_take_three_bytes_each(with_dts):
    packets = [packet(pts=1024 * i, data=bytes(300)) for i in range(1000)]
    if not with_dts:
        packets = [replace(p, dts=None) for p in packets]
    container = ContainerWriter(io.BytesIO(), HEADER, EXTRAS)
    before = container.packet_bytes
    container.write_packets(packets[:1])
    first = container.packet_bytes - before
    container.write_packets(packets)
    # 2 bytes of the length of 300, 1 of flags; and one more of the number of packets
    assert container.packet_bytes - before - first == first + 1 + 999 * 303
    assert first <= 12 + 1 + 3 + 2 + 300


def test_more_packets_than_fit_one_chunk_are_spread_over_several(monkeypatch):
    monkeypatch.setitem(layout._MAX_PAYLOADS, b"pckt", 2000)
    side_data = (("skip_samples", bytes(10)),) * 2
    packets = tuple(packet(pts=i, data=bytes(i), side_data=side_data) for i in range(0, 1800, 90))
    data = write(HEADER, EXTRAS, [PacketsContent(packets), gop_content()])
    found = list(ContainerReader(io.BytesIO(data), "film.nlc").contents())
    assert found.pop() == gop_content()
    assert len(found) > 5
    assert tuple(p for content in found for p in content.packets) == packets


def test_a_chunk_has_no_more_packets_than_it_may(monkeypatch):
    monkeypatch.setattr(layout, "MAX_PACKETS", 10)
    packets = tuple(packet(pts=i) for i in range(25))
    data = write(HEADER, EXTRAS, [PacketsContent(packets)])
    found = list(ContainerReader(io.BytesIO(data), "film.nlc").contents())
    assert [len(content.packets) for content in found] == [10, 10, 5]


def test_a_packet_of_almost_16_mib_is_held_and_a_larger_one_refused():
    container = ContainerWriter(io.BytesIO(), HEADER, EXTRAS)
    large = packet(data=bytes((16 << 20) - 100))
    container.write_packets([packet(), large, packet()])
    size = container.bytes_written
    for count, told in (((16 << 20) + 1, "one of stream 0 takes"), (16 << 20, "a pckt chunk of")):
        with pytest.raises(OutputError, match=rf"cannot hold a packet: {told} .*16777216"):
            container.write_packets([packet(), packet(data=bytes(count))])
    assert container.bytes_written == size


def test_an_attachment_may_be_larger_than_other_chunks():
    extras = Extras(streams=(replace(FONT_FIRST, data=bytes(20 << 20)),))
    assert ContainerReader(io.BytesIO(write(HEADER, extras, [])), "film.nlc").extras == extras


def test_attachments_beyond_the_limit_are_refused(monkeypatch):
    monkeypatch.setitem(layout._MAX_PAYLOADS, b"strm", 1000)
    monkeypatch.setattr(layout, "MAX_STREAMS_PAYLOAD", 3000)
    fonts = tuple(replace(FONT, number=n, data=bytes(900)) for n in range(4))
    assert write(HEADER, Extras(streams=fonts[:3]), [])
    for streams in (fonts, (replace(FONT_FIRST, data=bytes(1000)),)):
        file = io.BytesIO()
        with pytest.raises(OutputError, match=r"stream \d \(attachment\)"):
            ContainerWriter(file, HEADER, Extras(streams=streams))
        assert file.getvalue() == b""


@pytest.mark.parametrize("numbers", [(1,), (0, 0), (0, 2)])
def test_streams_that_are_not_numbered_from_0_are_refused(numbers):
    streams = tuple(replace(AUDIO_STREAM, number=number) for number in numbers)
    with pytest.raises(ValueError, match="numbered from 0"):
        ContainerWriter(io.BytesIO(), HEADER, Extras(streams=streams))


@pytest.mark.parametrize(
    "stream",
    [
        replace(AUDIO_STREAM, kind="video"),
        replace(AUDIO_STREAM, time_base=Fraction(0)),
        replace(AUDIO_STREAM, time_base=Fraction(1, 2**32)),
        replace(AUDIO_STREAM, disposition=2**32),
        replace(AUDIO_STREAM, disposition=-1),
        replace(AUDIO_STREAM, codec="x" * 256),
        replace(AUDIO_STREAM, codec="\x1b[2J"),
        replace(AUDIO_STREAM, parameters_format="mp4\n"),
        replace(AUDIO_STREAM, metadata=(("title", "\udc80"),)),
        replace(AUDIO_STREAM, metadata=(("a", "b"),) * 4097),
        replace(AUDIO_STREAM, data=b"an attachment?"),
    ],
)
def test_a_stream_that_no_reader_would_accept_is_not_written(stream):
    file = io.BytesIO()
    with pytest.raises(OutputError, match="cannot hold what goes with this video: stream 0"):
        ContainerWriter(file, HEADER, Extras(streams=(stream,)))
    assert file.getvalue() == b""


CHAPTER = Chapter(0, 1, Fraction(1, 1000))


@pytest.mark.parametrize(
    "tags",
    [
        FileTags((("a", "b" * (1 << 20)),)),
        FileTags((("a", "b"),) * 4097),
        FileTags((), (("a", "\ud800"),)),
        FileTags((), (), 2**32),
        FileTags((), (), 0, (CHAPTER,) * 16385),
        FileTags((), (), 0, (replace(CHAPTER, start=2**63),)),
        FileTags((), (), 0, (replace(CHAPTER, end=-(2**63) - 1),)),
        FileTags((), (), 0, (replace(CHAPTER, time_base=Fraction(0)),)),
    ],
)
def test_tags_that_no_reader_would_accept_are_not_written(tags):
    with pytest.raises(OutputError, match="cannot hold what goes with this video"):
        ContainerWriter(io.BytesIO(), HEADER, Extras(tags))


@pytest.mark.parametrize(
    "changes",
    [
        {"mastering_display": MasteringDisplay(((65536, 0), (0, 0), (0, 0)), None, None)},
        {"mastering_display": MasteringDisplay(None, (-1, 0), None)},
        {"mastering_display": MasteringDisplay(None, None, (0, 2**32))},
        {"content_light": ContentLight(65536, 0)},
        {"content_light": ContentLight(0, -1)},
    ],
)
def test_hdr_metadata_out_of_range_are_not_written(changes):
    header = replace(HEADER, format=replace(HEADER.format, **changes))
    with pytest.raises(OutputError, match="cannot hold this video"):
        ContainerWriter(io.BytesIO(), header)


@pytest.mark.parametrize(
    "wrong",
    [
        packet(pts=2**61),
        packet(dts=-(2**61)),
        packet(duration=-1),
        packet(duration=2**61),
        packet(side_data=(("a", b""),) * 17),
        packet(side_data=(("a" * 256, b""),)),
    ],
)
def test_a_packet_that_no_reader_would_accept_is_not_written(wrong):
    container = ContainerWriter(io.BytesIO(), HEADER, EXTRAS)
    size = container.bytes_written
    with pytest.raises(OutputError, match="cannot hold a packet"):
        container.write_packets([packet(), wrong])
    assert container.bytes_written == size


@pytest.mark.parametrize("stream", [2, 3, -1])
def test_packets_of_no_stream_or_an_attachment_are_a_mistake_of_the_caller(stream):
    container = ContainerWriter(io.BytesIO(), HEADER, EXTRAS)
    with pytest.raises(ValueError, match=f"no stream {stream}"):
        container.write_packets([packet(), packet(stream)])
