"""The image files that somebody names: files, folders of them, and tar files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlkit.data.decode.formats import EXTENSIONS
from tlkit.data.sources.read_bytes import file_exists
from tlkit.data.sources.tar_files import list_members
from tlkit.errors import DataError


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """Return the image files among paths, below folders and in tar files, in order, each once.

    Raises:
        DataError: a path does not exist, or a folder holds no image; all such paths at once.
    """
    files: dict[Path, Path] = {}  # by resolved path: however it is named, an image counts once
    problems = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if _is_wanted(p, path))
            if not found:
                problems.append(f"{path} holds no image. The formats are {', '.join(sorted(EXTENSIONS))}.")
            files.update({p.resolve(): p for p in found if p.resolve() not in files})
        elif path.suffix == ".tar" and path.is_file():
            names = [member.name for member in list_members(path)[0]]
            inside = [path / name for name in names if Path(name).suffix.lower() in EXTENSIONS]
            if not inside:
                problems.append(f"{path} holds no image. The formats are {', '.join(sorted(EXTENSIONS))}.")
            files.update({image.resolve(): image for image in inside})
        elif file_exists(str(path)):
            files.setdefault(path.resolve(), path)
        else:
            problems.append(f"{path} does not exist.")
    if not paths:
        problems.append("No image is named. Give files or folders.")
    if problems:
        raise DataError(*problems)
    return list(files.values())


def _is_wanted(path: Path, folder: Path) -> bool:
    """Return whether a file below a folder is an image that a person put there; hidden files and folders are not."""
    if path.suffix.lower() not in EXTENSIONS or not path.is_file():
        return False
    return not any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
