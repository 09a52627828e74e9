"""Helpers that stop or kill a fit at a chosen point, and compare what it leaves.

Fits in processes of their own are forked from a server that has imported everything, so they cost little more than
their training.
"""

from __future__ import annotations

import faulthandler
import hashlib
import json
import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    [
        "tlkit.training.run_training",
        "tlkit.training.nonzero_rank",
        "tlkit.evaluation",
        "tlkit.render.report",
        "sklearn.metrics",
    ]
)
TIMEOUT_S = 240
CUT = {
    "name": "cut",
    "data.batch_size": 4,
    "train.epochs": 3,
    "train.checkpoint_every": 3,
    "model.drop_rate": 0.3,
    "augment.preset": "light",
    "report.enabled": False,
}


def fit_apart(folder: Path, recipe: Path, overrides: dict[str, Any], *, resume: bool = False, **sabotage: Any) -> int:
    """Fit in a process of its own with `folder` as working directory; return its exit code, negative for a signal.

    Args:
        folder: where to run; the events by kind go to `events` in it, the log to `log`.
        recipe: the recipe.
        overrides: changes to it.
        resume: whether to resume.
        sabotage: `kind` and `at`: the event to kill at, from 1 within its kind; `with_signal`: the signal, to the
            process or, with `worker`, to one of its worker processes.
    """
    process = SERVER.Process(target=_fit, args=(folder, recipe, overrides, resume, sabotage))
    process.start()
    process.join(TIMEOUT_S)
    if process.is_alive():
        process.kill()
        raise AssertionError("the process hangs")
    return process.exitcode


def fit_together(
    folder: Path, recipe: Path, overrides: dict[str, Any], *, resume: bool = False, victim: int = 0, **sabotage: Any
) -> list[int]:
    """Fit in two forked processes as torchrun starts them; where one fails, the other gets SIGTERM.

    Args:
        folder: where to run; rank 0's log goes to `log` in it, and rank 1's to `log-1`.
        recipe: the recipe; `train.devices` must be 2 or auto.
        overrides: changes to it.
        resume: whether to resume.
        victim: rank of the process to kill.
        sabotage: as `fit_apart` takes it.

    Returns:
        Their exit codes.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = [
        SERVER.Process(
            target=_fit, args=(folder, recipe, overrides, resume, sabotage if rank == victim else {}, (rank, port))
        )
        for rank in (0, 1)
    ]
    for process in processes:
        process.start()
    until = time.monotonic() + TIMEOUT_S
    while any(process.is_alive() for process in processes) and time.monotonic() < until:
        if any(process.exitcode for process in processes):
            for process in processes:
                process.terminate()
            break
        time.sleep(0.05)
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
    hanging = [rank for rank, process in enumerate(processes) if process.is_alive()]
    for process in processes:
        process.kill()
    said = "".join(file.read_text() for file in sorted(folder.glob("log*")))
    assert not hanging, f"processes {hanging} of 2 hang; exit codes {[p.exitcode for p in processes]}:\n{said}"
    return [process.exitcode for process in processes]


def count_events(folder: Path) -> dict[str, int]:
    """Return the number of events of each kind in the last fit that was not killed."""
    return json.loads((folder / "events").read_text())


def interrupt_after(patch: pytest.MonkeyPatch, batches: int, number: int = signal.SIGINT) -> None:
    """Send this process a real signal after a number of training batches."""

    def signal_self(_keeper: Any) -> None:
        os.kill(os.getpid(), number)
        time.sleep(0.01)

    _after(patch, batches, signal_self)


def stop_after(patch: pytest.MonkeyPatch, batches: int, error: BaseException | None = None) -> None:
    """Request a stop, or raise an error, after a number of training batches."""

    def stop(keeper: Any) -> None:
        if error is not None:
            raise error
        keeper._stop.requested = True

    _after(patch, batches, stop)


def _after(patch: pytest.MonkeyPatch, batches: int, action: Callable[[Any], None]) -> None:
    from tlkit.training.checkpoint_callback import KeepCheckpoints

    seen = []
    original = KeepCheckpoints.on_train_batch_end

    def counting(self, *arguments):
        seen.append(1)
        if len(seen) == batches:
            action(self)
        return original(self, *arguments)

    patch.setattr(KeepCheckpoints, "on_train_batch_end", counting)


def model_bytes(run: Any) -> bytes:
    """Return the bytes of a run's stored tensors."""
    return (run.directory.model / "model.safetensors").read_bytes()


def outcome(folder: Path) -> dict[str, object]:
    """Return the results of a fit: weights, optimizer, schedule, metrics, random numbers, predictions."""
    run = folder / "runs" / "cut"
    last = torch.load(run / "checkpoints" / "epoch-0003.ckpt", weights_only=True)
    rng = dict(map(json.loads, (folder / "rng").read_text().splitlines()))
    for rest in (".partial", ".lock"):
        assert not [path for path in folder.rglob("*") if path.name.endswith(rest)]
    return {
        "model": (run / "model" / "model.safetensors").read_bytes(),
        "metrics": (run / "metrics.csv").read_bytes(),
        "predictions": (run / "predictions" / "val.parquet").read_bytes(),
        "status": json.loads((run / "run.json").read_text())["status"],
        "rng": rng,
        **{name: last[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "epoch", "global_step")},
        "callbacks": last["callbacks"],
    }


