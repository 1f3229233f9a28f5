"""Running one job at a time, alone, in a process of its own."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from neuralcodec.bench.job import JobReport, JobRequest

_LAST_LINES = 3  # of what a crashed process said


def run_job(request: JobRequest) -> JobReport:
    """Waits for the job. A process that crashes gives a report with its last words as `error`."""
    report = Path(request.report)
    report.unlink(missing_ok=True)
    # A fresh interpreter: its peak of memory is that of this job alone.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "neuralcodec.bench.job"],
        input=json.dumps(asdict(request)),
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode or not report.exists():
        words = "; ".join(done.stderr.strip().splitlines()[-_LAST_LINES:])
        return JobReport(error=f"its process ended with code {done.returncode}: {words}")
    return JobReport(**json.loads(report.read_text()))
