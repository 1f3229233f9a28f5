"""Damaged and hostile .nlc files: every undamaged GOP is given, and nothing else happens."""

import contextlib
import io
import itertools
import struct
import tracemalloc
import zlib
from fractions import Fraction

import pytest
from gop_placements import pyramids
from hypothesis import example, given, settings
from hypothesis import strategies as st

from neuralcodec.container import (
    ContainerReader,
    ContainerWriter,
    FrameRecord,
    GopRecord,
    GopStats,
    StreamHeader,
    chunks,
    layout,
)
from neuralcodec.errors import DamagedFile
from neuralcodec.video import VideoFormat

HEADER = StreamHeader(VideoFormat(64, 48, Fraction(1, 25)), 4, "tiny", bytes(32))


def payload(n, size):
    return bytes((n + i) % 256 for i in range(size))


def make_file(frames_per_gop, payload_size):
    """(bytes of the file, GOPs with statistics)."""
    file = io.BytesIO()
    container = ContainerWriter(file, HEADER)
    gops, first = [], 0
    for count in frames_per_gop:
        frames = tuple(
            FrameRecord(first + place.shown, 20 + n % 5, payload(first + n, payload_size), place)
            for n, place in enumerate(pyramids(count, 2))
        )
        gop = GopRecord(first, 1000 + first, frames)
        gops.append((gop, GopStats(first, ((40.0, 41.0, 42.0),) * count)))
        container.write_gop(*gops[-1])
        first += count
    container.finish()
    return file.getvalue(), gops


FILE, GOPS = make_file([2, 1, 3, 1], 12)
# As in the specification: signature and version, then type, length, payload, CRC-32.
HEAD_END = 12 + 12 + struct.unpack_from("<I", FILE, 16)[0]


def chunk(chunk_type, payload):
    body = chunk_type + struct.pack("<I", len(payload)) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def varint(value):
    groups = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def chunk_ranges(data, chunk_type):
    ranges, at = [], 12
    while at < len(data):
        end = at + 12 + struct.unpack_from("<I", data, at + 4)[0]
        if data[at : at + 4] == chunk_type:
            ranges.append((at, end))
        at = end
    return ranges


GOP_RANGES = chunk_ranges(FILE, b"GOPS")
COPY_RANGES = chunk_ranges(FILE, b"head")
STAT_RANGES = chunk_ranges(FILE, b"stat")


def read(data, keep_going=False):
    """(GOPs with statistics, the DamagedFile that ended it or None, damage collected)."""
    given_gops, error, damage = [], None, []
    try:
        reader = ContainerReader(io.BytesIO(data), "film.nlc")
        damage = reader.damage
        for gop in reader.gops(keep_going):
            given_gops.append(gop)
    except DamagedFile as damaged:
        error = damaged
    return given_gops, error, damage


def check_edit(start, end, replacement):
    """Whatever replaces bytes start..end of FILE, all GOPs outside come back."""
    data = FILE[:start] + replacement + FILE[end:]
    strict, error, _ = read(data)
    assert [gop for gop, _ in strict] == [gop for gop, _ in GOPS[: len(strict)]]
    assert error is not None or len(strict) == len(GOPS)
    tolerant, error, damage = read(data, keep_going=True)
    if start < HEAD_END and not any(outside(place, start, end) for place in COPY_RANGES):
        return
    assert error is None
    assert damage or len(tolerant) == len(GOPS)
    written = dict(GOPS)
    for gop, stats in tolerant:
        assert stats in (written[gop], None)
    numbers = [gop.first_frame for gop, _ in tolerant]
    assert numbers == sorted(set(numbers))
    found = dict(tolerant)
    for (gop, stats), gop_range, stat_range in zip(GOPS, GOP_RANGES, STAT_RANGES, strict=True):
        if outside(gop_range, start, end):
            assert gop in found
            if outside((gop_range[0], stat_range[1]), start, end):
                assert found[gop] == stats
    index = ContainerReader(io.BytesIO(data), "film.nlc").index()
    assert len(index) >= len(tolerant)


def outside(chunk_range, start, end):
    return chunk_range[1] <= start or chunk_range[0] >= end


