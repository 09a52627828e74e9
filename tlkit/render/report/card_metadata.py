"""The metadata block of a model card: YAML front matter that the Hugging Face hub and `ModelCard.load` read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import yaml

from tlkit.choices import MIN_CELL_SIZE
from tlkit.render.published_figures import PublishedFigure, published_figures
from tlkit.stats.estimate import Estimate

if TYPE_CHECKING:
    from tlkit.render.report.run_contents import RunContents

TASK = "image-classification"
HUB_LICENSES = (
    *("apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "gpl-3.0", "agpl-3.0", "lgpl-3.0", "openrail"),
    *("cc", "cc0-1.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
    *("cc-by-nd-4.0", "cc-by-nc-nd-4.0", "unlicense", "apple-amlr", "apple-ascl", "unknown"),
)
"""Identifiers of the hub that weights for images carry; another licence is "other", with its name."""
WRITTEN_OUT = (
    (r"apache.*2", "apache-2.0"),
    (r"^(the )?mit( licen[sc]e)?$", "mit"),
    (r"^bsd 3|bsd-3|3-clause", "bsd-3-clause"),
    (r"^bsd( licen[sc]e)?$", "bsd"),
)
"""Patterns of licences as packages write them out, and the hub's identifier."""
METRICS = (("accuracy", "accuracy"), ("balanced_accuracy", "balanced_accuracy"), ("macro_f1", "f1"))
"""The main figures of an evaluation, and the hub's word for each."""


def card_metadata(run: RunContents, *, min_cell_size: int = MIN_CELL_SIZE) -> str:
    """Return the front matter of a run's model card, with the lines "---" around it.

    It states licence, library, task, tags, base model, data set and metrics as the hub's model card metadata does
    (https://huggingface.co/docs/hub/model-cards). The licence is that of the pretrained weights, which binds what is
    trained from them. Names from the recipe are reduced to letters, digits, points, - and _.
    """
    recipe, weights = _recipe(run.recipe_text), run.environment.get("weights", {})
    data = _slug(name_of_data(run.recipe_text) or run.title)
    values: dict[str, Any] = {
        **hub_license(str(weights.get("license") or "unknown")),
        "library_name": "tlkit",
        "pipeline_tag": TASK,
        "tags": _tags(recipe),
        **_base_model(weights),
        "datasets": [data],
        "metrics": [word for _, word in METRICS],
        "model-index": [{"name": _slug(run.title), "results": [_result(run, data, min_cell_size)]}],
    }
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip()}\n---"


def front_matter(
    *,
    title: str,
    recipe_text: str,
    environment: Mapping[str, Any],
    metrics: Mapping[str, tuple[Estimate, str]],
    split: str,
) -> str:
    """Return the front matter of the card of a model of several labels, grades, numbers or masks.

    Args:
        title: name of the model.
        recipe_text: the resolved recipe.
        environment: with the weights and the fingerprint of the data.
        metrics: figures by name, each with the hub's word.
        split: the assessed split.
    """
    recipe, weights = _recipe(recipe_text), environment.get("weights", {})
    data, task = _slug(name_of_data(recipe_text) or title), str(recipe.get("task"))
    kinds = {"multilabel": TASK, "segmentation": "image-segmentation", "detection": "object-detection"}
    kind = kinds.get(task, "image-feature-extraction")
    dataset: dict[str, Any] = {"name": data, "type": data, "split": split}
    if fingerprint := environment.get("data", {}).get("fingerprint"):
        dataset["args"] = {"fingerprint": str(fingerprint)}
    found = [_metric(estimate, name, word) for name, (estimate, word) in metrics.items()]
    result = {"task": {"type": kind, "name": task}, "dataset": dataset, "metrics": [one for one in found if one]}
    values: dict[str, Any] = {
        **hub_license(str(weights.get("license") or "unknown")),
        "library_name": "tlkit",
        "pipeline_tag": kind,
        "tags": [kind, task, *_tags(recipe)[1:]],
        **_base_model(weights),
        "datasets": [data],
        "metrics": list(dict.fromkeys(word for _, word in metrics.values())),
        "model-index": [{"name": _slug(title), "results": [result]}],
    }
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True).rstrip()}\n---"


