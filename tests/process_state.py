"""The state of a process that a library could change: read it, and name the differences."""

from __future__ import annotations

import gc
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings

LOGGERS = (None, "pytorch_lightning", "lightning", "lightning_fabric", "wandb", "torch", "timm", "matplotlib", "PIL")
FROZEN = "frozen objects"
"""Their number falls whenever one of them ends, so only a larger one is a difference."""


def process_state():
    """Return the state of this process by name, without loading any module that is not loaded."""
    loggers = [logging.getLogger(name) for name in LOGGERS if name is None or name in logging.root.manager.loggerDict]
    state = {
        **{f"environment variable {name}": value for name, value in os.environ.items()},
        **{f"handler of {number.name}": signal.getsignal(number) for number in signal.Signals},
        **{f"logging of {one.name}": (one.level, tuple(one.handlers), one.propagate, one.disabled) for one in loggers},
        "logging.disable": logging.root.manager.disable,
        "garbage collection": (gc.get_threshold(), gc.isenabled()),
        FROZEN: gc.get_freeze_count(),
        "random": random.getstate(),
        "warnings.filters": tuple(map(str, warnings.filters)),
        "warnings.showwarning": warnings.showwarning,
        "working directory": os.getcwd(),  # noqa: PTH109
        "locale": locale.setlocale(locale.LC_ALL),
        "umask": _umask(),
        "sys hooks": (
            sys.excepthook,
            sys.displayhook,
            sys.exit,
            threading.excepthook,
            sys.gettrace(),
            sys.getprofile(),
        ),
        "standard streams": (sys.stdin, sys.stdout, sys.stderr),
        "recursion limit": sys.getrecursionlimit(),
        "module search": (tuple(sys.path), tuple(map(repr, sys.meta_path)), tuple(map(repr, sys.path_hooks))),
        "threads of Python": threading.active_count(),
    }
    for name, read in (("numpy", _numpy), ("torch", _torch), ("cv2", _cv2), ("matplotlib", _matplotlib)):
        if (module := sys.modules.get(name)) is not None:
            state |= read(module)
    return state


def differences(before, after, *, ignored=()):
    """Return what has changed, by name; what belongs to a module that was loaded since is left out."""
    names = [name for name in sorted({*before, *after}) if name not in ignored]
    loaded_since = ("numpy ", "torch ", "cv2 ", "matplotlib ", "logging of ")
    names = [name for name in names if name in before or not name.startswith(loaded_since)]
    changed = [name for name in names if before.get(name) != after.get(name)]
    return {
        name: (before.get(name), after.get(name)) for name in changed if name != FROZEN or after[name] > before[name]
    }


def _umask():
    value = os.umask(0)
    os.umask(value)
    return value


def _numpy(numpy):
    kind, keys, *rest = numpy.random.get_state()
    return {
        "numpy random": (kind, keys.tobytes(), *rest),
        "numpy errors": numpy.geterr(),
        "numpy print options": repr(numpy.get_printoptions()),
    }


def _torch(torch):
    state = {
        "torch random": torch.get_rng_state().numpy().tobytes(),
        "torch initial seed": torch.initial_seed(),
        "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch deterministic algorithms": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.get_deterministic_debug_mode(),
        ),
        "torch cudnn": (
            torch.backends.cudnn.enabled,
            torch.backends.cudnn.benchmark,
            torch.backends.cudnn.deterministic,
            torch.backends.cudnn.allow_tf32,
        ),
        "torch matmul": (torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32),
        "torch default": (torch.get_default_dtype(), torch.get_default_device()),
        "torch gradients": (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        "torch autocast": (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
        "torch sharing": torch.multiprocessing.get_sharing_strategy(),
        "torch print options": repr(vars(torch._tensor_str.PRINT_OPTS)),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["torch random of GPUs"] = [one.numpy().tobytes() for one in torch.cuda.get_rng_state_all()]
        state["torch current GPU"] = torch.cuda.current_device()
    return state


def _cv2(cv2):
    return {"cv2 threads": cv2.getNumThreads(), "cv2 OpenCL": cv2.ocl.useOpenCL()}


def _matplotlib(matplotlib):
    return {"matplotlib settings": repr(sorted(dict.items(matplotlib.rcParams)))}  # reading a backend would choose it