def test_every_flipped_bit_is_found_and_costs_only_the_gop_it_is_in():
    for at, bit in itertools.product(range(HEAD_END, len(FILE)), range(8)):
        flipped = bytes([FILE[at] ^ 1 << bit])
        check_edit(at, at + 1, flipped)
        assert read(FILE[:at] + flipped + FILE[at + 1 :])[1] is not None, (at, bit)


def test_a_cut_file_gives_every_whole_gop():
    for size in range(len(FILE)):
        whole = [gop for gop, (_, end) in zip(GOPS, GOP_RANGES, strict=True) if end <= size]
        for keep_going in (False, True):
            gops, error, damage = read(FILE[:size], keep_going)
            assert [gop for gop, _ in gops] == [gop for gop, _ in whole]
            if keep_going and size >= HEAD_END:
                assert error is None
                assert len(damage) == 1
                assert damage[0].end == size
            else:
                assert isinstance(error, DamagedFile)
        if size >= HEAD_END:
            reader = ContainerReader(io.BytesIO(FILE[:size]), "film.nlc")
            assert [reader.read_gop(entry)[0] for entry in reader.index()] == [g for g, _ in whole]


positions = st.integers(0, len(FILE))


@settings(max_examples=150, deadline=None)
@given(positions, st.integers(1, 200))
@example(GOP_RANGES[1][0], GOP_RANGES[1][1] - GOP_RANGES[1][0])
@example(GOP_RANGES[0][0] + 4, 4)
def test_a_run_of_zeros_costs_only_the_gops_it_touches(start, count):
    end = min(start + count, len(FILE))
    check_edit(start, end, bytes(end - start))


@settings(max_examples=150, deadline=None)
@given(positions, positions, st.binary(max_size=60))
@example(*GOP_RANGES[1], b"")
@example(*GOP_RANGES[3], b"")
@example(GOP_RANGES[2][0], GOP_RANGES[2][0], FILE[slice(*GOP_RANGES[1])])
@example(GOP_RANGES[1][0], GOP_RANGES[1][0], b"GOPS\xff\xff\xff\x3f")
def test_bytes_lost_or_put_in_cost_only_the_gops_they_touch(a, b, replacement):
    check_edit(min(a, b), max(a, b), replacement)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(HEAD_END, len(FILE) - 1), st.integers(1, 255)), max_size=12))
def test_many_damaged_bytes_leave_the_other_gops(flips):
    data = bytearray(FILE)
    for at, mask in flips:
        data[at] ^= mask
    gops, error, _ = read(data, keep_going=True)
    assert error is None
    for (gop, _), (start, end) in zip(GOPS, GOP_RANGES, strict=True):
        if data[start:end] == FILE[start:end]:
            assert gop in [given_gop for given_gop, _ in gops]


known_types = st.sampled_from(
    [b"HEAD", b"head", b"GOPS", b"stat", b"INDX", b"TAIL", b"JUNK"]
    + [b"tags", b"mdcv", b"clli", b"orig", b"strm"]
    + [b"pckt"] * 3
)
gop_beginnings = st.builds(
    struct.Struct("<QIqI").pack,
    st.integers(0, 9) | st.integers(0, 2**64 - 1),
    st.integers(0, 3) | st.integers(0, 2**32 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.just(0),
)
payloads = st.binary(max_size=80) | st.tuples(gop_beginnings, st.binary(max_size=30)).map(b"".join)
forged_chunks = st.lists(st.builds(chunk, known_types, payloads), max_size=5).map(b"".join)
heads = st.lists(st.binary(min_size=1, max_size=90), max_size=1).map(
    lambda head: FILE[:12] + chunk(b"HEAD", head[0]) if head else FILE[:HEAD_END]
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_random_bytes_are_no_nlc_file(data):
    for start in (b"", FILE[:8]):
        with pytest.raises(DamagedFile):
            list(ContainerReader(io.BytesIO(start + data), "film.nlc").gops())


@settings(max_examples=300, deadline=None)
@given(heads, forged_chunks, st.binary(max_size=20))
def test_forged_chunks_do_nothing_but_raise_damaged_file(head, forged, junk):
    for data in (head + forged + junk, head + junk + forged + FILE[HEAD_END:]):
        for keep_going in (False, True):
            read(data, keep_going)
        try:
            reader = ContainerReader(io.BytesIO(data), "film.nlc")
        except DamagedFile:
            continue
        for entry in reader.index():
            with contextlib.suppress(DamagedFile):
                reader.read_gop(entry)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 44), st.integers(0, 2**32 - 1))
