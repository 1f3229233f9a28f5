"""Whether an .nlc file is whole: CRCs, the rules of the format and the checksums of the symbols.

Pictures are not computed: what is checked is what the encoder meant, to the bit.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, BinaryIO

from neuralcodec.container import ContainerReader, Content, Damage, GopContent, PacketsContent
from neuralcodec.decoder.picture_limit import MAX_PIXELS, too_large
from neuralcodec.errors import DamagedFile, InputError, ModelError
from neuralcodec.files.paths import PathLike, open_input, shown_name
from neuralcodec.model.installed import installed_models, not_installed
from neuralcodec.progress import Progress, ProgressState

if TYPE_CHECKING:
    from neuralcodec.decoder.symbol_check import SymbolCheck


@dataclass(frozen=True)
class FoundDamage:
    """A damaged stretch of a file and what it costs; numbers are None where they are not known."""

    message: str
    chunk: str | None
    gop: int | None  # in file order, from 0
    start: int | None  # byte offsets, end exclusive
    end: int | None
    first_frame: int | None  # of those lost
    end_frame: int | None  # exclusive
    start_time: float | None  # seconds
    end_time: float | None


@dataclass(frozen=True)
class CheckReport:
    """What `check` found in one file."""

    file: str
    bytes: int
    gops: int  # that are whole
    frames: int  # in them
    packets: int  # of other streams, that are whole
    symbols_checked: bool  # else CRCs and the rules of the format alone
    seconds: float
    damage: list[FoundDamage] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)


class CheckedContents:
    """What is whole in a file. To be iterated once; `damage` and `notices` then tell the rest."""

    def __init__(
        self, file: BinaryIO, name: str, model: PathLike | None, max_pixels: int | None
    ) -> None:
        """Raises ModelError where `model` is given and is not the one of the file.

        Of pictures of more than `max_pixels` the symbols are not checked: a whole file stays whole.
        However small the file, it may be MAX_PIXELS, as symbols take less memory than pictures.
        """
        self.notices: list[str] = []
        self.reader = ContainerReader(file, name)
        self._symbols: SymbolCheck | None = None
        header = self.reader.header
        if fault := too_large(header.format, MAX_PIXELS if max_pixels is None else max_pixels):
            self._leave_out_symbols(fault)
        elif model is None and header.model_sha256 not in installed_models().values():
            # Without PyTorch, which takes a second to load.
            self._leave_out_symbols(not_installed(header.model_name, header.model_sha256))
        else:
            self._symbols = self._symbol_check(name, None if model is None else os.fspath(model))

    @property
    def symbols_checked(self) -> bool:
        return self._symbols is not None

    @property
    def damage(self) -> list[Damage]:
        """In file order."""
        found = [*self.reader.damage, *(self._symbols.damage if self._symbols else [])]
        return sorted(found, key=lambda damage: damage.start)

    def __iter__(self) -> Iterator[Content]:
        for content in self.reader.contents(keep_going=True):
            if isinstance(content, PacketsContent) or self._has_its_symbols(content):
                yield content

    def _symbol_check(self, name: str, model: str | None) -> "SymbolCheck | None":
        from neuralcodec.decoder.symbol_check import SymbolCheck

        try:
            return SymbolCheck(self.reader.header, name, model)
        except ModelError as error:
            if model is not None:
                raise
            self._leave_out_symbols(str(error))
            return None

    def _leave_out_symbols(self, why: str) -> None:
        self.notices.append(f"only CRCs are checked, not the symbols: {why}")

    def _has_its_symbols(self, content: GopContent) -> bool:
        return self._symbols is None or self._symbols.is_whole(content.gop)


def check(
    path: PathLike,
    *,
    model: PathLike | None = None,
    max_pixels: int | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Check one file, or '-'. A file of which nothing can be read is reported as damaged too.

    Without the model that the file was made with, only CRCs and the rules of the format are
    checked, and a notice says so. Raises InputError where the file cannot be read, ModelError where
    `model` is not the file's.
    """
    started = perf_counter()
    name = shown_name(path)
    gops = frames = packets = size = 0
    damage: list[FoundDamage] = []
    contents: CheckedContents | None = None
    with open_input(path) as file:
        try:
            contents = CheckedContents(file, name, model, max_pixels)
            for content in contents:
                if isinstance(content, PacketsContent):
                    packets += len(content.packets)
                    continue
                gops += 1
                frames += len(content.gop.frames)
                if progress:
                    progress(ProgressState(frames))
            size = contents.reader.bytes_read
        except DamagedFile as error:
            damage.append(_of_file(error))
    if contents is not None:
        damage = [describe_damage(found) for found in contents.damage] + damage
    return CheckReport(
        file=name,
        bytes=size,
        gops=gops,
        frames=frames,
        packets=packets,
        symbols_checked=contents is not None and contents.symbols_checked,
        seconds=perf_counter() - started,
        damage=damage,
        notices=contents.notices if contents is not None else [],
    )


def check_all(
    paths: list[str], model: PathLike | None, max_pixels: int | None, progress: Progress | None
) -> Iterator[CheckReport]:
    """One after the other; a file that cannot be read is reported, and the next one checked."""
    for path in paths:
        try:
            yield check(path, model=model, max_pixels=max_pixels, progress=progress)
        except InputError as error:
            fault = FoundDamage(str(error), *(None,) * 8)
            yield CheckReport(shown_name(path), 0, 0, 0, 0, False, 0.0, [fault])


def describe_damage(damage: Damage) -> FoundDamage:
    """In plain numbers."""
    loss = damage.loss
    return FoundDamage(
        message=str(damage),
        chunk=damage.chunk_type,
        gop=damage.gop,
        start=damage.start,
        end=damage.end,
        first_frame=loss.first_frame if loss else None,
        end_frame=loss.end_frame if loss else None,
        start_time=float(loss.start) if loss and loss.start is not None else None,
        end_time=float(loss.end) if loss and loss.end is not None else None,
    )


def _of_file(error: DamagedFile) -> FoundDamage:
    start = error.offset
    return FoundDamage(str(error), None, None, start, start, None, None, None, None)
