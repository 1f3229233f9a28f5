"""What every test shares: tests marked `gpu` are skipped where there is no CUDA device."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import lru_cache, wraps
from pathlib import Path
from pipes import filled_pipe
from typing import TYPE_CHECKING

import pytest
import torch
from codec_clips import city_frames, cropped

import neuralcodec
from neuralcodec.bench.svt import usual_scheduling
from neuralcodec.kernels.compiled import can_run
from neuralcodec.media import open_writer

if TYPE_CHECKING:
    from neuralcodec.model.model_file import InstalledModel


def pytest_configure(config: pytest.Config) -> None:
    """Kernels are compiled once, not by each of several processes at the same time."""
    if not hasattr(config, "workerinput"):
        can_run(torch.zeros(1))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    no_gpu = pytest.mark.skip(reason="no CUDA device")
    for item in items:
        if "gpu" in item.keywords:
            item.add_marker(no_gpu)


@pytest.fixture(autouse=True)
def no_real_time_priority() -> Iterator[None]:
    """What tests start must not inherit the real-time priority that SVT-AV1 takes."""
    yield
    usual_scheduling()


@pytest.fixture(autouse=True)
def own_threads_and_signals() -> Iterator[None]:
    """Threads that a test sets for the whole process end with it; SIGINT is heeded, whatever the
    parent of the tests ignores."""
    threads, interrupted = torch.get_num_threads(), signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, interrupted)
    torch.set_num_threads(threads)


@pytest.fixture(scope="session", autouse=True)
def models_loaded_once() -> Iterator[None]:
    """Building the networks takes longer than many a clip here. A file that changes is loaded
    again."""
    from neuralcodec.model import model_file

    load = model_file._load_file

    @lru_cache(maxsize=4)
    def kept(path: Path, changed: int, size: int) -> "InstalledModel":
        return load(path)

    @wraps(load)
    def load_once(path: Path) -> "InstalledModel":
        try:
            status = path.stat()
        except OSError:
            return load(path)
        return kept(path, status.st_mtime_ns, status.st_size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_file, "_load_file", load_once)
        yield


@pytest.fixture
def plain_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that have learned nothing have no symbols that are worth their bits."""
    from neuralcodec.model import video_model
    from neuralcodec.model.exact import round_through

    monkeypatch.setattr(video_model, "cheaper_symbols", lambda *_: round_through)


@pytest.fixture(scope="session")
def installed_model() -> "InstalledModel":
    """The model that `encode` takes by default, loaded once; not to be altered."""
    from neuralcodec.model.model_file import DEFAULT_MODEL, load_model

    return load_model(DEFAULT_MODEL)


@pytest.fixture(scope="session")
def small_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Y4M of 12 frames of 48x32, cut out of the bundled clip."""
    fmt, frames = cropped(*city_frames(12), 48, 32)
    path = tmp_path_factory.mktemp("source") / "source.y4m"
    with open_writer(path, fmt) as writer:
        for frame in frames:
            writer.write(frame)
    return path


@pytest.fixture(scope="session")
def small_coded(small_source: Path) -> Path:
    """`small_source` as ncodec codes it: three GOPs of four frames."""
    path = small_source.with_name("coded.nlc")
    neuralcodec.encode(small_source, path, gop=4)
    return path


@pytest.fixture
def piped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[bytes], None]]:
    """Makes bytes arrive on standard input, from a pipe."""
    with ExitStack() as stack:

        def feed(data: bytes) -> None:
            pipe = stack.enter_context(filled_pipe(data))
            stdin = stack.enter_context(os.fdopen(pipe, closefd=False))
            monkeypatch.setattr("sys.stdin", stdin)

        yield feed