def test_a_forged_header_is_refused_or_could_have_been_written(at, value):
    payload = bytearray(FILE[20 : HEAD_END - 4])
    struct.pack_into("<I", payload, at, value)
    data = FILE[:12] + chunk(b"HEAD", bytes(payload)) + FILE[HEAD_END:]
    try:
        header = ContainerReader(io.BytesIO(data), "film.nlc").header
    except DamagedFile:
        return
    ContainerWriter(io.BytesIO(), header)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_forged_index_is_not_followed(data):
    fields = [list(e) for e in struct.iter_unpack("<QQIq", stored_index(FILE))]
    entry, column = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 2))
    fields[entry][column] = data.draw(st.integers(0, 2**32 - 1) | st.integers(0, 5))
    forged = with_index(b"".join(struct.pack("<QQIq", *row) for row in fields))
    reader = ContainerReader(io.BytesIO(forged), "film.nlc")
    for index_entry in reader.index():
        try:
            assert reader.read_gop(index_entry) in GOPS
        except DamagedFile:
            assert column == 0


def stored_index(data):
    ((start, end),) = chunk_ranges(data, b"INDX")
    return data[start + 8 : end - 4]


def with_index(payload):
    ((start, _),) = chunk_ranges(FILE, b"INDX")
    ((tail, _),) = chunk_ranges(FILE, b"TAIL")
    return FILE[:start] + chunk(b"INDX", payload) + FILE[tail:]


@pytest.mark.parametrize(
    ("chunk_type", "length"),
    [(b"GOPS", 1 << 30), (b"GOPS", (1 << 32) - 1), (b"strm", 1 << 24), (b"stat", 393_224)],
)
def test_a_lying_length_on_a_short_file_allocates_nothing_big(tmp_path, chunk_type, length):
    frame = b"\0\0" + varint((1 << 30) - 24 - 2 - 5)
    beginning = struct.pack("<QIqI", 0, 1, 0, 0) + frame
    path = tmp_path / "film.nlc"
    path.write_bytes(FILE[:HEAD_END] + chunk_type + struct.pack("<I", length) + beginning)
    # A file of the operating system: unlike BytesIO, its read allocates all that is asked for.
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            with pytest.raises(DamagedFile) as raised:
                list(ContainerReader(file, "film.nlc").gops())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert ("ends inside it" in str(raised.value)) == (length <= 1 << 30)
    assert peak < 3 << 20  # the reader asks for 1 MiB at a time


