"""Training steps as CUDA graphs: recorded once for each shape of batch and structure, then replayed
as a whole.

A frame is thousands of small kernels. Launched one by one they keep a GPU waiting for the processor
most of the time; a recorded step runs as fast as the GPU can. Recording takes seconds, so batches
keep their structure for many steps (`gpu_recipe.STEPS_ALIKE`).
"""

from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor, nn

from neuralcodec.training.sequences import Sequences

WARM_UPS = 2  # runs before the recording, in which libraries and caches settle
Gradients: TypeAlias = Callable[[Sequences], tuple[Tensor, Tensor]]


class GraphedStep:
    """gradients: sets the gradients of the model's parameters for a batch and returns loss and
    figures. It must not look at values on the CPU."""

    def __init__(self, model: nn.Module, gradients: Gradients) -> None:
        self.model, self.gradients = model, gradients
        self.graph: torch.cuda.CUDAGraph | None = None
        self.written: list[Tensor | None] = []  # gradients, of all parameters

    def __call__(self, batch: Sequences) -> tuple[Tensor, Tensor]:
        """Loss and figures, overwritten by the next call. Random numbers are new in each."""
        if self.graph is None or not self._is_as_recorded(batch):
            self._record(batch)
            assert self.graph is not None
        for name, kept in self.inputs.tensors.items():
            kept.copy_(batch.tensors[name])
        self.graph.replay()
        for parameter, gradient in zip(self.model.parameters(), self.written, strict=True):
            parameter.grad = gradient
        return self.results

    def _is_as_recorded(self, batch: Sequences) -> bool:
        recorded = self.inputs
        return batch.y.shape == recorded.y.shape and batch.structure == recorded.structure

    def _record(self, batch: Sequences) -> None:
        self._forget()
        self.inputs = batch.clone()
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(WARM_UPS):
                self.gradients(self.inputs)
        torch.cuda.current_stream().wait_stream(aside)
        self._forget()
        graph = torch.cuda.CUDAGraph()
        # other threads go on preparing batches meanwhile
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self.results = self.gradients(self.inputs)
        self.written = [parameter.grad for parameter in self.model.parameters()]
        self.graph = graph

    def _forget(self) -> None:
        """The last recording and what it left: its memory is all gradients and activations."""
        self.graph = None
        self.results = (torch.empty(0), torch.empty(0))
        self.written = []
        self.model.zero_grad(set_to_none=True)
