"""Class names with the words that stand for them in prompts, and templates of prompts: files, and what Python gives."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tlkit.errors import DataError, did_you_mean, first_few

TEMPLATES = ("simple", "imagenet", "plain")
"""Words for templates: open_clip's seven and eighty, and the bare name."""
PLAIN = ("{}",)
MOST_CLASSES = 100_000
COMMENT, EQUALS, OR = "#", "=", "|"

Classes = str | os.PathLike[str] | Sequence[str] | Mapping[str, str | Sequence[str]]
"""A file of class names, the names, or the words in prompts by class name."""


@dataclass(frozen=True)
class ClassTexts:
    """Classes and the words for each in prompts.

    Attributes:
        words: words by class name, at least one each; the order is that of the classes.

    Example:
        >>> ClassTexts.of(["sea_lion", "ant"]).words
        {'sea_lion': ('sea lion',), 'ant': ('ant',)}
        >>> ClassTexts.of({"ants": ["ant", "carpenter ant"], "bees": "bee"}).classes
        ('ants', 'bees')
    """

    words: Mapping[str, tuple[str, ...]]

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names."""
        return tuple(self.words)

    @classmethod
    def of(cls, classes: Classes) -> ClassTexts:
        """Return classes from a file (see `read`), from their names, or from a mapping to words.

        Raises:
            DataError: there are none, one is empty or named twice, or the file cannot be read.
        """
        if isinstance(classes, str | os.PathLike):
            return cls.read(Path(classes))
        if isinstance(classes, Mapping):
            rows = [(name, [words] if isinstance(words, str) else list(words)) for name, words in classes.items()]
        else:
            rows = [(name, []) for name in classes]
        return cls._checked(rows, where="classes")

    @classmethod
    def read(cls, path: Path) -> ClassTexts:
        """Return the classes of a text file, one a line: `name`, or `name = word | other word`.

        The name is that of the class in predictions and folders, the words stand in the prompts. Without words the name
        does, with blanks for "_". Empty lines, and what follows "#" at the start of a line, are left out.

        Raises:
            DataError: the file cannot be read, or a line is wrong; all of them at once.
        """
        rows = [(name.strip(), words) for name, words in (_parts(line) for line in _lines(path, what="class names"))]
        return cls._checked(rows, where=str(path))

    @classmethod
    def _checked(cls, rows: Sequence[tuple[str, Sequence[str]]], *, where: str) -> ClassTexts:
        problems = []
        found: dict[str, tuple[str, ...]] = {}
        for name, words in rows:
            if not isinstance(name, str) or not name.strip() or not all(isinstance(one, str) for one in words):
                problems.append(f"{where}: {name!r} is no class name with words. Use name, or name = word | word.")
            elif name in found:
                problems.append(f"{where}: the class {name!r} is named twice. Write its words in one line: a = b | c.")
            elif any(not one.strip() for one in words):
                problems.append(f"{where}: the class {name!r} has an empty word. Use {name} = word | word.")
            else:
                found[name] = tuple(" ".join(one.split()) for one in words) or (name.replace("_", " "),)
        if not problems and not 2 <= len(found) <= MOST_CLASSES:
            problems.append(f"{where} names {len(found)} classes. Name two or more, one a line.")
        if problems:
            raise DataError(*problems)
        return cls(found)

    def replaced(self, synonyms: Mapping[str, Sequence[str]]) -> ClassTexts:
        """Return the classes with other words for some of them."""
        return ClassTexts({name: tuple(synonyms.get(name, words)) for name, words in self.words.items()})


def read_synonyms(synonyms: Classes | None, texts: ClassTexts) -> dict[str, tuple[str, ...]]:
    """Return other words by class name, from a file of lines `name = word`, or a mapping; empty for None.

    Raises:
        DataError: a name is no class, has no words, or has the words that it has already.
    """
    if synonyms is None:
        return {}
    if isinstance(synonyms, str | os.PathLike):
        where = str(synonyms)
        rows = [_parts(line) for line in _lines(Path(synonyms), what="synonyms")]
        given = {name.strip(): words for name, words in rows}
    elif isinstance(synonyms, Mapping):
        where = "synonyms"
        given = {name: [words] if isinstance(words, str) else list(words) for name, words in synonyms.items()}
    else:
        raise DataError("synonyms must be a file, or words by class name, such as {'car': 'automobile'}.")
    problems = [
        f"{where}: there is no class {name!r}.{did_you_mean(name, texts.classes)}"
        for name in given
        if name not in texts.words
    ]
    problems += [
        f"{where}: {name!r} has no other word. Use {name} = word." for name, words in given.items() if not words
    ]
    problems += [
        f"{where}: the words for {name!r} are those that it has already ({first_few(words)}). Give another."
        for name, words in given.items()
        if words and texts.words.get(name) == tuple(words)
    ]
    if not given:
        problems.append(f"{where} names no class. Use a line for each: name = word.")
    if problems:
        raise DataError(*problems)
    return {name: tuple(words) for name, words in given.items()}


def read_templates(templates: str | os.PathLike[str] | Sequence[str]) -> tuple[str, ...] | None:
    """Return prompts with `{}` for the name, from a file of one a line or as given; None for a word of open_clip.

    Args:
        templates: "plain" (the bare name), "simple" or "imagenet" (open_clip's), a file, or the prompts.

    Raises:
        DataError: there are none, or one has not exactly one `{}`.
    """
    if isinstance(templates, str) and templates in TEMPLATES:
        return PLAIN if templates == "plain" else None
    if isinstance(templates, str | os.PathLike):
        path = Path(templates)
        if not path.is_file():
            raise DataError(
                f"There are no templates {str(templates)!r}.{did_you_mean(str(templates), TEMPLATES)} Use "
                f"{', '.join(TEMPLATES)}, or a file with a prompt a line, such as: a photo of a {{}}."
            )
        where, found = str(path), _lines(path, what="templates")
    else:
        where, found = "templates", list(templates)
    wrong = [text for text in found if text.count("{}") != 1 or text.replace("{}", "").count("{")]
    if wrong or not found:
        what = f"{wrong[0]!r} has not exactly one {{}}" if wrong else "there are none"
        raise DataError(f"{where}: {what}. Use a prompt a line with {{}} for the class, such as: a photo of a {{}}.")
    return tuple(found)


def _parts(line: str) -> tuple[str, list[str]]:
    name, equals, words = line.partition(EQUALS)
    return name.strip(), [" ".join(word.split()) for word in words.split(OR)] if equals else []


def _lines(path: Path, *, what: str) -> list[str]:
    """Return the lines of a text file that say something, stripped.

    Raises:
        DataError: the file is missing or no text.
    """
    if not path.is_file():
        near = did_you_mean(path.name, [one.name for one in path.parent.glob("*")] if path.parent.is_dir() else [])
        raise DataError(f"There is no file {path} of {what}.{near}")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is no text in UTF-8. Save it as UTF-8, one line for each.") from None
    return list(_said(text.splitlines()))


def _said(lines: Iterable[str]) -> Iterable[str]:
    for line in lines:
        if (stripped := line.strip()) and not stripped.startswith(COMMENT):
            yield stripped