def test_a_damaged_length_does_not_read_the_gops_after_it_into_memory():
    data, gops = make_file([1] * 24, 1 << 18)
    damaged = bytearray(data)
    start = chunk_ranges(data, b"GOPS")[1][0]
    struct.pack_into("<I", damaged, start + 4, 5 << 20)
    file = io.BytesIO(damaged)
    tracemalloc.start()
    try:
        reader = ContainerReader(file, "film.nlc")
        numbers = [gop.first_frame for gop, _ in reader.gops(keep_going=True)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert numbers == [0, *range(2, len(gops))]
    assert peak < 3 << 20


@pytest.mark.parametrize("end", [FILE[HEAD_END:], bytes(150_000)])
def test_forged_chunk_heads_are_not_examined_over_and_over(monkeypatch, end):
    examined = 0
    crc = chunks.ForwardBuffer.crc

    def counting_crc(self, count):
        nonlocal examined
        examined += count
        return crc(self, count)

    monkeypatch.setattr(chunks.ForwardBuffer, "crc", counting_crc)
    forged = (b"strm" + struct.pack("<I", 100_000)) * 50_000
    _, error, damage = read(FILE[:HEAD_END] + forged + end, keep_going=True)
    assert error is None
    assert damage
    assert examined < 8 * len(forged)


def test_too_many_damaged_places_end_even_keep_going(monkeypatch):
    monkeypatch.setattr(layout, "MAX_DAMAGES", 20)
    noise = (b"\0" + chunk(b"strm", b"")) * 30
    _, error, damage = read(FILE[:HEAD_END] + noise + FILE[HEAD_END:], keep_going=True)
    assert len(damage) == 20
    assert "too many places" in str(error)


def test_damage_is_named_by_file_gop_chunk_bytes_and_what_to_do():
    start, end = GOP_RANGES[1]
    data = FILE[: end - 6] + b"?" + FILE[end - 5 :]
    gops, error, _ = read(data)
    assert gops == GOPS[:1]
    assert str(error) == (
        f"film.nlc: GOP 1 is damaged (GOPS chunk, bytes {start} to {end - 1}; frame 2, "
        "0.080 s to 0.120 s): its CRC-32 does not match; "
        "use --keep-going to decode the undamaged GOPs"
    )
    assert (error.gop, error.offset) == (1, start)
    _, _, (damage,) = read(data, keep_going=True)
    assert (damage.chunk_type, damage.gop, damage.start, damage.end) == ("GOPS", 1, start, end)


def test_what_is_lost_is_told_by_frames_and_time():
    damaged = bytearray(FILE)
    for gop in (0, 2):
        damaged[GOP_RANGES[gop][1] - 6] ^= 1
    _, _, damage = read(bytes(damaged), keep_going=True)
    times = [
        (d.loss.first_frame, d.loss.end_frame, d.loss.start, d.loss.end) for d in damage if d.loss
    ]
    unit = Fraction(1, 25)
    # Without a frame rate, one frame alone does not tell how long those before it lasted.
    assert times == [(0, 2, None, 2 * unit), (3, 6, 3 * unit, 6 * unit)]
    _, _, (damage,) = read(FILE[: GOP_RANGES[3][0]], keep_going=True)
    assert damage.ends_file
    assert str(damage.loss) == "all frames from 6 on, from 0.240 s on"


def test_damaged_gops_are_numbered_in_file_order():
    data = bytearray(FILE)
    for gop in (1, 3):
        data[GOP_RANGES[gop][1] - 6] ^= 1
    _, _, damage = read(bytes(data), keep_going=True)
    assert [entry.gop for entry in damage] == [1, 3]


def test_damaged_statistics_do_not_cost_their_gop():
    start, _ = STAT_RANGES[1]
    data = FILE[: start + 9] + b"?" + FILE[start + 10 :]
    gops, error, damage = read(data, keep_going=True)
    assert [gop for gop, _ in gops] == [gop for gop, _ in GOPS]
    assert [stats is None for _, stats in gops] == [False, True, False, False]
    assert error is None
    assert [d.chunk_type for d in damage] == ["stat"]


@pytest.mark.parametrize(("first_frame", "frames"), [(0, 1), (2, 2), (3, 1)])
def test_statistics_of_another_gop_are_not_taken(first_frame, frames):
    forged = chunk(b"stat", struct.pack("<Q", first_frame) + b"\0" * 6 * frames)
    start, end = STAT_RANGES[1]
    gops, error, _ = read(FILE[:start] + forged + FILE[end:])
    assert error is None
    assert gops == [GOPS[0], (GOPS[1][0], None), *GOPS[2:]]


@pytest.mark.parametrize("gop", range(4))
def test_a_gop_without_statistics_is_given_without(gop):
    start, end = STAT_RANGES[gop]
    gops, error, _ = read(FILE[:start] + FILE[end:])
    assert error is None
    assert gops == [*GOPS[:gop], (GOPS[gop][0], None), *GOPS[gop + 1 :]]


def test_a_gop_that_was_taken_out_is_missed():
    start, end = GOP_RANGES[1][0], STAT_RANGES[1][1]
    gops, error, _ = read(FILE[:start] + FILE[end:])
    assert gops == GOPS[:1]
    assert "frames 2 to 2 are missing" in str(error)
    gops, _, damage = read(FILE[:start] + FILE[end:], keep_going=True)
    assert gops == [GOPS[0], *GOPS[2:]]
    assert len(damage) == 1


def test_the_last_gop_taken_out_is_missed():
    gops, error, _ = read(FILE[: GOP_RANGES[3][0]] + FILE[STAT_RANGES[3][1] :])
    assert gops == GOPS[:3]
    assert "should hold 7 frames, not 6" in str(error)


def test_a_gop_that_comes_twice_is_given_once():
    start, end = GOP_RANGES[1]
    data = FILE[:end] + FILE[start:end] + FILE[end:]
    gops, error, damage = read(data, keep_going=True)
    assert [gop for gop, _ in gops] == [gop for gop, _ in GOPS]
    assert error is None
    assert len(damage) == 1


@pytest.mark.parametrize("gop", range(1, 4))
def test_a_tail_that_got_among_the_gops_does_not_end_the_file(gop):
    ((start, end),) = chunk_ranges(FILE, b"TAIL")
    at = GOP_RANGES[gop][0]
    data = FILE[:at] + FILE[start:end] + FILE[at:]
    assert "should hold 7 frames" in str(read(data)[1])
    gops, error, damage = read(data, keep_going=True)
    assert (gops, error, len(damage)) == (GOPS, None, 1)


def test_files_joined_end_to_end_are_not_taken_for_the_first_alone():
    gops, error, _ = read(FILE + FILE)
    assert gops == GOPS
    assert "cannot be joined" in str(error)


def test_an_unknown_ancillary_chunk_is_skipped():
    at = GOP_RANGES[1][0]
    assert read(FILE[:at] + chunk(b"note", b"hello") + FILE[at:]) == (GOPS, None, [])


def test_an_unknown_critical_chunk_is_an_error():
    at = GOP_RANGES[1][0]
    data = FILE[:at] + chunk(b"NOTE", b"hello") + FILE[at:]
    gops, error, _ = read(data)
    assert gops == GOPS[:1]
    assert "made by a newer ncodec" in str(error)
    assert read(data, keep_going=True)[0] == GOPS


def test_a_newer_major_version_is_named():
    newer = struct.pack("<HH", 2, 0)
    data = FILE[:8] + newer + FILE[12:]
    for start, end in COPY_RANGES:
        copy = chunk(b"head", newer + data[start + 12 : end - 4])
        data = data[:start] + copy + data[end:]
    _, error, _ = read(data)
    assert "made by a newer ncodec (format 2.0; this one reads 1.x)" in str(error)


def test_a_newer_minor_version_is_read_even_with_a_longer_header():
    newer = struct.pack("<HH", 1, 3)
    payload = FILE[20 : HEAD_END - 4] + b"new elements"
    data = FILE[:8] + newer + chunk(b"HEAD", payload) + FILE[HEAD_END:]
    for start, end in COPY_RANGES:
        data = data.replace(FILE[start:end], chunk(b"head", newer + payload))
    assert read(data) == (GOPS, None, [])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\x1aE\xdf\xa3 a Matroska file", "not an .nlc file"),
        (FILE[:HEAD_END].replace(b"\r\n", b"\n"), "text-mode transfer"),
        (FILE[:10], "ends inside its version"),
        (FILE[:12], "HEAD"),
        (FILE[:12] + FILE[HEAD_END : COPY_RANGES[0][0]], "HEAD"),
    ],
)
def test_what_is_no_whole_nlc_file_is_refused_with_its_name(data, message):
    with pytest.raises(DamagedFile, match=rf"film\.nlc: .*{message}"):
        ContainerReader(io.BytesIO(data), "film.nlc")


def test_the_index_is_rebuilt_where_its_end_is_lost():
    stored = ContainerReader(io.BytesIO(FILE), "film.nlc").index()
    ((index_start, _),) = chunk_ranges(FILE, b"INDX")
    for data in (FILE[:-1], FILE[:index_start], FILE[: index_start + 9] + b"?" * 60):
        reader = ContainerReader(io.BytesIO(data), "film.nlc")
        assert reader.index() == stored
        assert reader.damage == []
        assert next(reader.gops()) == GOPS[0]
