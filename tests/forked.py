"""Functions of the product in processes of their own, which need not import torch first."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from typing import Any

import neuralcodec

_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(["neuralcodec.codec.encode_file", "neuralcodec.codec.decode_file"])


def start(function: Callable[..., None], *arguments: Any, **options: Any) -> BaseProcess:
    """It runs until the caller has joined or killed it."""
    process = _FORKED.Process(target=function, args=arguments, kwargs=options)
    process.start()
    return process


def encode(*arguments: Any, **options: Any) -> None:
    neuralcodec.encode(*arguments, **options)
