"""What SVT-AV1 does to the process that calls it, set right."""

import os
from pathlib import Path


def quiet_svt() -> None:
    """SVT-AV1 reports on stderr unless told so before its first use: 1 = errors only."""
    os.environ.setdefault("SVT_LOG", "1")


def usual_scheduling() -> None:
    """To call once an SVT-AV1 encoder is open.

    As root it puts its threads, and the one that calls it, under real-time scheduling (SCHED_FIFO
    99) for ever. Nobody else's speed is measured like that, and programs that are started later
    inherit it and can stand still, waiting for each other.
    """
    tasks = Path("/proc/self/task")
    if not hasattr(os, "sched_setscheduler") or not tasks.exists():
        return
    for task in tasks.iterdir():
        try:
            if os.sched_getscheduler(int(task.name)) != os.SCHED_OTHER:
                os.sched_setscheduler(int(task.name), os.SCHED_OTHER, os.sched_param(0))
        except ProcessLookupError:  # a thread that has ended meanwhile
            continue
