"""Several processes, compiled networks, a GPU: the same training."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

import forked
import pytest
import torch
from click.testing import CliRunner
from torch import nn
from training_runs import make_cache, start

import neuralcodec.training.__main__ as command
import neuralcodec.training.trainer as trainer_module
from neuralcodec.model.layers import Block
from neuralcodec.training.run_log import read_log
from neuralcodec.training.run_options import RunOptions
from neuralcodec.training.team import CPU, Team, team_of


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cache(tmp_path_factory.mktemp("cache"))


@pytest.fixture(autouse=True)
def no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches are made in this process: a second one takes its time to start."""
    monkeypatch.setattr(trainer_module, "load_in_background", iter)


def run_as(rank: int, size: int, port: int, cache: Path, out: Path) -> None:
    """Two steps as one process of `torchrun`; leaves its weights in the folder."""
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
    }
    trainer_module.load_in_background = iter  # type: ignore[assignment]
    with team_of(CPU) as team:
        trainer = start(cache, out, 2, team=team)
        trainer.run()
        torch.save(trainer.state.plain(), out / f"rank{rank}.pt")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_two_processes_draw_different_data_and_end_with_the_same_weights(
    cache: Path, tmp_path: Path
):
    port = free_port()
    processes = [forked.start(run_as, rank, 2, port, cache, tmp_path) for rank in range(2)]
    for process in processes:
        process.join(300)
        assert process.exitcode == 0
    first, second = (torch.load(tmp_path / f"rank{rank}.pt")["model"] for rank in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)
    alone = start(cache, tmp_path / "alone", 2)
    alone.run()
    assert not torch.equal(
        first["intra.linear.forward_basis"], alone.state.model.intra.linear.forward_basis
    )
    assert [entry["step"] for entry in read_log(tmp_path)] == [0, 1, 2]
    mine, theirs = (Team(rank, 2).own_seed(0) for rank in range(2))
    assert mine != theirs


def test_compiled_networks_train_alike(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Without a compiler behind it: what torch.compile makes of the code is followed."""
    compiled = []

    def compile_block(self: Block) -> None:
        compiled.append(self)
        nn.Module.compile(self, backend="eager")

    monkeypatch.setattr(Block, "compile", compile_block)
    plain = start(cache, tmp_path / "plain", 1)
    assert not compiled
    options = RunOptions(cache, tmp_path, compile=True)
    fast = start(cache, tmp_path / "compiled", 1, options)
    assert set(compiled) == {m for m in fast.state.model.modules() if isinstance(m, Block)}
    for trainer in (plain, fast):
        trainer.run()
    pairs = zip(
        plain.state.model.named_parameters(), fast.state.model.named_parameters(), strict=True
    )
    for (name, a), (same, b) in pairs:
        assert name == same
        assert torch.allclose(a, b, atol=2e-5), name


@pytest.mark.gpu
def test_a_gpu_trains_in_channels_last_and_resumes(cache: Path, tmp_path: Path):
    device = torch.device("cuda")
    with team_of(device) as team:
        trainer = start(cache, tmp_path, 2, team=team)
        weight = trainer.state.model.intra.head.weight
        assert weight.is_contiguous(memory_format=torch.channels_last)
        trainer.run()
        again = start(cache, tmp_path, 2, team=team)
    assert again.state.position.step == 2
    found: Any = again.state.model.intra.head.weight
    assert torch.equal(found, weight)


def test_a_cpu_trains_with_a_process_for_each_core(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    launched: list[list[str]] = []
    arguments = [str(cache), "-o", str(tmp_path / "run"), "--device", "cpu"]
    monkeypatch.setattr(command, "launch", launched.append)
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    monkeypatch.setattr("sys.argv", ["training", *arguments, "--threads", "2"])
    CliRunner().invoke(command.main, sys.argv[1:], catch_exceptions=False)
    [given] = launched
    assert given[given.index("--nproc-per-node") + 1] == "3"
    assert given[-len(arguments) - 4 :] == ["-m", "neuralcodec.training", *sys.argv[1:]]
