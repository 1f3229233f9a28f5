"""Which rows of interlaced pictures are shown first: read off pictures, and put on them."""

import av
from av.filter import Graph

from neuralcodec.media.filter_graph import filter_graph, filter_one
from neuralcodec.video import FieldOrder

_SETFIELD_MODES = {FieldOrder.TOP_FIRST: "tff", FieldOrder.BOTTOM_FIRST: "bff"}


def field_order(picture: av.VideoFrame) -> FieldOrder:
    """As the picture is marked."""
    if not picture.interlaced_frame:
        return FieldOrder.PROGRESSIVE
    # PyAV does not tell, but a filter lets such pictures pass.
    passed = filter_one(picture, [("select", {"expr": "eq(interlace_type,TOPFIRST)"})])
    return FieldOrder.TOP_FIRST if passed else FieldOrder.BOTTOM_FIRST


class FieldMarker:
    """Marks pictures of one shape as interlaced, the rows of `order` first."""

    def __init__(self, order: FieldOrder):
        self._order = order
        self._graph: Graph | None = None

    def mark(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The same picture with the mark."""
        if self._graph is None:
            filters = [("setfield", {"mode": _SETFIELD_MODES[self._order]})]
            assert picture.time_base is not None
            self._graph = filter_graph(picture, filters, picture.time_base)
        self._graph.push(picture)
        return self._graph.vpull()
