"""The images of a run as a Croissant description (MLCommons, Croissant format 1.0)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlkit.evidence.run_facts import RunFacts
from tlkit.render.report.card_metadata import name_of_data
from tlkit.render.report.sections.dataset_section import data_sentence

_CR = "http://mlcommons.org/croissant/"
SPLITS_URL = {"train": f"{_CR}TrainingSplit", "val": f"{_CR}ValidationSplit", "test": f"{_CR}TestSplit"}
MEANING = {
    "path": "Path of the image, relative to the folder of the images.",
    "label": "The class that the image was given.",
    "split": "train, val or test.",
    "digest": "SHA-256 of the image file.",
}
GROUP = "Group column that came with the data; never an input of the model. No attribute is inferred from an image."
_WORDS = (
    *("citeAs", "column", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format"),
    *("includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex"),
    *("repeated", "replace", "samplingRate", "separator", "source", "subField", "transform"),
)
CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": _CR,
    "dct": "http://purl.org/dc/terms/",
    "rai": f"{_CR}RAI/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{word: f"cr:{word}" for word in _WORDS},
}


def croissant(facts: RunFacts) -> dict[str, Any]:
    """Return the description of a run's images: the table split.csv, its columns, the classes and the splits.

    It holds names and digests, no value of a single image and no count of a group. The images themselves lie where the
    run found them and are not part of it. Licence and source are those that the data states; tlkit knows no others.
    """
    run, data = facts.contents, facts.environment.get("data", {})
    fingerprint = str(data.get("fingerprint", "unknown"))
    columns = [*MEANING, *(name for name in facts.group_columns if name not in MEANING)]
    described: dict[str, Any] = {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": f"{_CR}1.0",
        "name": name_of_data(run.recipe_text) or run.title,
        "description": f"{data_sentence(run.counts)} Images of the run {run.title}, with their split.",
        "url": f"urn:sha256:{fingerprint}",
        "identifier": f"sha256:{fingerprint}",
        "version": "1.0.0",
    }
    if facts.created:
        described["dateModified"] = facts.created
    if run.attribution:
        described["license"] = run.attribution.strip()
        described["creditText"] = run.attribution.strip()
    described |= {
        "rai:dataCollection": "Not stated: the files do not tell how and why they were collected.",
        "rai:dataLimitation": list(facts.limits),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": "split.csv",
                "name": "split.csv",
                "description": "One row per readable image. It lies in the folder of the run.",
                "contentUrl": "split.csv",
                "encodingFormat": "text/csv",
                "sha256": facts.sha256("split.csv"),
            }
        ],
        "recordSet": [_enumeration("classes", list(run.evaluation.classes)), _splits(facts), _images(columns)],
    }
    return described


def _images(columns: list[str]) -> dict[str, Any]:
    fields = []
    for name in columns:
        identifier = f"images/{name}"
        field: dict[str, Any] = {
            "@type": "cr:Field",
            "@id": identifier,
            "name": name,
            "description": MEANING.get(name, GROUP),
            "dataType": "sc:Text",
            "source": {"fileObject": {"@id": "split.csv"}, "extract": {"column": name}},
        }
        if name in ("label", "split"):
            target = {"label": "classes/name", "split": "splits/name"}[name]
            field["references"] = {"field": {"@id": target}}
        fields.append(field)
    return {
        "@type": "cr:RecordSet",
        "@id": "images",
        "name": "images",
        "description": "The images with their class, split, digest and groups.",
        "key": {"@id": "images/path"},
        "field": fields,
    }


def _enumeration(name: str, values: list[str]) -> dict[str, Any]:
    identifier = f"{name}/name"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "dataType": "sc:Enumeration",
        "key": {"@id": identifier},
        "field": [{"@type": "cr:Field", "@id": identifier, "name": "name", "dataType": "sc:Text"}],
        "data": [{identifier: value} for value in values],
    }


def _splits(facts: RunFacts) -> dict[str, Any]:
    counts = facts.contents.counts
    splits = _enumeration("splits", [name for name in SPLITS_URL if name in counts and counts[name].sum()])
    splits["dataType"] = ["sc:Enumeration", "cr:Split"]
    splits["field"].append({"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"})
    for row in splits["data"]:
        row["splits/url"] = SPLITS_URL[row["splits/name"]]
    return splits
