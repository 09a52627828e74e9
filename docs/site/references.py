"""Generated pages: every recipe key from the schema, every command from the Typer app, every public name."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import tlkit
from tlkit.recipe.dumping import json_schema

Schema = Mapping[str, Any]


def schema_keys(schema: Schema) -> Iterator[tuple[str, Schema]]:
    """Yield (dotted key, its part of the schema) in the order of the recipe; a list of sections continues with []."""
    yield from _keys(schema, schema, "")


def _keys(schema: Schema, part: Schema, before: str) -> Iterator[tuple[str, Schema]]:
    required = part.get("required", [])
    for name, value in part.get("properties", {}).items():
        key = f"{before}{name}"
        yield key, {**value, "required": name in required}
        for inner, is_list in _sections(schema, value):
            yield from _keys(schema, inner, f"{key}[]." if is_list else f"{key}.")


def _sections(schema: Schema, value: Schema) -> Iterator[tuple[Schema, bool]]:
    """Yield the sections that a value may hold, and whether it is a list of them."""
    if "$ref" in value:
        yield schema["$defs"][value["$ref"].rsplit("/", 1)[1]], False
    for one in value.get("anyOf", []):
        yield from _sections(schema, one)
    if "items" in value:
        yield from ((section, True) for section, _ in _sections(schema, value["items"]))


def type_and_range(value: Schema) -> str:  # noqa: PLR0911  one for each kind of schema
    """Return the type of a key and the values that it takes, in words."""
    if "anyOf" in value:
        return " or ".join(dict.fromkeys(type_and_range(one) for one in value["anyOf"]))
    if "$ref" in value:
        return "a mapping of the keys below"
    if "const" in value:
        return _code(value["const"])
    if "enum" in value:
        return "one of " + ", ".join(map(_code, value["enum"]))
    kind = value.get("type")
    if kind == "array":
        if "prefixItems" in value:
            return f"a list of {len(value['prefixItems'])}: {type_and_range(value['prefixItems'][0])} each"
        least = f", at least {value['minItems']}" if value.get("minItems") else ""
        unique = ", each once" if value.get("uniqueItems") else ""
        return f"a list{least}{unique}, each {type_and_range(value['items'])}" if "items" in value else "a list"
    if kind == "object":
        inner = value.get("additionalProperties")
        return f"a mapping to {type_and_range(inner)}" if isinstance(inner, dict) else "a mapping"
    names = {
        "string": "text",
        "integer": "integer",
        "number": "number",
        "boolean": "`true` or `false`",
        "null": "`null`",
    }
    word = names.get(str(kind), str(kind))
    if "pattern" in value:
        word += f" that matches `{value['pattern']}`"
    return word + _range(value)


def _range(value: Schema) -> str:
    low = f"≥ {value['minimum']}" if "minimum" in value else ""
    low = f"> {value['exclusiveMinimum']}" if "exclusiveMinimum" in value else low
    high = f"≤ {value['maximum']:,}" if "maximum" in value else ""
    high = f"< {value['exclusiveMaximum']}" if "exclusiveMaximum" in value else high
    return f" ({', '.join(part for part in (low, high) if part)})" if low or high else ""


def _code(value: Any) -> str:
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def anchor(kind: str, name: str) -> str:
    """Return the anchor of an entry, such as key-data-val."""
    return f"{kind}-" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def recipe_reference() -> str:
    """Return the page of every recipe key: type and range, default, meaning."""
    schema = json_schema()
    merged: dict[str, list[Schema]] = {}
    for key, value in schema_keys(schema):
        merged.setdefault(key, []).append(value)
    lines = [
        "# Recipe reference",
        "",
        "Every key of a recipe with its type and range, its default and its meaning, made from the schema that also",
        "serves editors (`tlkit recipe schema`). Any key can be changed on the command line, as in",
        "`tlkit fit recipe.yaml train.epochs=3`.",
        "An unknown key, or a value out of its range, is an error that names the line and the remedy.",
        "",
    ]
    for key, values in merged.items():
        depth = key.count(".")
        lines += [f"({anchor('key', key)})=", f"{'##' if depth == 0 else '###'} {key}", ""]
        meanings = [one.get("description") for one in values] if depth else [_meaning(schema, values[0])]
        lines += [*dict.fromkeys(_escaped(text) for text in meanings if text), ""]
        lines += [f"- Takes: {'; or '.join(dict.fromkeys(type_and_range(one) for one in values))}"]
        defaults = dict.fromkeys(
            "required" if one["required"] and "const" not in one else _default(one) for one in values
        )
        lines += [f"- Default: {'; or '.join(one for one in defaults if one) or 'see its keys'}"]
        examples = [example for one in values for example in one.get("examples", [])]
        lines += [f"- Example: {_code(examples[0])}"] if examples else []
        lines += [""]
    return "\n".join(lines)


def _meaning(schema: Schema, value: Schema) -> str:
    inner = [section.get("description", "") for section, _ in _sections(schema, value)]
    return value.get("description") or (inner[0] if len(inner) == 1 else " ".join(inner))


def _default(value: Schema) -> str:
    if value["required"]:
        return "required"
    if "default" not in value or (isinstance(value["default"], dict) and value["default"]):
        return ""  # a section: its keys have their own
    return _code(value["default"])


def _escaped(text: str) -> str:
    return re.sub(r"(?<![`\w])([*<>])", r"\\\1", text)


def command_reference() -> str:
    """Return the page of every command, as Typer's own documentation command writes it."""
    done = subprocess.run(
        [sys.executable, "-m", "typer", "tlkit.cli.app", "utils", "docs", "--name", "tlkit", "--title", "Commands"],
        capture_output=True, text=True, check=True, encoding="utf-8",
    )  # fmt: skip
    return re.sub(
        r"^(#+) `tlkit ([a-z -]+)`$",
        lambda found: f"({anchor('command', found[2])})=\n{found[0]}",
        done.stdout,
        flags=re.MULTILINE,
    )


