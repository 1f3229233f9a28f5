"""`ncodec train`."""

from pathlib import Path

import click

from neuralcodec.cli.completion import complete_model
from neuralcodec.cli.options import device_option
from neuralcodec.cli.report import print_json, tell
from neuralcodec.cli.values import SOURCE


@click.command(short_help="Train a model on footage of your own.")
@click.argument("data", metavar="DATA", type=SOURCE)
@click.option(
    "-o",
    "--out",
    required=True,
    type=Path,
    metavar="F.safetensors",
    help="The weights, for --model of the other verbs. A folder of the same name that ends in "
    "'.training' keeps frames, checkpoint and log.",
)
@click.option(
    "-m",
    "--model",
    default="fast",
    show_default=True,
    metavar="NAME|FILE",
    shell_complete=complete_model,
    help="What to start from: an installed model or a .safetensors file; sizes of which nothing "
    "is installed start from nothing.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    metavar="N",
    help="Length of the training. [default: 6000; 20000 from nothing]",
)
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    metavar="M",
    help="Take about so long; with --steps: end then, wherever it is.",
)
@click.option(
    "--held-out",
    multiple=True,
    metavar="CLIP",
    help="Set this clip aside to check the training; may be repeated. [default: one clip in ten; "
    "of a single clip the end]",
)
@click.option(
    "--cache",
    type=Path,
    metavar="DIR",
    help="Where the frames are kept as they are read. [default: in the folder beside the output]",
)
@device_option
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Of a CPU. [default: all]")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of all chance.")
@click.option(
    "--compile", "compiled", is_flag=True, help="Compile the networks, with torch.compile."
)
@click.option(
    "--tensorboard", is_flag=True, help="Curves and pictures for TensorBoard, in the same folder."
)
@click.option("--json", "as_json", is_flag=True, help="The summary as one JSON object on stdout.")
@click.option("--quiet", is_flag=True, help="No progress bar, no summary; errors only.")
@click.option("-y", "--yes", "overwrite", is_flag=True, help="Overwrite the output.")
@click.pass_context
def train(
    context: click.Context,
    data: Path,
    out: Path,
    model: str,
    steps: int | None,
    minutes: float | None,
    held_out: tuple[str, ...],
    cache: Path | None,
    device: str,
    threads: int | None,
    seed: int,
    compiled: bool,
    tensorboard: bool,
    as_json: bool,
    quiet: bool,
    overwrite: bool,
) -> None:
    """Train a model on DATA: a video, or a folder of videos or of folders of numbered pictures.

    Starts from an installed model, and keeps the weights that are best on what it sets aside.
    Ctrl-C leaves a checkpoint: the same command goes on from there.

    Before and after, the model is compared with x265 as 'ncodec bench' does it, on what is set
    aside; that takes about a quarter of the minutes at most. Ctrl-C leaves out the one after.

    \b
    ncodec train holiday/ -o holiday.safetensors --minutes 60
    ncodec encode in.mp4 out.nlc --model holiday.safetensors
    """
    import torch

    from neuralcodec.cli.training_report import TrainingDisplay, plain_summary, summary_text
    from neuralcodec.training.interruption import Interrupted
    from neuralcodec.training.run_log import Observer
    from neuralcodec.training.train_file import TrainingRequest
    from neuralcodec.training.train_file import train as train_file

    if threads:
        torch.set_num_threads(threads)
    request = TrainingRequest(
        data, out, model, steps, minutes, held_out, cache, device, seed, compiled
    )
    observers: list[Observer] = []
    if tensorboard:
        from neuralcodec.training.tensorboard import TensorBoard

        observers.append(TensorBoard(request.folder))
    say = (lambda text: None) if quiet else tell
    with TrainingDisplay(quiet) as display:
        try:
            done = train_file(
                request, overwrite=overwrite, observers=[*observers, display], tell=display.tell
            )
        except Interrupted as interrupted:
            tell("interrupted before the training; the same command begins again")
            context.exit(128 + interrupted.number)
    if done is None:
        return
    if done.signal is not None:
        tell(
            f"interrupted at step {done.step} of {done.steps}; the same command goes on from there"
        )
        context.exit(128 + done.signal)
    for line in summary_text(out, done):
        say(line)
    if as_json:
        print_json("train", plain_summary(out, done))
