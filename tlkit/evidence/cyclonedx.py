"""A run as a CycloneDX bill of materials with a model card (ECMA-424, CycloneDX 1.6 and 1.7)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from tlkit.choices import BOM_VERSION, BomVersion
from tlkit.evidence.run_facts import RunFacts, RunFile
from tlkit.render.published_figures import PublishedFigure
from tlkit.render.report.card_metadata import hub_license, name_of_data
from tlkit.render.report.sections.dataset_section import data_sentence

SPDX = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "cc0-1.0": "CC0-1.0",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0",
    "gpl-3.0": "GPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
    "lgpl-3.0": "LGPL-3.0-only",
}
"""The hub's licences and their SPDX identifiers; another licence is given by its name."""
MODEL, WEIGHTS, DATA = "model", "pretrained-weights", "dataset"
NO_STATEMENT = "Not stated by the owner of the model."
_SHA256 = re.compile("[0-9a-f]{64}")


def cyclonedx(facts: RunFacts, *, version: BomVersion = BOM_VERSION) -> dict[str, Any]:
    """Return the bill of materials of a run.

    Its model card has a performance metric for every published figure, with slice and confidence interval, and a
    fairness assessment for every group that fails or cannot be decided. A figure that is not published has no entry.
    Components are the pretrained weights, the images and the packages. Serial number and time come from the run, so
    that equal runs give equal text.

    Args:
        facts: the run.
        version: version of the format.
    """
    packages = [_package(name, str(number)) for name, number in sorted(facts.environment.get("packages", {}).items())]
    components = [*_weights(facts.environment.get("weights", {})), _data(facts), *packages]
    metadata: dict[str, Any] = {
        "tools": {"components": [_package("tlkit", str(facts.environment.get("tlkit", "unknown")))]},
        "component": _model(facts),
    }
    if facts.created:
        metadata = {"timestamp": facts.created, **metadata}
    return {
        "$schema": f"http://cyclonedx.org/schema/bom-{version}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, facts.digest)}",
        "version": 1,
        "metadata": metadata,
        "components": components,
        "dependencies": [
            {"ref": MODEL, "dependsOn": [one["bom-ref"] for one in components]},
            *({"ref": one["bom-ref"]} for one in components),
        ],
    }


def _model(facts: RunFacts) -> dict[str, Any]:
    weights = next((file for file in facts.model_files if file.path.endswith(".safetensors")), None)
    license_text = str(facts.environment.get("weights", {}).get("license") or "unknown")
    return {
        "type": "machine-learning-model",
        "bom-ref": MODEL,
        "name": facts.contents.title,
        "version": facts.digest[:12],
        "description": "Image classifier, fine-tuned with tlkit. The licence is that of the pretrained weights.",
        **({"hashes": [_hash(weights.sha256)]} if weights else {}),
        "licenses": _licenses(license_text),
        "modelCard": _card(facts),
        "components": [_file(file) for file in facts.model_files],
        "properties": _properties({"tlkit:run-digest": facts.digest, "tlkit:split": facts.contents.split}),
    }


def _card(facts: RunFacts) -> dict[str, Any]:
    run, named = facts.contents, facts.setting("model", "name")
    hidden = [
        f"{one.metric} by {one.slice}: {one.rows} of {one.of} not shown (too few images)"
        for one in facts.figures.hidden
    ]
    return {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "image-classification",
            "architectureFamily": "deep neural network",
            **({"modelArchitecture": named} if named else {}),
            "datasets": [{"ref": DATA}],
            "inputs": [{"format": "RGB image"}],
            "outputs": [{"format": f"probability of each of {len(run.evaluation.classes)} classes"}],
        },
        "quantitativeAnalysis": {"performanceMetrics": [_metric(one) for one in facts.figures.shown]},
        "considerations": {
            "useCases": [facts.intended_use or NO_STATEMENT],
            "technicalLimitations": list(facts.limits),
            "fairnessAssessments": _fairness(facts),
        },
        "properties": _properties(
            {
                "tlkit:confidence": f"{run.evaluation.confidence:g}",
                "tlkit:images": str(run.evaluation.n),
                "tlkit:min-cell-size": str(facts.figures.min_cell_size),
                "tlkit:strategy": facts.setting("strategy", "kind"),
                **{f"tlkit:hidden-{place}": text for place, text in enumerate(hidden, start=1)},
            }
        ),
    }


