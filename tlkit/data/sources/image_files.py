"""Image files for prediction: named files, files below folders, and members of tar files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlkit.data.decode.formats import EXTENSIONS
from tlkit.data.sources.read_bytes import file_exists
from tlkit.data.sources.tar_files import list_members
from tlkit.errors import DataError

NO_IMAGE = "No image is named. Give files or folders."


def find_images(paths: Sequence[str | Path]) -> list[Path]:
    """Return the image files among the paths, below folders and in tar files, in order, each once.

    Raises:
        DataError: a path does not exist, or a folder holds no image; all such paths at once.
    """
    files: dict[Path, Path] = {}  # by resolved path
    problems = [] if paths else [NO_IMAGE]
    for path in paths:
        try:
            files |= {file.resolve(): file for file in files_at(Path(path)) if file.resolve() not in files}
        except DataError as error:
            problems += error.problems
    if problems:
        raise DataError(*problems)
    return list(files.values())


def files_at(path: Path) -> list[Path]:
    """Return the image file at a path, or those below a folder or in a tar file, in order.

    Raises:
        DataError: the path does not exist, or the folder or tar holds no image.
    """
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if _is_visible_image(p, path))
    elif path.suffix.lower() == ".tar" and path.is_file():
        names = [member.name for member in list_members(path)[0]]
        found = [path / name for name in names if Path(name).suffix.lower() in EXTENSIONS]
    elif file_exists(str(path)):
        found = [path]
    else:
        raise DataError(f"{path} does not exist.")
    if not found:
        raise DataError(f"{path} holds no image. The formats are {', '.join(sorted(EXTENSIONS))}.")
    return found


def _is_visible_image(path: Path, folder: Path) -> bool:
    """Return whether a file is an image, and neither hidden nor below a hidden folder."""
    if path.suffix.lower() not in EXTENSIONS or not path.is_file():
        return False
    return not any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)
