"""`ncodec`: the verbs, and what becomes of errors."""

import os
import signal
import sys
from types import FrameType
from typing import Any, NoReturn

import click

from neuralcodec.cli.decode import decode
from neuralcodec.cli.encode import encode
from neuralcodec.cli.info import info
from neuralcodec.errors import NcodecError
from neuralcodec.version import __version__

INTERRUPTED = 130  # 128 + SIGINT, as shells do
BROKEN_PIPE = 141  # 128 + SIGPIPE
TERMINATED = 143  # 128 + SIGTERM


class Verbs(click.Group):
    """Turns errors into one line on stderr and an exit code; never a traceback."""

    def invoke(self, context: click.Context) -> Any:
        signal.signal(signal.SIGTERM, _terminate)  # so that unfinished outputs are removed
        try:
            return super().invoke(context)
        except NcodecError as error:
            click.echo(f"ncodec: {error}", err=True)
            context.exit(error.exit_code)
        except BrokenPipeError:
            # the reader of our output has left: nothing to say, and nobody to say it to
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            context.exit(BROKEN_PIPE)
        except KeyboardInterrupt:
            click.echo("ncodec: interrupted; no output was written", err=True)
            context.exit(INTERRUPTED)


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(TERMINATED)


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

    '-' is standard input or output, so that commands can be joined by pipes:

    \b
    ffmpeg -i a.mkv -f yuv4mpegpipe - | ncodec encode - - | ncodec decode - - | ffplay -

    Exit codes: 0 done, 1 the input or the machine is at fault, 2 wrong usage, 130 interrupted.
    """


for verb in (encode, decode, info):
    main.add_command(verb)
