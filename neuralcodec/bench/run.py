"""A whole bench: every clip, codec and quality, measured once and timed several times."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neuralcodec.atomic_file import output_errors, remove_temporary, temporary_path
from neuralcodec.bench.cache import BenchCache
from neuralcodec.bench.clip_run import ClipRun
from neuralcodec.bench.deltas import deltas_of
from neuralcodec.bench.plan import BenchPlan
from neuralcodec.bench.results import BenchResults, Clip, Point, Skipped
from neuralcodec.errors import InputError

Progress = Callable[[int, int, str], None]  # runs done, runs in all, what comes now


@dataclass(frozen=True)
class BenchSummary:
    """The results, and what their reader should know beside them."""

    results: BenchResults
    encodings: int  # made now; the others were in the cache
    notices: tuple[str, ...]


def run_bench(plan: BenchPlan, cache_folder: Path, progress: Progress) -> BenchSummary:
    """Goes on where an earlier bench with the same cache was interrupted.

    A clip or codec that cannot be measured is left out, with the reason in the results. Raises
    InputError where nothing at all can be measured, and OutputError where the cache cannot be
    written.
    """
    cache = BenchCache(cache_folder.absolute())
    clips: list[Clip] = []
    points: list[Point] = []
    skipped: list[Skipped] = []
    notices: list[str] = []
    done = encodings = 0

    def step(what: str) -> None:
        nonlocal done
        progress(done, plan.runs, what)
        done += 1

    for number, source in enumerate(plan.sources, start=1):
        work = temporary_path(cache.folder / "work")
        with output_errors(work):
            work.mkdir()
        try:
            run = ClipRun(plan, cache, source, work)
            points += run.points(step)
            clips.append(run.clip)
            skipped += run.skipped
            encodings += run.encodings
            notices += [f"{source.name}: {notice}" for notice in run.notices]
        except InputError as error:
            skipped.append(Skipped(source.name, None, str(error)))
        finally:
            remove_temporary(work)
        done = plan.runs * number // len(plan.sources)  # with those that were skipped
    if not points:
        raise InputError("nothing to compare: " + "; ".join(_reasons(skipped)))
    results = BenchResults(
        setup=plan.setup,
        clips=tuple(clips),
        codecs=plan.codecs,
        points=tuple(points),
        deltas=tuple(deltas_of(points, plan.setup.anchor)),
        skipped=tuple(skipped),
    )
    progress(plan.runs, plan.runs, "")
    return BenchSummary(results, encodings, tuple(notices))


def _reasons(skipped: list[Skipped]) -> list[str]:
    """Each reason once: several codecs often share one."""
    return list(dict.fromkeys(entry.reason for entry in skipped))
