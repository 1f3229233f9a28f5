"""VMAF by FFmpeg's libvmaf filter, where PyAV is built with it."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import av
from av.filter import Graph

ABSENT = "this PyAV is built without libvmaf"


def vmaf_is_there() -> bool:
    return "libvmaf" in av.filter.filters_available


def measure_vmaf(source: Path, shown: Path) -> float:
    """Mean VMAF (0..100, the filter's default model) of the frames of two Y4M files."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "vmaf.json")
        # The filter has the distorted video first. It writes its log when it is freed.
        run_two_input_filter("libvmaf", f"log_fmt=json:log_path={log}", shown, source)
        return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])


def run_two_input_filter(name: str, arguments: str, first: Path, second: Path) -> None:
    """Sends two videos of equal length through a filter that compares them."""
    with ExitStack() as stack:
        graph = Graph()
        containers = [stack.enter_context(av.open(str(path))) for path in (first, second)]
        inputs = [graph.add_buffer(template=c.streams.video[0]) for c in containers]
        compare = graph.add(name, arguments)
        for number, entry in enumerate(inputs):
            entry.link_to(compare, 0, number)
        sink = graph.add("buffersink")
        compare.link_to(sink)
        graph.configure()
        streams = [container.decode(video=0) for container in containers]
        for pictures in zip(*streams, strict=True):
            for entry, picture in zip(inputs, pictures, strict=True):
                entry.push(picture)
            _drain(graph)
        for entry in inputs:
            entry.push(None)
        _drain(graph)


def _drain(graph: Graph) -> None:
    for _ in _pulled(graph):
        pass


def _pulled(graph: Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.BlockingIOError, av.EOFError):
            return