def _result(run: RunContents, data: str, min_cell_size: int) -> dict[str, Any]:
    """Return the metrics of the assessed split as an entry of a model index."""
    evaluation = run.evaluation
    metrics = [_metric(getattr(evaluation, name), name.replace("_", " "), word) for name, word in METRICS]
    if evaluation.without_leaks is not None:
        metrics += [
            _metric(getattr(evaluation.without_leaks, name), f"{name.replace('_', ' ')} without leaks", word)
            for name, word in METRICS
        ]
    if run.audit is not None:
        published = published_figures(evaluation, run.audit, min_cell_size=min_cell_size)
        metrics += [_group_metric(one) for one in published.shown if one.group]
    dataset: dict[str, Any] = {"name": data, "type": data, "split": run.split}
    fingerprint = run.environment.get("data", {}).get("fingerprint")
    if fingerprint:
        dataset["args"] = {"fingerprint": str(fingerprint)}
    return {
        "task": {"type": TASK, "name": "Image classification"},
        "dataset": dataset,
        "metrics": [
            {**metric, "args": {**metric["args"], "confidence": evaluation.confidence}} for metric in metrics if metric
        ],
    }


def _group_metric(figure: PublishedFigure) -> dict[str, Any]:
    """Return the accuracy of a group; empty for other rates, and where it has an interval only."""
    if figure.metric != "accuracy" or figure.value is None:
        return {}
    estimate = Estimate(figure.value, figure.low, figure.high, n=figure.n or 0)
    return _metric(estimate, f"accuracy of {figure.slice}", "accuracy")


def _metric(estimate: Estimate, name: str, word: str) -> dict[str, Any]:
    """Return a figure with its interval; empty where it is undefined."""
    if estimate.value is None:
        return {}
    args: dict[str, Any] = {"images": estimate.n}
    if estimate.low is not None and estimate.high is not None:
        args["interval"] = [round(float(estimate.low), 4), round(float(estimate.high), 4)]
    return {"type": word, "name": name, "value": round(float(estimate.value), 4), "args": args}


def hub_license(text: str) -> dict[str, str]:
    """Return the hub's licence identifier, or "other" with the name.

    Example:
        >>> hub_license("Apache Software License 2.0"), hub_license("SEER license")
        ({'license': 'apache-2.0'}, {'license': 'other', 'license_name': 'seer-license'})
    """
    plain = text.strip().lower()
    found = next((word for pattern, word in WRITTEN_OUT if re.search(pattern, plain)), plain)
    if found in HUB_LICENSES:
        return {"license": found}
    return {"license": "other", "license_name": _slug(plain)}


def _tags(recipe: Mapping[str, Any]) -> list[str]:
    """Return the task, the architecture and the strategy as tags."""
    model, strategy = recipe.get("model"), recipe.get("strategy")
    named = [
        str(model.get("name", "")).partition(".")[0] if isinstance(model, Mapping) else "",
        str(strategy.get("kind", "")) if isinstance(strategy, Mapping) else str(strategy or ""),
    ]
    return [TASK, "transfer-learning", "timm", *(_slug(tag) for tag in named if tag)]


def _base_model(weights: Mapping[str, Any]) -> dict[str, str]:
    """Return the hub's repository of the pretrained weights; empty where they come from elsewhere."""
    source, origin = str(weights.get("source", "")), str(weights.get("origin", ""))
    if source == "hub" and origin:
        return {"base_model": origin if "/" in origin else f"timm/{origin}"}
    return {"base_model": source.removeprefix("hf-hub:")} if source.startswith("hf-hub:") else {}


def _recipe(text: str) -> Mapping[str, Any]:
    """Return a recipe's sections; empty where the text is no recipe."""
    try:
        read = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    return read if isinstance(read, Mapping) else {}


def name_of_data(recipe_text: str) -> str | None:
    """Return the last part of the path of the images in a recipe; None where it has none, or several."""
    section = _recipe(recipe_text).get("data")
    root = section.get("root") or section.get("manifest") if isinstance(section, Mapping) else None
    return re.split(r"[/\\]", root.rstrip("/\\"))[-1] if isinstance(root, str) else None


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-.") or "unnamed"
