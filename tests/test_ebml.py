"""Numbers and elements of EBML, as RFC 8794 has them."""

import pytest

from neuralcodec.media.ebml import ElementHead, element_head, number


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\x80", (0, 1)),
        (b"\x81", (1, 1)),
        (b"\xfe", (126, 1)),
        (b"\x40\x02", (2, 2)),
        (b"\x5f\xffrest", (0x1FFF, 2)),
        (b"\x01" + bytes(6) + b"\x05", (5, 8)),
        (b"\x40", None),  # not all there
        (b"\x01" + bytes(6), None),
        (b"\0" + bytes(9), None),  # longer than there are
        (b"", None),
    ],
)
def test_a_number_is_read_if_it_is_all_there(data: bytes, found: tuple[int, int] | None):
    assert number(data) == found
    assert number(b"before" + data, 6) == found


@pytest.mark.parametrize(
    ("data", "head"),
    [
        (b"\x1a\x45\xdf\xa3\x84four", ElementHead(b"\x1a\x45\xdf\xa3", 5, 4)),
        (b"\xa3\x40\x04four", ElementHead(b"\xa3", 3, 4)),
        (b"\x18\x53\x80\x67\x01" + b"\xff" * 7, ElementHead(b"\x18\x53\x80\x67", 12, None)),
        (b"\xe7\xff", ElementHead(b"\xe7", 2, None)),
        (b"\x1a\x45\xdf", None),
        (b"\xa3", None),
        (b"\xa3\x40", None),
        (b"\0\x81", None),
    ],
)
def test_an_element_begins_with_its_id_and_size(data: bytes, head: ElementHead | None):
    assert element_head(data) == head
