"""Maps a function over files in a thread pool: results in order, progress, Pillow's warnings by file."""

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
R = TypeVar("R")


def map_files(
    function: Callable[[str, list[str]], R],
    paths: Sequence[str],
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[R]:
    """Return `function(path, pillow_warnings)` for each file, in the order of `paths`.

    Args:
        function: called in a thread. The list receives the messages of Pillow's warnings about the file, which are not
            printed: they do not name the file.
        paths: the files.
        workers: number of threads; default: one per core. Pillow releases the GIL while it decodes.
        progress: called from this thread with (files done, files in all).

    Example:
        >>> map_files(lambda path, pillow_warnings: path.upper(), ["a.jpg", "b.jpg"])
        ['A.JPG', 'B.JPG']
    """
    tasks = [paths[at : at + FILES_PER_TASK] for at in range(0, len(paths), FILES_PER_TASK)]
    results: list[R] = []
    pool = ThreadPoolExecutor(workers or available_cores())
    with _warnings_by_thread() as warnings_of:

        def work(task: Sequence[str]) -> list[R]:
            messages = warnings_of.setdefault(threading.get_ident(), [])
            done = []
            for path in task:
                messages.clear()
                done.append(function(path, messages))
            return done

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
    """Collect the messages of Pillow's warnings, by the id of the thread."""
    messages: dict[int, list[str]] = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("always", module=r"PIL\.")
        show = warnings.showwarning

        def collect(message: Warning | str, category: type[Warning], filename: str, *more: Any, **options: Any) -> None:
            if threading.get_ident() in messages and "PIL" in Path(filename).parts:
                messages[threading.get_ident()].append(str(message))
            else:
                show(message, category, filename, *more, **options)

        warnings.showwarning = collect
        yield messages