FURTHER = {
    "tlkit.analysis": (
        "LabelAudit",
        "find_task_slices",
        "plot_feature_maps",
        "plot_filters",
        "plot_map",
        "plot_suspects",
    ),
    "tlkit.audit": ("Audit", "audit_masks", "compare_task_models"),
    "tlkit.data": ("DecodeOptions", "Source", "SplitPlan", "few_shot_lists", "from_torchvision", "import_images"),
    "tlkit.datasets": ("gallery", "make_dataset_of"),
    "tlkit.evaluation": ("Evaluation", "evaluate_masks"),
    "tlkit.features": ("Features",),
    "tlkit.inference": ("EmbedOptions", "MaskPredictor", "Predictor", "TaskPredictor", "verify_run"),
    "tlkit.mask_classes": ("MaskClasses",),
    "tlkit.predictions": ("MaskPredictions", "read_mask_folders", "read_masks"),
    "tlkit.preprocess": ("Preprocess",),
    "tlkit.recipe": ("Recipe",),
    "tlkit.samples": ("Samples",),
}
"""Public names of packages: types of results and of arguments, and rarer functions."""


def public_names() -> list[str]:
    """Return every public name with its package, those of tlkit first."""
    own = sorted((name for name in tlkit.__all__ if name != "__version__"), key=lambda one: (one.lower(), one))
    return [f"tlkit.{name}" for name in own] + [
        f"{package}.{name}" for package, names in FURTHER.items() for name in names
    ]


def api_reference() -> str:
    """Return the page of every public name with its docstring, for autodoc."""
    lines = ["# Python reference", ""]
    lines += ["The public names of `tlkit`, then those of its packages. They are imported at first use.", ""]
    for whole in public_names():
        package, _, name = whole.rpartition(".")
        title = name if package == "tlkit" else whole
        lines += [f"({anchor('api', whole.removeprefix('tlkit.'))})=", f"## {title}", "", "```{eval-rst}"]
        if name[0].isupper():
            lines += [f".. autoclass:: {whole}", "   :members:"]
        else:
            lines += [f".. autofunction:: {whole}"]
        lines += ["```", ""]
    return "\n".join([*lines, "## \\_\\_version\\_\\_", "", f"`{tlkit.__version__}`, a text.", ""])


def tutorial(name: str, text: str) -> str:
    """Return a notebook in jupytext's percent format as a page; it is not executed."""
    jupytext = importlib.import_module("jupytext")
    cells = jupytext.reads(text, fmt="py:percent").cells
    parts = [cell.source if cell.cell_type == "markdown" else _code_block(cell.source) for cell in cells]
    note = f"This page is `notebooks/{name}.py`, which `jupytext --to ipynb` makes a notebook of; a test executes it."
    return "\n\n".join([parts[0], note, *parts[1:]]) + "\n"


def _code_block(source: str) -> str:
    """Return a cell as a block: Python, or text where a line is for the shell or for IPython."""
    language = "text" if any(line.startswith(("!", "%")) for line in source.splitlines()) else "python"
    return f"```{language}\n{source}\n```"
