"""Chains of FFmpeg's filters for pictures that are all of one shape."""

from collections.abc import Sequence
from fractions import Fraction

import av
from av.error import BlockingIOError, EOFError
from av.filter import Graph

Filter = tuple[str, dict[str, str]]  # name and options


def filter_graph(
    picture: av.VideoFrame,
    filters: Sequence[Filter],
    time_base: Fraction = Fraction(1),
    frame_rate: Fraction | None = None,
) -> Graph:
    """A graph for pictures like this one."""
    graph = Graph()
    graph.threads = 1  # the same result either way, and the machine has other work to do
    source = {
        "video_size": f"{picture.width}x{picture.height}",
        "pix_fmt": picture.format.name,
        "time_base": str(time_base),
        "colorspace": str(int(picture.colorspace)),
        "range": str(int(picture.color_range)),
    }
    if frame_rate is not None:
        source["frame_rate"] = str(frame_rate)
    chain: list[Filter] = [("buffer", source), *filters, ("buffersink", {})]
    graph.link_nodes(*(graph.add(name, **options) for name, options in chain)).configure()
    return graph


def filter_one(picture: av.VideoFrame, filters: Sequence[Filter]) -> av.VideoFrame | None:
    """What the filters make of a single picture; None if they hold it back."""
    graph = filter_graph(picture, filters)
    graph.push(picture)
    graph.push(None)
    try:
        return graph.vpull()
    except (BlockingIOError, EOFError):
        return None
