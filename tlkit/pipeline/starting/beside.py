"""Features made beside: another process runs the frozen backbone while this one loads what training needs.

Checking the images and loading torch, timm and Lightning takes seconds, in which most of the cores have nothing to do.
The two processes share nothing but the feature cache: whatever becomes of the other one, this one computes what it
does not find there.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from queue import Empty, Queue
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self, cast

from tlkit.data.cores import available_cores
from tlkit.data.formats import EXTENSIONS
from tlkit.disk import cache_folder
from tlkit.pipeline.starting.asked import can_use_cache
from tlkit.recipe import Recipe, plain_values

if TYPE_CHECKING:
    import pandas as pd

    from tlkit.data.duplicates import Pair
    from tlkit.samples import Samples

logger = logging.getLogger(__name__)

FEWEST_IMAGES, MOST_IMAGES = 200, 20_000
"""With fewer images a process of its own costs more than it saves; with more, what it saves does not show."""
LOOKED_AT = 8
FIRST_WORD_S, PATIENCE_S = 30.0, 300.0
"""How long this process waits for the other one's first word, and then for each batch; longer, and something keeps it
from its work. Until its first word it has made nothing, so that little is lost."""
MAIN = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from tlkit.pipeline.inference.make_beside import main
main()
"""


class FeaturesBeside:
    """The other process; a context, at the end of which it has ended too.

    Entering it starts the process, where the recipe's head can train on features, there are images enough, and the
    cache seems not to hold them yet.

    Args:
        recipe: whose features.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._process: subprocess.Popen[str] | None = None
        self._lines: Queue[str] = Queue()
        self._heard = False

    def __enter__(self) -> Self:
        if available_cores() > 1 and can_be_made_beside(self._recipe) and _can_be_shared(cache_folder() / "features"):
            files = list(islice(_images(self._recipe.data.root), FEWEST_IMAGES))
            if len(files) == FEWEST_IMAGES:
                self._start()
                try:  # found out while the other starts
                    if are_cached(self._recipe, files[:: FEWEST_IMAGES // LOOKED_AT]):
                        self.end()
                except BaseException:  # Ctrl-C
                    self.end()
                    raise
        return self

    @property
    def at_work(self) -> bool:
        """Whether there is another process."""
        return self._process is not None

    def give(self, samples: Samples) -> None:
        """Say which images there are; bad ones among them are passed over."""
        if len(samples) > MOST_IMAGES:
            self.end()
        self._say({"root": str(samples.root), "paths": samples.table["path"].tolist()})

    def wait(self) -> None:
        """Wait until the features are made; say in the log what the other process has decided."""
        self._say("alone")  # on all cores from here on
        self._hear("made")

    def look_for_copies(self, samples: Samples, leaks: pd.DataFrame) -> None:
        """Have it look for copies that the features give away, while this process trains; `copies` returns them.

        Args:
            samples: the images, all of which it has made features of.
            leaks: the known leaks, as `Run.leaks` gives them.
        """
        from tlkit.samples import RESERVED_COLUMNS

        table = samples.table[list(RESERVED_COLUMNS)].to_dict("list")
        known = leaks[["path", "twin", "how"]].to_dict("list")
        self._say({"root": str(samples.root), "classes": samples.classes, "table": table, "leaks": known})

    def copies(self) -> list[Pair] | None:
        """Return the pairs that `look_for_copies` has asked for; None where the other process cannot say."""
        from tlkit.data.duplicates import Pair

        found = self._hear("copies")
        return None if found is None else [Pair(*pair) for pair in found]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def end(self) -> None:
        """End the other process where it still runs."""
        if self._process is None:
            return
        process, self._process = self._process, None
        process.kill()
        process.wait()
        cast(IO[str], process.stdout).close()
        with suppress(OSError):  # it has not read everything
            cast(IO[str], process.stdin).close()

    def _start(self) -> None:
        if not sys.executable or getattr(sys, "frozen", False):  # Python is part of another program
            return
        folders = [folder for folder in sys.path if isinstance(folder, str)]  # Python passes over all else
        changes = {
            "OMP_WAIT_POLICY": "passive",  # its idle threads must not keep this process waiting
            "HF_HUB_OFFLINE": "1",  # what must be fetched, this process fetches, where its user sees it
        }
        try:
            self._process = subprocess.Popen(  # noqa: S603  this very Python, and a program of our own
                [sys.executable, "-P", "-c", MAIN, json.dumps(folders)],  # -P: no module from the working directory
                text=True, encoding="utf-8", errors="replace", env={**os.environ, **changes},
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            logger.debug("No process makes features beside: %s.", error)
            return
        threading.Thread(target=_pass_on, args=(self._process.stdout, self._lines), daemon=True).start()
        self._say(plain_values(self._recipe))

    def _hear(self, key: str) -> Any:
        """Return what the other process says under a key; None where it has ended, or something keeps it."""
        if self._process is None:
            return None
        try:
            while line := self._lines.get(timeout=PATIENCE_S if self._heard else FIRST_WORD_S):
                self._heard = True
                said = _understood(line)
                if isinstance(said, dict):
                    if key in said:
                        return said[key]
                elif said is not None:
                    logging.getLogger(said[0]).info("%s", said[1])
        except Empty:
            logger.info("The process that makes features beside says nothing more; they are made here.")
        self.end()
        return None

    def _say(self, what: Any) -> None:
        """Write a line for the other process; the pipe stays open, since its end means that this process is gone."""
        if self._process is None:
            return
        pipe = cast(IO[str], self._process.stdin)
        try:
            pipe.write(json.dumps(what) + "\n")
            pipe.flush()
        except OSError:
            logger.debug("The process that makes features beside has ended already.")


def can_be_made_beside(recipe: Recipe) -> bool:
    """Tell whether another process could make a recipe's features: of a folder of images, as they are, on the CPU.

    Random weights are drawn in this process, after its seed is set.
    """
    data = recipe.data
    plain = can_use_cache(recipe) and not recipe.features.views and not data.shards and recipe.model.weights != "none"
    return plain and recipe.train.device in ("auto", "cpu") and isinstance(data.root, str) and Path(data.root).is_dir()


def are_cached(recipe: Recipe, files: list[Path]) -> bool:
    """Tell whether the cache holds features of most of these files by the recipe's architecture."""
    import hashlib

    from tlkit.features.cache import FeatureCache

    try:
        digests = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    except OSError:
        return False
    name, size = recipe.model.name.partition(".")[0], recipe.data.image_size
    sides = (size, size) if isinstance(size, int) else size and tuple(size)
    for shelf in FeatureCache().shelves():
        made_by = shelf.made_by
        of_size = sides in (None, made_by.preprocess.image_size)
        if made_by.architecture.partition(".")[0] == name and made_by.view is None and of_size:
            there = shelf.count([made_by.key(digest) for digest in digests])
            if 2 * there >= len(digests):
                return True
    return False


def _can_be_shared(folder: Path) -> bool:
    """Tell whether features can be kept in a folder, there or not: else each process keeps its own to itself."""
    there = next((path for path in (folder, *folder.parents) if path.exists()), None)
    return there is not None and there.is_dir() and os.access(there, os.W_OK | os.X_OK)


def _pass_on(pipe: IO[str], lines: Queue[str]) -> None:
    with suppress(ValueError):  # it is closed meanwhile
        for line in pipe:
            lines.put(line)
    lines.put("")


def _understood(line: str) -> Any:
    """Return what the other process says; what some library prints goes to the log."""
    try:
        said = json.loads(line)
    except ValueError:
        said = line
    match said:
        case None | dict() | [str(), str()]:
            return said
        case _:
            return [__name__, line.rstrip()]


def _images(root: Any) -> Iterator[Path]:
    for folder, _, names in os.walk(root):
        yield from (Path(folder, name) for name in names if Path(name).suffix.lower() in EXTENSIONS)
