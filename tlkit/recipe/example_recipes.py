"""Example recipes: those of the project's folder `recipes`, which a wheel installs under `share/tlkit/recipes`."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, files
from itertools import takewhile
from pathlib import Path

from tlkit.errors import RecipeError, did_you_mean

INSTALLED = Path("share/tlkit/recipes")


def example_recipes() -> dict[str, Path]:
    """Return the example recipes by name, in alphabetical order; empty where they are not installed."""
    folder = Path(__file__).parents[2] / "recipes"  # beside the package, in a checkout
    found = list(folder.glob("*.yaml")) if folder.is_dir() else _installed()
    return {path.stem: path for path in sorted(found) if path.stem != "gates"}


def read_example(name: str) -> str:
    """Return the text of an example recipe, without the line that names the schema beside it.

    Raises:
        RecipeError: there is no such example.
    """
    examples = example_recipes()
    if name not in examples:
        raise RecipeError(
            f"there is no example recipe {name!r}.{did_you_mean(name, examples)} `tlkit recipe example` lists them."
        )
    lines = examples[name].read_text(encoding="utf-8").split("\n")
    if lines[0].startswith("# yaml-language-server:"):
        lines = lines[2 if lines[1] == "#" else 1 :]
    return "\n".join(lines)


def summary_of_example(text: str) -> str:
    """Return the first sentence of a recipe's leading comment, without its full stop, or "" where it has none."""
    lines = takewhile(lambda line: line.startswith("# "), text.split("\n"))
    return " ".join(line[2:].strip() for line in lines).partition(". ")[0].rstrip(".")


def _installed() -> list[Path]:
    try:
        listed = files("tlkit") or []
    except PackageNotFoundError:  # imported from a folder that was copied, not installed
        return []
    paths = [Path(str(file.locate())) for file in listed if file.match(f"{INSTALLED}/*.yaml")]
    return [path for path in paths if path.is_file()]
