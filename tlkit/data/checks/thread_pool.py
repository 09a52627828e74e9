"""A function mapped over many files in a thread pool: results in order, progress, Pillow's warnings by file."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from tlkit.data.num_workers import available_cores

FILES_PER_TASK = 32
Found = TypeVar("Found")


def map_files(
    look: Callable[[str, list[str]], Found],
    paths: Sequence[str],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Found]:
    """Return the result of `look` for each file, in the order of `paths`.

    Args:
        look: called in a thread with a path and a list, which receives Pillow's warnings about this file; they do not
            name the file, so that they are not printed.
        paths: the files.
        workers: number of threads; default: one per core. Pillow releases the GIL while it decodes.
        progress: called from this thread with (files done, files in all).

    Example:
        >>> map_files(lambda path, noted: path.upper(), ["a.jpg", "b.jpg"])
        ['A.JPG', 'B.JPG']
    """
    tasks = [paths[at : at + FILES_PER_TASK] for at in range(0, len(paths), FILES_PER_TASK)]
    results: list[Found] = []
    pool = ThreadPoolExecutor(workers or available_cores())
    with _warnings_by_thread() as noted:

        def work(task: Sequence[str]) -> list[Found]:
            messages = noted.setdefault(threading.get_ident(), [])
            found = []
            for path in task:
                messages.clear()
                found.append(look(path, messages))
            return found

        try:
            for done in pool.map(work, tasks):
                results += done
                if progress is not None:
                    progress(len(results), len(paths))
        finally:
            pool.shutdown(cancel_futures=True)
    return results


@contextmanager
def _warnings_by_thread() -> Iterator[dict[int, list[str]]]:
    """Collect Pillow's warnings by thread."""
    noted: dict[int, list[str]] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("always", module=r"PIL\.")
        show = warnings.showwarning

        def note(message: Warning | str, category: type[Warning], filename: str, *rest: Any, **options: Any) -> None:
            if threading.get_ident() in noted and "PIL" in Path(filename).parts:
                noted[threading.get_ident()].append(str(message))
            else:
                show(message, category, filename, *rest, **options)

        warnings.showwarning = note
        yield noted
