"""The command line: arguments, progress and messages; no logic."""

from neuralcodec.cli.main import main

__all__ = ["main"]
