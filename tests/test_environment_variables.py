"""Environment variables that stop Lightning or matplotlib at their import are refused, with what to do."""

from __future__ import annotations

import subprocess
import sys

import pytest
from messages import says

from tlkit.environment_variables import require_usable_variables
from tlkit.errors import TlkitError


@pytest.mark.parametrize("name", ["RANK", "LOCAL_RANK", "SLURM_PROCID", "JSM_NAMESPACE_RANK"])
@pytest.mark.parametrize("value", ["first", "", "1.5", "-1"])
def test_a_rank_that_is_no_number_is_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(TlkitError) as error:
        require_usable_variables()
    assert says(str(error.value), name, repr(value), "Unset it")
    monkeypatch.setenv(name, "3")
    require_usable_variables()


@pytest.mark.parametrize("value", ["agg", "Agg", "module://matplotlib_inline.backend_inline", "", "svg"])
def test_backends_of_matplotlib_are_accepted(monkeypatch, value):
    monkeypatch.setenv("MPLBACKEND", value)
    require_usable_variables()


def test_the_command_line_refuses_all_at_once_with_exit_code_2():
    """In a process of its own: matplotlib reads its variable when it is imported."""
    done = subprocess.run(
        [sys.executable, "-m", "tlkit", "runs", "."],
        env={"PATH": "", "RANK": "x", "MPLBACKEND": "no-such-backend", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert says(done.stderr, "RANK is 'x'", "MPLBACKEND is 'no-such-backend'")
