"""`ncodec`: the verbs, and what becomes of errors."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

import click

from neuralcodec import own_process
from neuralcodec.atomic_file import remove_all_temporaries
from neuralcodec.cli.bench import bench
from neuralcodec.cli.check import check
from neuralcodec.cli.completion import completion
from neuralcodec.cli.decode import decode
from neuralcodec.cli.encode import encode
from neuralcodec.cli.info import info
from neuralcodec.cli.models import models
from neuralcodec.cli.repair import repair
from neuralcodec.cli.report import tell
from neuralcodec.cli.train import train
from neuralcodec.errors import NcodecError
from neuralcodec.version import __version__

SIGNALLED = 128  # + the number of the signal: the exit code, as shells have it
BROKEN_PIPE = SIGNALLED + 13

own_process.collect_less_garbage()


class _Told(logging.Handler):
    """What the package logs, as one of our lines."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(record.getMessage())


logging.getLogger("neuralcodec").addHandler(_Told())


class Verbs(click.Group):
    """Turns errors into one line on stderr and an exit code; never a traceback."""

    def list_commands(self, context: click.Context) -> list[str]:
        """In the order of use, not of the alphabet."""
        return list(self.commands)

    def invoke(self, context: click.Context) -> Any:
        try:
            with _tidy_end_by_signals():
                return super().invoke(context)
        except NcodecError as error:
            tell(str(error))
            context.exit(error.exit_code)
        except MemoryError:
            tell("out of memory: free some, or use a smaller picture")
            context.exit(NcodecError.exit_code)
        except BrokenPipeError:
            # The reader of our output has left: nothing to say, and nobody to say it to.
            context.exit(BROKEN_PIPE)
        finally:
            _drop_unwritable()


def _drop_unwritable() -> None:
    """Gives what cannot be written a place to go: Python would complain about it as it ends."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def _tidy_end_by_signals() -> Iterator[None]:
    """Within it Ctrl-C, SIGTERM and a closed terminal leave no unfinished output."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # the last one is not everywhere
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    # What is ignored stays so: nohup and shells' background jobs rely on it.
    before = {n: signal.getsignal(n) for n in numbers if signal.getsignal(n) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, _end_at_once)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_at_once(number: int, frame: FrameType | None) -> NoReturn:
    """Not by an exception: that would wait for threads that wait for input, perhaps for ever."""
    what = "interrupted" if number == signal.SIGINT else "terminated"
    if remove_all_temporaries():
        what += "; no output was written"
    start = "\n" if os.isatty(2) else ""  # the progress bar's line is not at its end
    try:
        # Past Python's buffers, which may be half way through a write of their own.
        os.write(2, f"{start}ncodec: {what}\n".encode())
    finally:
        os._exit(SIGNALLED + number)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="ncodec")
def main() -> None:
    """Learned video codec: compresses real video with neural networks.

    \b
    ncodec encode in.mp4 out.nlc         compress
    ncodec decode out.nlc out.mp4        decompress, and report PSNR
    ncodec info out.nlc                  what a file holds
    ncodec check out.nlc                 whether it is whole; 'repair' keeps what is
    ncodec bench in.mp4                  compare with x264, x265, SVT-AV1 and VP9
    ncodec models                        what models are installed
    ncodec train clips -o a.safetensors  a model for footage of your own

    '-' is standard input or output, so that commands can be joined by pipes:

    \b
    ffmpeg -i a.mkv -f yuv4mpegpipe - | ncodec encode - - | ncodec decode - - | ffplay -

    \b
    Exit codes:
      0  done
      1  the input or the machine is at fault; a damaged file as well, even if a part could be read
      2  wrong usage
    129  the terminal was closed
    130  interrupted
    141  the reader of the output left
    143  terminated
    """


for verb in (encode, decode, info, check, repair, bench, models, train, completion):
    main.add_command(verb)