def same(one: object, two: object) -> bool:
    """Return whether two nested values are equal, tensors to the bit."""
    if isinstance(one, torch.Tensor):
        return isinstance(two, torch.Tensor) and one.dtype == two.dtype and torch.equal(one, two)
    if isinstance(one, dict):
        return isinstance(two, dict) and list(one) == list(two) and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return isinstance(two, list | tuple) and len(one) == len(two) and all(map(same, one, two))
    return one == two


def begun(folder: Path) -> bool:
    """Return whether there is a run to resume; before that a run is started again."""
    return (folder / "runs" / "cut" / "run.json").is_file()


def assert_same(folder: Path, whole: Path) -> None:
    found, expected = outcome(folder), outcome(whole)
    different = [name for name in expected if not same(found[name], expected[name])]
    assert not different


def _fit(
    folder: Path,
    recipe: Path,
    overrides: dict[str, Any],
    resume: bool,
    sabotage: dict[str, Any],
    together: tuple[int, int] | None = None,
) -> None:
    os.chdir(folder)
    os.environ["TLKIT_CACHE"] = f"{folder}-cache"  # of its own, so that it computes all features
    rank = together[0] if together else 0
    if together:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "LOCAL_WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(together[1]),
            "TORCHELASTIC_RUN_ID": "test",
        }
        stacks = Path(f"log-stacks-{rank}").open("w")  # noqa: SIM115  open until the process ends
        faulthandler.dump_traceback_later(TIMEOUT_S - 10, file=stacks)  # where it hangs, if it does
    import logging
    import warnings

    from tlkit.errors import TlkitError
    from tlkit.training.fit import fit

    multiprocessing.set_start_method("fork", force=True)  # for the loader's workers: as in a process of the user's
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.getLogger("tlkit").setLevel(logging.INFO)
    logging.getLogger("tlkit").addHandler(logging.FileHandler(f"log-{rank}" if rank else "log"))
    events = _Events(**sabotage)
    events.watch()
    try:
        run = fit(recipe, overrides, resume=resume)
        Path("events").write_text(json.dumps(events.counts))
    except TlkitError as error:
        logging.getLogger("tlkit").error("%s", error)
        sys.exit(2)
    sys.exit(130 if run.status == "interrupted" else 0)


class _Events:
    """Counts the points where a process may be killed, by kind, and kills at one of them."""

    def __init__(self, *, kind: str = "", at: int = 0, with_signal: int = signal.SIGKILL, worker: bool = False) -> None:
        self.counts: dict[str, int] = {}
        self._kind, self._at, self._signal, self._worker = kind, at, with_signal, worker

    def watch(self) -> None:
        """Count the points within a step, between steps, epochs and phases, and every write, sync and renaming."""
        from tlkit.features import cache
        from tlkit.inference import extraction as extract
        from tlkit.models.classifier import Classifier
        from tlkit.training import callbacks
        from tlkit.training.checkpoint_callback import KeepCheckpoints
        from tlkit.training.hashed_file import HashedFile

        for kind, owner, name in (
            ("before a step", Classifier, "on_before_optimizer_step"),
            ("after a batch", KeepCheckpoints, "on_train_batch_end"),
            ("start of an epoch", Classifier, "on_train_epoch_start"),
            ("validation", Classifier, "validation_step"),
            ("metrics", callbacks.MetricsRecorder, "on_train_epoch_end"),
            ("end of an epoch", KeepCheckpoints, "on_train_epoch_end"),
            ("phase", Classifier, "enter_phase"),
            ("sync", os, "fsync"),
            ("renaming", Path, "replace"),
            ("batch of features", extract, "filled"),
            ("block of features", cache, "write_block"),
        ):
            setattr(owner, name, self._counted(kind, getattr(owner, name)))
        write, note = HashedFile.write, KeepCheckpoints.on_train_epoch_end

        def half(file: Any, data: bytes) -> int:
            if self._is_next("write"):
                file._file.write(bytes(data)[: len(data) // 2])
                file._file.flush()
            self._event("write")
            return write(file, data)

        def noted(keeper: Any, trainer: Any, module: Any) -> None:
            with Path("rng").open("a") as file:
                state = hashlib.sha256(torch.get_rng_state().numpy().tobytes()).hexdigest()
                file.write(json.dumps([trainer.current_epoch, state]) + "\n")
            note(keeper, trainer, module)

        HashedFile.write, KeepCheckpoints.on_train_epoch_end = half, noted

    def _counted(self, kind: str, function: Any) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            self._event(kind)
            return function(*arguments, **options)

        return counted

    def _is_next(self, kind: str) -> bool:
        return kind == self._kind and self.counts.get(kind, 0) + 1 == self._at

    def _event(self, kind: str) -> None:
        strikes = self._is_next(kind)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        if strikes:
            children = multiprocessing.active_children()
            assert children or not self._worker
            os.kill(children[0].pid if self._worker else os.getpid(), self._signal)
