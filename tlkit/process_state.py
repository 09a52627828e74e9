"""Restores the state of the process after training: environment, random generators, torch's flags, warning filters."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from tlkit.no_telemetry import VARIABLES

import numpy as np

if TYPE_CHECKING:
    import torch

KEPT_VARIABLES = tuple(VARIABLES)
"""Environment variables that are not restored: packages read them when they are imported, or send reports later."""


@contextmanager
def preserved_process_state() -> Iterator[None]:
    """Restore the state of this process after the block, also after an error.

    Restored are the environment variables (except `KEPT_VARIABLES`), the global random generators of `random`, numpy
    and torch, torch's deterministic algorithms, cuDNN flags, precision of matrix products, default dtype and number of
    threads, the filters of `warnings`, and `sys.excepthook` and `sys.exit`, which W&B replaces. torch is not imported
    for this; if the block imports it, its state afterwards is that of a fresh import. The state is global: changes of
    other threads during the block are lost.
    """
    environment = dict(os.environ)
    python, numpy = random.getstate(), np.random.get_state()  # the global generators, which the caller may use
    excepthook, exit_function = sys.excepthook, sys.exit
    torch_state = TorchState.current() if "torch" in sys.modules else None
    try:
        with warnings.catch_warnings():
            yield
    finally:
        _restore_environment(environment)
        sys.excepthook, sys.exit = excepthook, exit_function
        random.setstate(python)
        np.random.set_state(numpy)
        if "torch" in sys.modules:
            (torch_state or TorchState()).restore()


@contextmanager
def environment_without(prefix: str) -> Iterator[None]:
    """Remove the environment variables that begin so within the block; they are there again afterwards."""
    before = {name: value for name, value in os.environ.items() if name.startswith(prefix)}
    for name in before:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(before)


def _restore_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys() - {*KEPT_VARIABLES}:
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


@dataclass(frozen=True)
class TorchState:
    """The global settings of torch that training changes; the defaults are those of a fresh import.

    Attributes:
        cpu_generator: state of the default generator, uint8; None = a new random seed, as after an import.
        gpu_generators: state of every CUDA device's generator, uint8; None while CUDA is not initialized.
        mps_generator: state of the generator of Apple's GPU, uint8; None without one.
        deterministic: whether deterministic algorithms are used.
        warn_only: whether an operator without one only warns.
        cudnn_benchmark: whether cuDNN times its algorithms.
        cudnn_deterministic: whether cuDNN uses deterministic algorithms only.
        matmul_precision: "highest", "high" or "medium".
        dtype: dtype of new tensors; None = float32.
        threads: number of threads of an operator; None = unchanged.
    """

    cpu_generator: torch.Tensor | None = None
    gpu_generators: Sequence[torch.Tensor] | None = None
    mps_generator: torch.Tensor | None = None
    deterministic: bool = False
    warn_only: bool = False
    cudnn_benchmark: bool = False
    cudnn_deterministic: bool = False
    matmul_precision: str = "highest"
    dtype: torch.dtype | None = None
    threads: int | None = None

    @classmethod
    def current(cls) -> Self:
        """Return the current settings."""
        import torch

        return cls(
            cpu_generator=torch.get_rng_state(),
            gpu_generators=torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None,  # type: ignore[no-untyped-call]
            mps_generator=torch.mps.get_rng_state() if torch.backends.mps.is_available() else None,
            deterministic=torch.are_deterministic_algorithms_enabled(),
            warn_only=torch.is_deterministic_algorithms_warn_only_enabled(),
            cudnn_benchmark=torch.backends.cudnn.benchmark,
            cudnn_deterministic=torch.backends.cudnn.deterministic,
            matmul_precision=torch.get_float32_matmul_precision(),
            dtype=torch.get_default_dtype(),
            threads=torch.get_num_threads(),
        )

    def restore(self) -> None:
        """Make these the settings of torch again."""
        import torch

        if self.cpu_generator is None:
            torch.seed()
        else:
            torch.set_rng_state(self.cpu_generator)
            if torch.cuda.is_available() and self.gpu_generators is None:
                torch.cuda.manual_seed_all(torch.initial_seed())  # the seed that their generators would have had
        if self.gpu_generators is not None:
            torch.cuda.set_rng_state_all(self.gpu_generators)
        if self.mps_generator is not None:
            torch.mps.set_rng_state(self.mps_generator)
        torch.use_deterministic_algorithms(self.deterministic, warn_only=self.warn_only)
        torch.backends.cudnn.benchmark = self.cudnn_benchmark
        torch.backends.cudnn.deterministic = self.cudnn_deterministic
        if torch.get_float32_matmul_precision() != self.matmul_precision:
            torch.set_float32_matmul_precision(self.matmul_precision)
        torch.set_default_dtype(self.dtype or torch.float32)
        if self.threads is not None and torch.get_num_threads() != self.threads:
            torch.set_num_threads(self.threads)
