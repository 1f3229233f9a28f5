"""A file that is coded in several runs, with the result of one: what is complete stays.

Beside OUT stand OUT.part, the beginning of the file to come, and OUT.part.jsonl: first what it
depends on, then a line for each place where coding can go on. A later run looks at all frames
before the last such place again, but codes only those after it.
"""

import hashlib
import io
import json
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import torch

from neuralcodec.atomic_file import check_target, output_errors, signals_held
from neuralcodec.container import ContainerReader, ContainerWriter, GopContent
from neuralcodec.encoder.encoder import CodedGop
from neuralcodec.encoder.encoder_settings import EncoderSettings
from neuralcodec.errors import DamagedFile, InputError, OutputError
from neuralcodec.file_lock import try_lock
from neuralcodec.media import SourceOptions
from neuralcodec.model.model_file import InstalledModel
from neuralcodec.version import __version__


@dataclass(frozen=True)
class RunConditions:
    """All that the bytes of a file depend on, each in words."""

    source: str  # SHA-256 of the file
    part_of_the_source: str  # and how it is changed
    quality: str
    gop: str
    scenecut: str
    structure: str
    preset: str
    model: str  # SHA-256 of its file
    precision: str
    program: str
    machine: str  # floats round differently on another, or with another number of threads

    @staticmethod
    def of(
        src: str | os.PathLike[str],
        options: SourceOptions,
        settings: EncoderSettings,
        installed: InstalledModel,
    ) -> "RunConditions":
        """Reads the whole source. Raises InputError where it cannot be read."""
        device = settings.device
        if device.type == "cuda":
            processor = torch.cuda.get_device_name(device)
        else:
            threads = torch.get_num_threads()
            processor = f"{torch.backends.cpu.get_cpu_capability()}, {threads} threads"
        return RunConditions(
            source=_sha256(src),
            part_of_the_source=str(options),
            quality=str(settings.quality),
            gop=str(settings.gop),
            scenecut=str(settings.scene_cuts),
            structure=str(settings.structure),
            preset=str(settings.effort),
            model=installed.sha256.hex(),
            precision=str(settings.precision),
            program=f"ncodec {__version__}, torch {torch.__version__}",
            machine=f"{platform.machine()}, {processor}",
        )

    def differences(self, other: "RunConditions") -> list[str]:
        """What is not the same, in words."""
        own, others = asdict(self), asdict(other)
        return [name.replace("_", " ") for name in own if own[name] != others[name]]


@dataclass(frozen=True)
class _Mark:
    """A place where coding can go on."""

    frames: int = 0  # before it
    size: int = 0  # of the file before it, in bytes

    @staticmethod
    def parse(line: bytes) -> "_Mark":
        """Raises ValueError."""
        entry = json.loads(line)
        if not isinstance(entry, dict) or entry.keys() != {"frames", "bytes"}:
            raise ValueError("no mark")
        frames, size = entry["frames"], entry["bytes"]
        if type(frames) is not int or type(size) is not int or min(frames, size) < 1:
            raise ValueError("no mark")
        return _Mark(frames, size)


