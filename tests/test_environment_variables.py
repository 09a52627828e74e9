"""Environment variables by which libraries fail are refused, with what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest
from messages import says

from tlkit.environment_variables import require_usable_variables
from tlkit.errors import TlkitError

RANKS = ["RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"]


def rank_of_lightning():
    """Return the number of this process that Lightning reads, or the error's class."""
    from lightning_fabric.utilities import rank_zero

    try:
        return rank_zero._get_rank()
    except ValueError:
        return ValueError


@pytest.mark.parametrize("name", RANKS)
@pytest.mark.parametrize("value", ["first", "", "1.5", "-1", " 3 ", "+2", "0"])
@pytest.mark.parametrize("other", [None, *RANKS])
def test_a_rank_is_refused_where_lightning_cannot_read_it(monkeypatch, name, value, other):
    for variable in RANKS:
        monkeypatch.delenv(variable, raising=False)
    if other is not None:
        monkeypatch.setenv(other, "1")
    monkeypatch.setenv(name, value)
    if rank_of_lightning() is not ValueError:
        require_usable_variables()
        return
    with pytest.raises(TlkitError) as error:
        require_usable_variables()
    assert says(str(error.value), name, repr(value), "Unset it")


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("SOURCE_DATE_EPOCH", "today", "1700000000"),
        ("LOKY_MAX_CPU_COUNT", "", "4"),
        ("SKLEARN_WORKING_MEMORY", "1GB", " 512"),
        ("HF_HUB_DOWNLOAD_TIMEOUT", "10s", "10"),
        ("TIMM_FUSED_ATTN", "yes", "1"),
        ("TQDM_MININTERVAL", "slow", "0.5"),
        ("TQDM_NCOLS", "80.5", "80"),
        ("TERMINAL_WIDTH", "wide", ""),
        ("NODE_RANK", "first", "0"),
        ("TORCHINDUCTOR_COMPILE_THREADS", "all", "2"),
        ("OPENCV_IO_MAX_IMAGE_PIXELS", "many", "64MB"),
        ("OPENCV_FOR_THREADS_NUM", "all", "4"),
    ],
)
def test_text_where_a_library_reads_a_number_is_refused(monkeypatch, name, wrong, right):
    monkeypatch.setenv(name, wrong)
    with pytest.raises(TlkitError) as error:
        require_usable_variables()
    assert says(str(error.value), name, repr(wrong), "Unset it")
    monkeypatch.setenv(name, right)
    require_usable_variables()


@pytest.mark.parametrize("value", ["agg", "Agg", "module://matplotlib_inline.backend_inline", "", "svg"])
def test_backends_of_matplotlib_are_accepted(monkeypatch, value):
    monkeypatch.setenv("MPLBACKEND", value)
    require_usable_variables()


def test_the_command_line_refuses_all_at_once_with_exit_code_2():
    """In a process of its own: libraries read their variables when they are imported."""
    done = subprocess.run(
        [sys.executable, "-m", "tlkit", "--help"],
        env={
            "PATH": "",
            "RANK": "x",
            "MPLBACKEND": "no-such-backend",
            "TORCH_LOGS": "no-such-log",
            "TERMINAL_WIDTH": "wide",
            "PYTHONPATH": ":".join(sys.path),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert says(done.stderr, "RANK is 'x'", "MPLBACKEND is 'no-such-backend'")
    assert says(done.stderr, "TORCH_LOGS is 'no-such-log'") and says(done.stderr, "TERMINAL_WIDTH is 'wide'")
