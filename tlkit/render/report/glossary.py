"""The glossary of the report: a word and what it means, in one or two plain sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping

GLOSSARY: Mapping[str, str] = {
    "accuracy": "The share of images that were given the right class.",
    "backbone": "The pretrained network without its classifier: it turns an image into a list of numbers.",
    "balanced accuracy": "The mean recall over the classes: a rare class counts as much as a frequent one.",
    "complement": "What a group is compared with: all other images whose group is known. Also “the rest”.",
    "confidence": "The probability that the model gives to the class that it names.",
    "corruption": "A change that images undergo in use, such as darkness, blur, noise or compression.",
    "drift": "New images are unlike those that the model was trained on, so how good it is there is unknown.",
    "epoch": "One pass of training over all training images.",
    "F1": "The harmonic mean of precision and recall of a class; macro F1 is its mean over the classes.",
    "FAIL": "A group differs from the rest by more than the tolerance, and by more than chance.",
    "feature": "One of the numbers that the backbone makes of an image; images alike have features alike.",
    "head": "The classifier on top of the backbone: from its numbers to the classes.",
    "heat map": "Colors on an image that show where it counted most for the class that the model named.",
    "Holm": "A correction for many tests: the more comparisons, the stronger the evidence that each of them needs.",
    "interval": "The range that another sample of such images could well have given. Few images make it wide.",
    "leak": "An assessed image that is also in an earlier split, so the model may have seen it.",
    "log loss": "How far the probabilities are from the truth; 0 is best, and sure mistakes cost most.",
    "NOT ENOUGH DATA": "These images decide neither for FAIL nor for PASS. It is not a PASS.",
    "p": "How often chance alone would give a difference at least as large as this one.",
    "PASS": "The whole interval of the difference lies within the tolerance.",
    "precision": "Of the images that were given a class, the share that belongs to it.",
    "recall": "Of the images of a class, the share that was recognized.",
    "severity": "How strong a corruption is, from 1 (mild) to 5 (severe).",
    "slice": "A group of images with a common property that nobody declared, such as dark images.",
    "split": "The part of the images used for training (train), for choosing (val) or for judging (test).",
    "tolerance": "The difference between a group and the rest that is accepted; the recipe states it.",
    "top-5": "Right if the true class is among the five most probable ones.",
    "verdict": "FAIL, PASS or NOT ENOUGH DATA, for one group and one rate.",
}
"""Words of the report in alphabetical order."""
LINKED = tuple(word for word in GLOSSARY if len(word) > 1)
_WORDS = re.compile(
    r"(?<![\w&#;/.-])(" + "|".join(sorted(map(re.escape, LINKED), key=len, reverse=True)) + r")(s?)(?![\w;/-]|\.\w)"
)


def link_words(text: str, seen: set[str]) -> str:
    """Return escaped text with the first use of each word of the glossary linked to its definition.

    Args:
        text: HTML text without elements.
        seen: words that are linked already; extended.
    """

    def link(found: re.Match[str]) -> str:
        word = found.group(1)
        if word in seen:
            return found.group(0)
        seen.add(word)
        return f'<a class="term" href="#{anchor(word)}" title="{GLOSSARY[word]}">{found.group(0)}</a>'

    return _WORDS.sub(link, text)


def anchor(word: str) -> str:
    """Return the id of a word's definition."""
    return "word-" + re.sub(r"\W+", "-", word.lower())
