"""A user's footage as a cache to train from, with something of it set aside."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuralcodec.atomic_file import AtomicFile, output_errors
from neuralcodec.errors import InputError, UsageError
from neuralcodec.training.crops import FRAMES
from neuralcodec.training.footage import Footage, FootagePart, find_footage
from neuralcodec.training.frame_cache import CachedClip, build_cache
from neuralcodec.training.set_aside import GAP, LEAST, Division, Undivided, divide, ends_of

FRAMES_OF_CLIP = 600  # of a long one, spread over it
MOST_HELD_OUT = 4  # clips set aside where the user names none; one in ten


@dataclass(frozen=True)
class OwnFootage:
    """entries and held_out: names in the cache. compared: what a model's worth is measured on;
    where that is nothing, `why_not` says why."""

    entries: tuple[CachedClip, ...]
    held_out: tuple[str, ...]
    compared: tuple[FootagePart, ...] = ()
    division: Division | None = None  # of a clip that is alone
    why_not: str = ""

    @property
    def frames(self) -> int:
        return sum(entry.frames for entry in self.entries)

    @property
    def set_aside(self) -> str:
        """In words."""
        if self.division:
            return f"the last {self.division.count - self.division.trained} frames"
        clips = {entry.clip for entry in self.entries if entry.name in self.held_out}
        frames = sum(entry.frames for entry in self.entries if entry.name in self.held_out)
        if all(name.endswith("@end") for name in self.held_out):
            return f"the last {frames} frames"
        return ", ".join(sorted(clips))

    @property
    def distance(self) -> str:
        """How far what is compared is from what is trained on, in words."""
        if self.division:
            return f"{GAP} frames or more after the last one that is trained on"
        return "of clips that nothing is learned from"


def cache_footage(
    data: Path,
    cache: Path,
    held_out: Sequence[str] = (),
    *,
    longest: int,
    tell: Callable[[str], None] = lambda text: None,
) -> OwnFootage:
    """All clips in `data`, from the cache where they are there already.

    held_out: clips by name; without any, one in ten is set aside, of two to nineteen clips one, of
    a single one the end. longest: frames that at least one clip must have to train on.
    Raises InputError, UsageError, OutputError."""
    footage = find_footage([data])
    alone = len(footage) == 1
    if alone and held_out:
        raise UsageError(f"{data} is a single clip: its end is set aside by itself")
    division, why_not = None, ""
    if alone:
        try:
            division = divide(footage[0], longest)
        except Undivided as reason:
            why_not = str(reason)
    sources = _identity(footage, division)
    entries = _cached(cache, sources)
    if entries is None:
        end = _tenth_of(footage[0], longest) if alone and not division else 0
        with output_errors(cache):
            (cache / "footage.json").unlink(missing_ok=True)
        entries = build_cache(
            footage, cache, FRAMES_OF_CLIP, end_apart=end, division=division, tell=tell
        )
        with AtomicFile(cache / "footage.json", overwrite=True) as file:
            file.file.write(json.dumps(sources, indent=1).encode())
    if not entries:
        raise InputError(f"{data}: no clip in it can be trained on")
    chosen = _held_out(data, entries, held_out, longest)
    if alone:
        compared = [division.compared_part(footage[0])] if division else []
    else:
        names = {entry.clip for entry in entries if entry.name in chosen}
        compared = ends_of([clip for clip in footage if clip.name in names])
        why_not = (
            f"no clip set aside has {FRAMES + LEAST} frames that can be counted: "
            f"{', '.join(sorted(names))}"
        )
    return OwnFootage(tuple(entries), chosen, tuple(compared), division, why_not)


def _tenth_of(clip: Footage, longest: int) -> int:
    """Frames of the end to set aside. Raises InputError where too few would be left."""
    frames = sum(
        min(part.length, part.of_frames) for part in clip.parts(FRAMES_OF_CLIP, FRAMES_OF_CLIP)
    )
    if frames < longest + FRAMES:
        raise InputError(
            f"{clip.path} has {frames} frames; to train and to check the training, "
            f"at least {longest + FRAMES} are needed"
        )
    return max(FRAMES, min(frames // 10, frames - longest))


def _held_out(
    data: Path, entries: Sequence[CachedClip], wanted: Sequence[str], longest: int
) -> tuple[str, ...]:
    if ends := [entry.name for entry in entries if entry.name.endswith("@end")]:
        return tuple(ends)
    clips = sorted({entry.clip for entry in entries})
    chosen = [_clip_named(data, clips, name) for name in wanted]
    if not chosen:
        long = [c for c in clips if any(e.clip == c and e.frames >= FRAMES for e in entries)]
        count = min(max(len(clips) // 10, 1), MOST_HELD_OUT, len(long))
        chosen = [long[(2 * i + 1) * len(long) // (2 * count)] for i in range(count)]
    left = [entry.frames for entry in entries if entry.clip not in chosen]
    if max(left, default=0) < longest:
        raise InputError(
            f"{data}: no clip of at least {longest} frames is left to train on, "
            f"with {', '.join(chosen)} set aside to check the training"
        )
    return tuple(entry.name for entry in entries if entry.clip in chosen)


def _clip_named(data: Path, clips: Sequence[str], name: str) -> str:
    for known in (name, Path(name).stem):
        if known in clips:
            return known
    raise UsageError(f"{data} has no clip '{name}'; there are: {', '.join(clips)}")


def _identity(footage: Sequence[Footage], division: Division | None) -> dict[str, object]:
    """What the cache depends on: changed footage is read again."""
    files = [
        [str(file.resolve()), status.st_size, status.st_mtime_ns]
        for clip in footage
        for file in clip.files
        for status in [file.stat()]
    ]
    divided = [division.count, division.trained, division.compared] if division else None
    return {"frames": FRAMES_OF_CLIP, "divided": divided, "files": files}


def _cached(cache: Path, sources: dict[str, object]) -> list[CachedClip] | None:
    try:
        if json.loads((cache / "footage.json").read_text()) != sources:
            return None
        return [CachedClip(**entry) for entry in json.loads((cache / "index.json").read_text())]
    except (OSError, ValueError, TypeError):
        return None