def _metric(figure: PublishedFigure) -> dict[str, Any]:
    metric: dict[str, Any] = {"type": figure.metric, "slice": figure.slice}
    if figure.value is not None:
        metric["value"] = f"{figure.value:g}"
    if figure.low is not None and figure.high is not None:
        metric["confidenceInterval"] = {"lowerBound": f"{figure.low:g}", "upperBound": f"{figure.high:g}"}
    return metric


def _fairness(facts: RunFacts) -> list[dict[str, str]]:
    """Return an assessment for each group that fails or is not decided; others are counted by table."""
    audit, found = facts.contents.audit, []
    if audit is None:
        return [{"groupAtRisk": "Not assessed: no audit across groups was made."}]
    repair = facts.repair
    tried = f"A repair of the head was tried: {repair.verdict}." if repair else "None was tried here."
    for one in facts.figures.shown:
        if one.verdict not in ("FAIL", "NOT ENOUGH DATA"):
            continue
        against = "" if one.difference is None else f", {one.difference.format(signed=True)} against the complement"
        beyond = (
            f"{one.direction}, beyond the tolerance of {audit.settings.tolerance:g}"
            if one.verdict == "FAIL"
            else f"too few images to tell whether it differs by more than the tolerance of {audit.settings.tolerance:g}"
        )
        text = f"{one.verdict}: {one.metric} {one.text}{against}: {beyond}."
        favoured = one.direction == ("below the rest" if "false positive" in one.metric else "above the rest")
        at_risk = f"the images that are not {one.slice}" if favoured else one.slice
        found.append({"groupAtRisk": at_risk, "benefits" if favoured else "harms": text, "mitigationStrategy": tried})
    found += [
        {
            "groupAtRisk": f"{one.slice}: {one.rows} of {one.of} groups, not shown",
            "harms": f"Not shown: too few images ({one.metric}).",
            "mitigationStrategy": tried,
        }
        for one in facts.figures.hidden
        if one.verdict is not None
    ]
    return found


def _weights(weights: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the component of the pretrained weights; empty where training began with random ones."""
    if weights.get("source") in (None, "none"):
        return []
    digest = str(weights.get("digest", ""))
    return [
        {
            "type": "machine-learning-model",
            "bom-ref": WEIGHTS,
            "name": str(weights.get("origin") or "pretrained weights"),
            **({"hashes": [_hash(digest)]} if _SHA256.fullmatch(digest) else {}),
            "licenses": _licenses(str(weights.get("license") or "unknown")),
            "properties": _properties({"tlkit:source": str(weights["source"])}),
        }
    ]


def _data(facts: RunFacts) -> dict[str, Any]:
    run, fingerprint = facts.contents, str(facts.environment.get("data", {}).get("fingerprint", ""))
    name = name_of_data(run.recipe_text) or run.title
    description = f"{data_sentence(run.counts)} Described in croissant.json."
    return {
        "type": "data",
        "bom-ref": DATA,
        "name": name,
        "description": description,
        **({"hashes": [_hash(fingerprint)]} if _SHA256.fullmatch(fingerprint) else {}),
        **({"copyright": run.attribution.strip()} if run.attribution else {}),
        "data": [
            {
                "type": "dataset",
                "name": name,
                "contents": {"properties": _properties({"tlkit:fingerprint": fingerprint or "unknown"})},
                "description": description,
            }
        ],
    }


def _package(name: str, number: str) -> dict[str, Any]:
    """Return a package with its purl (https://github.com/package-url/purl-spec, type pypi)."""
    normal = re.sub(r"[-_.]+", "-", name).lower()
    purl = f"pkg:pypi/{quote(normal)}@{quote(number, safe='')}"
    return {"type": "library", "bom-ref": purl, "name": name, "version": number, "purl": purl}


def _file(file: RunFile) -> dict[str, Any]:
    return {"type": "file", "bom-ref": f"file:{file.path}", "name": file.path, "hashes": [_hash(file.sha256)]}


def _hash(digest: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": digest}


def _licenses(text: str) -> list[dict[str, Any]]:
    spdx = SPDX.get(hub_license(text).get("license", ""))
    return [{"license": {"id": spdx} if spdx else {"name": text}}]


def _properties(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items() if value]
