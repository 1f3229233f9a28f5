"""`repair`: what is whole of a damaged .nlc file, as a file of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import BinaryIO

from neuralcodec.atomic_file import AtomicFile, check_target, standard_output
from neuralcodec.container import (
    ContainerWriter,
    Extras,
    GopContent,
    PacketsContent,
)
from neuralcodec.endpoints import input_name, output_name
from neuralcodec.errors import DamagedFile
from neuralcodec.files.check import CheckedContents, FoundDamage, describe_damage
from neuralcodec.files.paths import PIPE, PathLike, open_input, refuse_same_file, shown_name
from neuralcodec.progress import Progress, ProgressState
from neuralcodec.streams import OtherStream, StreamPacket


@dataclass(frozen=True)
class RepairReport:
    """What `repair` kept and what was lost."""

    bytes: int  # of the new file
    gops: int
    frames: int
    packets: int
    streams: int  # other streams
    symbols_checked: bool  # else CRCs and the rules of the format alone
    damage: list[FoundDamage] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


def repair(
    src: PathLike,
    dst: PathLike,
    *,
    model: PathLike | None = None,
    max_pixels: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> RepairReport:
    """Write what is whole in `src` to `dst` with a new index: GOPs, tags, streams, packets.

    Time stamps stay; frames are numbered anew without gaps, as the format asks. Raises NcodecError
    for everything that is the input's or the environment's fault, DamagedFile where not one GOP is
    whole; the output then does not exist.
    """
    src, dst = input_name(src), output_name(dst)
    refuse_same_file(src, dst)
    with open_input(src) as file:
        if dst != PIPE:
            check_target(dst, overwrite)
        name = shown_name(src)
        contents = CheckedContents(file, name, model, max_pixels)
        reader = contents.reader
        gops = frames = packets = 0
        with _open_output(dst, overwrite) as sink:
            numbers = {s.number: i for i, s in enumerate(reader.extras.streams)}
            extras = Extras(
                reader.extras.tags,
                tuple(_renumbered(s, numbers) for s in reader.extras.streams),
                replace(reader.extras.origin, is_renumbered=True),
            )
            writer = ContainerWriter(sink, reader.header, extras)
            for content in contents:
                if isinstance(content, PacketsContent):
                    writer.write_packets([_moved(p, numbers) for p in content.packets])
                    packets += len(content.packets)
                    continue
                _write_gop(writer, content, frames)
                gops += 1
                frames += len(content.gop.frames)
                if progress:
                    progress(ProgressState(frames))
            if not gops:
                raise DamagedFile(f"{name}: not one whole GOP in it")
            writer.finish(reader.end_pts)
    return RepairReport(
        bytes=writer.bytes_written,
        gops=gops,
        frames=frames,
        packets=packets,
        streams=len(extras.streams),
        symbols_checked=contents.symbols_checked,
        damage=[describe_damage(damage) for damage in contents.damage],
        notices=contents.notices,
    )


@contextmanager
def _open_output(dst: PathLike, overwrite: bool) -> Iterator[BinaryIO]:
    if os.fspath(dst) == PIPE:
        yield standard_output()
        return
    with AtomicFile(dst, overwrite) as output:
        yield output.file


def _renumbered(stream: OtherStream, numbers: dict[int, int]) -> OtherStream:
    """Without the gaps of lost descriptions."""
    return replace(stream, number=numbers[stream.number])


def _moved(packet: StreamPacket, numbers: dict[int, int]) -> StreamPacket:
    return replace(packet, stream=numbers[packet.stream])


def _write_gop(writer: ContainerWriter, content: GopContent, first_frame: int) -> None:
    gop, stats = content.gop, content.stats
    if stats is not None:
        stats = replace(stats, first_frame=first_frame)
    writer.write_gop(replace(gop, first_frame=first_frame), stats)