class PartFile:
    """The file to come, with what earlier runs have completed of it.

    `replay` first, then write to `file` and `mark`; `commit` gives it its name. As a context
    manager it closes without: what was marked stays for the next run, else nothing does.

    Raises OutputError from the constructor as `check_target`, where another process writes the
    same file, and where what is there was begun under other conditions or is damaged, unless
    `overwrite` allows to begin anew; and from `replay` and all writing.
    """

    def __init__(
        self, path: str | os.PathLike[str], conditions: RunConditions, overwrite: bool
    ) -> None:
        check_target(path, overwrite)
        self._target = Path(os.path.realpath(path))
        self._part = Path(f"{self._target}.part")
        self._journal_path = Path(f"{self._target}.part.jsonl")
        self.notices: list[str] = []
        self._done = False
        with output_errors(self._part):
            self._raw = _ContinuedFile(self._part)
        try:
            if try_lock(self._raw.fileno()) is False:
                raise OutputError(f"cannot write {self._part}: another ncodec is at work on it")
            with output_errors(self._journal_path):
                self._journal = open(self._journal_path, "a+b", buffering=0)  # noqa: SIM115
            try:
                self._last = self._find_place(conditions, overwrite)
            except BaseException:
                self._journal.close()
                raise
        except BaseException:
            self._raw.close()
            raise
        self._raw.kept = self._last.size
        self.file: BinaryIO = io.BufferedWriter(self._raw)

    @property
    def frames(self) -> int:
        """How many of the first frames are in it for good."""
        return self._last.frames

    def replay(self, writer: ContainerWriter) -> Iterator[CodedGop]:
        """Has the writer, made with `file`, write once more what is kept, which is compared and
        not written; gives its GOPs."""
        if not self._last.frames:
            return
        with self._part.open("rb") as file:
            for content in ContainerReader(file, str(self._part)).contents(keep_going=True):
                if isinstance(content, GopContent):
                    assert content.stats is not None  # looked at by `_find_damage`
                    writer.write_gop(content.gop, content.stats)
                    yield CodedGop(content.gop, content.stats)
                else:
                    writer.write_packets(content.packets)
        if writer.bytes_written != self._last.size:
            raise OutputError(f"{self._part} is not of this source: delete it to begin anew")

    def mark(self, frames: int, size: int) -> None:
        """Coding can go on after these first frames, which take the first `size` bytes."""
        with output_errors(self._part):
            self.file.flush()
            os.fsync(self._raw.fileno())  # before the mark: it must not promise what may get lost
        with output_errors(self._journal_path):
            self._journal.write(_line({"frames": frames, "bytes": size}))
        self._last = _Mark(frames, size)

    def commit(self) -> None:
        """Write out what is buffered and give the file its name."""
        with output_errors(self._target):
            self.file.flush()
            os.fsync(self._raw.fileno())
            self._close()
            with signals_held():
                self._part.replace(self._target)
                self._journal_path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._done:
            return
        self._close()
        if not self._last.frames:
            self._part.unlink(missing_ok=True)
            self._journal_path.unlink(missing_ok=True)

    def _close(self) -> None:
        self._done = True
        with suppress(OutputError, OSError):  # closing flushes, and the disk may be full
            self.file.close()
        self._journal.close()

    def _find_place(self, conditions: RunConditions, overwrite: bool) -> _Mark:
        """Leaves both files as they were up to that place, without anything after it."""
        with output_errors(self._part):
            self._journal.seek(0)
            lines = self._journal.readlines()
            begun_under, marks, known = _parse_journal(lines)
            if begun_under is not None and marks:
                fault = self._fault(begun_under, conditions, marks[-1])
                if fault is None:
                    self._journal.truncate(known)
                    self._raw.truncate(marks[-1].size)
                    frames = marks[-1].frames
                    self.notices.append(f"went on after frame {frames} of {self._part}")
                    return marks[-1]
                if not overwrite:
                    raise OutputError(f"{fault}; give -y to begin anew")
                self.notices.append(f"{fault}: began anew")
            self._journal.truncate(0)  # first: marks must not outlive what they promise
            self._raw.truncate(0)
            self._journal.write(_line(asdict(conditions)))
            return _Mark()

    def _fault(self, begun: RunConditions, now: RunConditions, mark: _Mark) -> str | None:
        """Why the part is of no use now."""
        if changed := now.differences(begun):
            return f"{self._part} was begun with another {', '.join(changed)}"
        if damage := self._find_damage(mark):
            return f"{self._part} is damaged ({damage})"
        return None

    def _find_damage(self, mark: _Mark) -> str | None:
        """What is wrong up to the mark; None if nothing is."""
        if self._part.stat().st_size < mark.size:
            return "it is too short"
        self._raw.truncate(mark.size)
        frames = 0
        with self._part.open("rb") as file:
            try:
                reader = ContainerReader(file, str(self._part))
                for content in reader.contents(keep_going=True):
                    if isinstance(content, GopContent):
                        if content.stats is None:
                            return "without statistics"
                        frames += len(content.gop.frames)
            except DamagedFile as error:
                return str(error)
        # It has no end so far, which is the one thing that may be wrong.
        wrong = [d for d in reader.damage if d.start < mark.size]
        if wrong:
            return str(wrong[0])
        return None if frames == mark.frames else f"{frames} frames instead of {mark.frames}"


class _ContinuedFile(io.FileIO):
    """What is written over its first `kept` bytes is compared with them; the rest is written."""

    def __init__(self, path: Path) -> None:
        path.touch()
        super().__init__(path, "r+b")
        self._path = path
        self.kept = 0

    def write(self, data: Any, /) -> int:
        with output_errors(self._path):
            left = self.kept - self.tell()
            if left <= 0:
                return super().write(data)
            again = bytes(memoryview(data)[:left])
            if self.read(len(again)) != again:
                raise OutputError(f"{self._path} is not of this source: delete it to begin anew")
            return len(again)


def _parse_journal(lines: list[bytes]) -> tuple[RunConditions | None, list[_Mark], int]:
    """Conditions (None: these are not known), marks, and how many bytes of the file they take."""
    try:
        conditions = RunConditions(**json.loads(lines[0]))
    except (IndexError, TypeError, ValueError, RecursionError):
        return None, [], 0
    marks: list[_Mark] = []
    size = len(lines[0])
    for line in lines[1:]:
        try:
            marks.append(_Mark.parse(line))
        except ValueError:
            break  # written half as the power went
        size += len(line)
    return conditions, marks, size


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry).encode() + b"\n"


def _sha256(path: str | os.PathLike[str]) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
