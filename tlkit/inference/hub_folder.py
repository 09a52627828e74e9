"""The hub folder of a run: weights and configuration in timm's format, model card, exported files."""

from __future__ import annotations

import logging
import re
import shutil
from pathlib import Path

from tlkit.disk import PARTIAL, write_text
from tlkit.errors import RunError, first_few
from tlkit.inference.stored_model import load_stored
from tlkit.models.timm_folder import write_timm_folder
from tlkit.render.report.model_card import write_card
from tlkit.runs.run import Run
from tlkit.runs.run_pages import contents_for_card

logger = logging.getLogger(__name__)

CARD = "README.md"
EXPORTED = ("*.onnx", "*.xml", "*.bin", "*.json")
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def check_repository_name(name: str) -> str:
    """Return a name of the form ORG/NAME.

    Raises:
        RunError: it has another form.

    Example:
        >>> check_repository_name("lab/ants-and-bees")
        'lab/ants-and-bees'
    """
    if REPOSITORY.fullmatch(name) is None or len(name) > 96:
        raise RunError(f"{name!r} is no repository of the hub. Use ORG/NAME: letters, digits, points, - and _.")
    return name


def write_hub_folder(
    run: Run, folder: Path, *, repository: str = "ORG/NAME", split: str | None = None, overwrite: bool = False
) -> Path:
    """Write a run's model as a folder that the hub, timm and tlkit read; no network is used.

    It holds `model.safetensors` and `config.json` in timm's format, with class names, preprocessing and the licence of
    the weights; `README.md`, the model card with the figures of the evaluation as `model-index`; and, where the run
    has been exported, the files of `export/`. It holds no image and no path of one.

    Args:
        run: a run that has finished training.
        folder: the folder, which is written whole or not at all.
        repository: name of the repository, for the card.
        split: split of the card's figures; default: test, or val where there is none.
        overwrite: replace a folder that holds files.

    Raises:
        RunError: the folder holds files, or the run has no predictions.
        ModelError: the model has a head that timm's format does not hold.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else [folder.name]
        if not overwrite or not (folder / CARD).is_file() or not (folder / "config.json").is_file():
            hint = "Use --overwrite to replace it." if (folder / "config.json").is_file() else "Name another folder."
            raise RunError(f"{folder} holds files already ({first_few(names)}). {hint}")
    network, facts = load_stored(run.directory.model)
    contents = contents_for_card(run, split)
    partial = folder.with_name(f".{folder.name}{PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write_timm_folder(partial, network, facts)
        card = write_card(partial / CARD, contents, intended_use=run.recipe.report.intended_use, moves=True)
        write_text(card, card.read_text(encoding="utf-8") + _usage(repository, facts.architecture))
        for file in partial.iterdir():
            file.chmod(card.stat().st_mode)  # safetensors writes with 0600
        _copy_exported(run.path / "export", partial / "export")
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    logger.info("Wrote the hub folder %s.", folder)
    return folder


def _copy_exported(source: Path, target: Path) -> None:
    files = [file for pattern in EXPORTED for file in sorted(source.glob(pattern))] if source.is_dir() else []
    if files:
        target.mkdir()
    for file in files:
        shutil.copyfile(file, target / file.name)


def _usage(repository: str, architecture: str) -> str:
    """Return the section of the card that says how to load the model."""
    return f"""
## How to load it

```python
import timm
model = timm.create_model("hf-hub:{repository}", pretrained=True).eval()
```

```bash
tlkit predict {architecture} --weights hf-hub:{repository} images/
```
"""
