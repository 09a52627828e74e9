"""The defaults of the command line are those of the functions behind it."""

from __future__ import annotations

import inspect

import pytest
from typer.main import get_command

from tlkit.analysis.advise import advise
from tlkit.analysis.audit_labels import audit_labels
from tlkit.analysis.drift import drift
from tlkit.analysis.find_errors import find_errors
from tlkit.analysis.find_unknown import find_unknown
from tlkit.analysis.label_next import label_next
from tlkit.analysis.repair import repair
from tlkit.analysis.run_analyses import learning_curve
from tlkit.analysis.zero_shot import zero_shot
from tlkit.audit import Audit
from tlkit.cli.app import app
from tlkit.data.splits.hold_out import SplitPlan
from tlkit.datasets.digit_scenes import make_digit_scenes
from tlkit.datasets.digits import make_digits
from tlkit.datasets.occupations import make_occupations
from tlkit.evidence.evidence import write_evidence
from tlkit.inference.predictor import Predictor, load_predictor
from tlkit.runs.answer_rules import AnswerRules
from tlkit.training.tune import find_learning_rate
from tlkit.uncertainty import assess_abstention, assess_sets

COMMANDS = [
    ("audit", Audit.export, {"min_cell_size"}),
    ("evidence", write_evidence, {"min_cell_size", "bom_version", "overwrite"}),
    ("advise", advise, {"folds", "download"}),
    ("repair", repair, {"margin", "overwrite", "allow_attribute"}),
    ("learning-curve", learning_curve, {"head", "folds", "repeats"}),
    ("errors", find_errors, set()),
    ("unknown", find_unknown, {"score", "false_alarms", "store"}),
    ("drift", drift, {"alpha"}),
    ("label-next", label_next, {"count", "by", "forecast"}),
    ("predict", load_predictor, {"device"}),
    ("predict", Predictor.predict, {"engine", "tta"}),
    ("predict", AnswerRules.of, {"tta"}),
    ("zero-shot", zero_shot, {"templates", "device"}),
    ("conformal", assess_sets, {"coverage", "method", "condition"}),
    ("abstain", assess_abstention, {"delta"}),
    ("data labels", audit_labels, {"head", "folds"}),
    ("data sample", make_digits, {"seed"}),
    ("data sample", make_digit_scenes, {"seed"}),
    ("data sample", make_occupations, {"seed"}),
    ("data split", SplitPlan, {"val", "test", "fold", "stratify", "seed"}),
    ("recipe tune", find_learning_rate, {"steps"}),
]
"""Command, the function that it calls, and the options of both that have a default other than None."""


@pytest.mark.parametrize(("command", "function", "names"), COMMANDS)
def test_options_have_the_defaults_of_the_function(command, function, names):
    parser = get_command(app)
    for word in command.split():
        parser = parser.commands[word]
    options = {option.name: option.default for option in parser.params if option.default not in (None, ...)}
    parameters = inspect.signature(function).parameters
    defaults = {
        name: one.default
        for name, one in parameters.items()
        if one.default is not one.empty and one.default not in (None, ())
    }
    assert options.keys() & defaults.keys() == names
    assert {name: options[name] for name in names} == {name: defaults[name] for name in names}
