"""The note in a folder of predicted masks: which model makes them, of which images, so that a second start goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tlkit.choices import PredictEngine
from tlkit.disk import write_text
from tlkit.errors import PredictionsError, refuse_newer
from tlkit.inference.batch.batch_manifest import names_digest
from tlkit.stored_values import parse_json

NOTE = "masks.json"
VERSION = 1
"""Format of the note. It rises, too, where the masks of a model change, so that a folder holds those of one version."""


@dataclass(frozen=True)
class MaskNote:
    """What all masks of a folder have in common.

    Attributes:
        task: segmentation.
        model: digest (sha256, hex) of the model's files.
        engine: what runs it.
        device: where it runs; the bits of masks may depend on it.
        images: number of images.
        names: digest (sha256, hex) of the names of the images and of their masks, in order.
    """

    task: str
    model: str
    engine: PredictEngine
    device: str
    images: int
    names: str

    @classmethod
    def of(
        cls, images: Sequence[Path], masks: Sequence[str], *, model: str, engine: PredictEngine, device: str
    ) -> MaskNote:
        """Return the note of a folder.

        Args:
            images: the images.
            masks: the path of each mask below the folder.
            model: as for the class.
            engine: as for the class.
            device: as for the class.
        """
        names = names_digest(name for pair in zip(map(str, images), masks, strict=True) for name in pair)
        return cls("segmentation", model, engine, device, len(images), names)

    def write(self, out: Path) -> None:
        """Write the note into a folder, which is made where there is none."""
        out.mkdir(parents=True, exist_ok=True)
        write_text(out / NOTE, json.dumps({"version": VERSION, **asdict(self)}, indent=2) + "\n")

    @staticmethod
    def is_in(out: Path) -> bool:
        """Return whether a folder has a note, of whatever masks."""
        return (out / NOTE).is_file()

    def require_same(self, out: Path) -> None:
        """Check that the masks in a folder were begun with the same model, options and images.

        Raises:
            PredictionsError: they were not, or the note in the folder is damaged or of a newer tlkit.
        """
        path = out / NOTE
        try:
            noted = parse_json(path.read_bytes())
            refuse_newer(f"{path} was", noted.pop("version"), known=VERSION, error=PredictionsError)
            begun = MaskNote(**noted)
            if not all(isinstance(value, int if name == "images" else str) for name, value in noted.items()):
                raise TypeError("a value is of another type")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PredictionsError(f"{path} is damaged ({error}). Name another --out folder.") from error
        words = {
            "task": f"the task {begun.task}",
            "model": "another model",
            "engine": f"the engine {begun.engine}",
            "device": f"--device {begun.device}",
            "images": f"{begun.images:,} images, now {self.images:,}",
            "names": "images of other names",
        }
        other = [words[name] for name, value in asdict(self).items() if getattr(begun, name) != value]
        if other:
            other = other[:-1] if begun.images != self.images else other  # their names differ, of course
            raise PredictionsError(
                f"{out} was begun with {'; '.join(other)}. Name another --out folder, or restore what it was begun "
                "with."
            )
