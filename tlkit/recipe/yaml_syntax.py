"""Explains YAML syntax errors: the line at fault, what is wrong there, and what to write instead."""

from __future__ import annotations

import re

import yaml

_NO_SPACE = re.compile(r"\s*(?:- )?([A-Za-z_][\w.-]*):([^\s:/\\].*)")

# Part of PyYAML's message, and the explanation for the user. The first match counts.
_EXPLANATIONS = (
    (r"found character '\\t'", "a tab stands here, but YAML allows spaces only. Use spaces."),
    (r"found character '(.)'", "a value begins with '{0}', a sign that YAML reserves. Put the value in quotes."),
    (
        r"expected ',' or '([\]}])'",
        "the bracket that opens on line {opened} is not closed with `{0}`. Close it, or put commas between its parts.",
    ),
    (
        r"found unexpected end of stream|found unexpected document separator",
        "the quote that opens on line {opened} is not closed. Close it.",
    ),
    (
        r"found unknown escape character '(.)'",
        "`\\{0}` is no escape sequence of double quotes. Use single quotes, or / between folders.",
    ),
    (r"found undefined alias '(.+)'", "the alias *{0} has no anchor &{0} before it. Write the value itself."),
    (r"found duplicate anchor '(.+)'", "the anchor &{0} is defined twice. Keep one of them."),
    (
        r"but found another document|expected '<document start>'",
        "a second document begins here. Keep one recipe per file, without a line ---.",
    ),
    (
        r"but found '<block mapping start>'|but found '<scalar>'|but found '<block sequence start>'|but found '\?'"
        r"|but found '-'",
        "this line is indented differently from the lines it belongs to. Indent the keys of one section alike.",
    ),
    (r"could not find expected ':'", "a key has no colon after it. Write it as `key: value`."),
    (r"sequence entries are not allowed", "a list begins after a key. Put `- ` on a new line, or use [a, b]."),
    (r"found '<stream end>'", "the text ends before the bracket on line {opened} is closed. Close it."),
    (r"expected the node content", "a value is missing here, or a bracket is closed that was not opened."),
)


def explain_syntax(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """Return the line of a syntax error and a message that says what to do.

    Args:
        error: the error that PyYAML raised.
        text: the YAML text.
    """
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, f"the character U+{ord(text[error.position]):04X} cannot stand in a recipe. Remove it."
    assert isinstance(error, yaml.MarkedYAMLError)
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark is not None else 1
    problem = error.problem or "cannot be read as YAML"
    if "mapping values are not allowed" in problem:
        return _second_colon(text.splitlines(), line)
    opened = error.context_mark.line + 1 if error.context_mark is not None else line
    if "end of stream" in problem or "could not find expected ':'" in problem:
        line = opened
    lines = text.splitlines()
    if "but found '<scalar>'" in problem and mark is not None and lines[mark.line][: mark.column].strip():
        return line, "text follows a value that is complete. Put the whole value in one pair of quotes."
    for pattern, advice in _EXPLANATIONS:
        if match := re.search(pattern, f"{error.context} {problem}"):
            return line, advice.format(*match.groups(), opened=opened)
    return line, f"cannot be read as YAML: {problem}. Compare the line with the recipes that come with tlkit."


def missing_space(line: str) -> str | None:
    """Return how to write a line that lacks the space after its colon, or None where it does not.

    Example:
        >>> missing_space("  epochs:5")
        'epochs: 5'
    """
    match = _NO_SPACE.fullmatch(line)
    return f"{match[1]}: {match[2].strip()}" if match else None


def _second_colon(lines: list[str], line: int) -> tuple[int, str]:
    """Explain a colon where no key can stand; the cause is often the line before."""
    here = lines[line - 1] if line <= len(lines) else ""
    above = next((number for number in range(line - 1, 0, -1) if lines[number - 1].split("#")[0].strip()), 0)
    if above and (fixed := missing_space(lines[above - 1])):
        return above, f"a space is missing after the colon. Write `{fixed}`."
    if above and (word := re.fullmatch(r"\s*([A-Za-z_][\w-]*)\s*", lines[above - 1])):
        return above, f"`{word[1]}` has no colon after it. Write `{word[1]}:`, and its value or keys after it."
    if len(re.findall(r":(?:\s|$)", here)) > 1:
        return line, "a second colon stands in this line. Put the value in quotes, or break the line after the first."
    if above and _indent(here) > _indent(lines[above - 1]):
        return line, f"this line is indented deeper than line {above}, which has a value already. Indent both alike."
    return line, f"a key stands where the value of line {above or line} goes on. Give that line a colon, or close it."


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
