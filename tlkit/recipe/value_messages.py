"""Messages for wrong values: the value seen, what the field takes, and the value that the user probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from tlkit.recipe.field_tree import accepts, choices, expected_value, kinds
from tlkit.recipe.value_types import slug
from tlkit.recipe.yaml_nodes import Spot

_MONITORS = {
    "val_accuracy": "accuracy acc val_acc",
    "val_loss": "loss",
    "val_worst_group_accuracy": "worst_group worst_group_accuracy wga",
}
CHOICE_SYNONYMS: Mapping[str, Mapping[str, str]] = {
    "augment.preset": {"none": "off no false null", "medium": "on default auto true yes", "heavy": "strong"},
    "data.resize": {"crop": "center_crop", "letterbox": "pad padding fit contain", "squash": "stretch"},
    "model.weights": {
        "hub": "imagenet pretrained default timm true yes auto",
        "none": "random scratch false no null off",
    },
    "strategy.kind": {
        "frozen": "freeze linear linear_probe head head_only feature_extraction",
        "full": "finetune fine_tune fine-tune fine_tuning unfrozen unfreeze all",
        "lp_ft": "lp-ft lpft linear_probe_then_finetune probe_then_tune two_phase",
        "gradual": "gradual_unfreezing progressive ulmfit",
        "last_n": "last top partial last_layers last_stages",
        "norm_only": "norm norms bn_only batchnorm layernorm",
        "bias_only": "bitfit bias biases",
        "lora": "peft adapter adapters low_rank",
    },
    "train.optimizer": {"adamw": "fused_adamw", "sgd": "nesterov"},
    "train.schedule": {"one_cycle": "fit_one_cycle onecyclelr", "constant": "none null flat no off"},
    "train.class_weights": {"none": "off no false null", "balanced": "auto true yes on"},
    "train.loss": {
        "cross_entropy": "ce crossentropy cross-entropy softmax",
        "focal": "focal_loss",
        "group_dro": "dro groupdro gdro group-dro",
    },
    "train.sampling": {
        "shuffled": "random none off no false",
        "balanced": "weighted oversample yes true on",
        "group_balanced": "groups group balanced_groups",
    },
    "train.monitor": _MONITORS,
    "train.early_stopping.monitor": _MONITORS,
    "train.precision": {
        "32": "fp32 float32 full 32-true",
        "16": "fp16 float16 half 16-mixed",
        "bf16": "bfloat16 bf16-mixed",
    },
    "train.device": {"cuda": "gpu cuda:0 nvidia", "mps": "metal apple"},
    "tracking.kind": {"wandb": "w&b weights_and_biases on true yes", "none": "off no false null", "tensorboard": "tb"},
    "tracking.mode": {"offline": "disabled local", "online": "cloud"},
}
"""By dotted key: our choice, and the words that other tools use for it."""


def value_seen(value: Any, spot: Spot) -> str:
    """Return a value as the user wrote it, and what YAML 1.1 reads it as where that differs."""
    if value is None:
        return f"`{spot.text}`" if spot.text else "empty"
    if isinstance(value, bool) and spot.text is not None and spot.text.lower() not in ("true", "false"):
        return f"`{spot.text}`, which YAML 1.1 reads as {str(value).lower()}"
    if isinstance(value, str):
        return repr(value) if len(value) <= 60 else f"{value[:57]!r}… ({len(value)} characters)"
    if isinstance(value, dict | list | tuple):
        text = in_yaml(value)
        return text if len(text) <= 60 else f"a {'mapping' if isinstance(value, dict) else 'list'} of {len(value)}"
    return spot.text if spot.text is not None else in_yaml(value)


def wrong_value(key: str, known_as: str, field: FieldInfo, value: Any, spot: Spot, *, inside: bool = False) -> str:
    """Return the message for a value of the wrong kind or outside its range.

    Args:
        key: the key as the user wrote it.
        known_as: the dotted key of the field.
        field: the field, or the one that contains the value.
        value: the value as read.
        spot: the value as written.
        inside: the value is an item of the field's list or mapping.
    """
    phrase = expected_value(field).phrase
    not_text = _read_as_other_than_text(field, value, spot, inside=inside)
    if not_text and known_as not in CHOICE_SYNONYMS:
        return f"{key} is {not_text}. Quote it: {spot.text!r}."
    read_as = f"{key} is {value_seen(value, spot)}"
    if inside:
        return f"{read_as}. Use {phrase}."
    number = _number_in(value) if isinstance(value, str) and kinds(field) & {int, float} else None
    if number is not None and not re.search("[%,]", str(value)):
        read_as += ", which is text because of its quotes" if spot.quoted else ", which YAML 1.1 reads as text"
    if meant := _meant(known_as, field, value, spot):
        phrase = phrase.split(", such as")[0]
    return f"{read_as}. Use {phrase}{meant or '.'}"


def in_yaml(value: Any) -> str:
    """Return a value as one line of YAML 1.1, or as Python writes it where YAML cannot hold it.

    Example:
        >>> in_yaml([1, 5]), in_yaml(1e-05), in_yaml("no")
        ('[1, 5]', '1.0e-05', "'no'")
    """
    try:
        text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10_000, sort_keys=False)
    except yaml.representer.RepresenterError:
        return repr(value)
    return text.removesuffix("\n").removesuffix("\n...")


def _read_as_other_than_text(field: FieldInfo, value: Any, spot: Spot, *, inside: bool) -> str | None:
    """Return what YAML reads a plain word as, where the field takes text and accepts the word as written."""
    takes_text = expected_value(field).text or (inside and str in kinds(field))
    if not takes_text or spot.text is None or not isinstance(value, bool | int | float):
        return None
    if not accepts(field, [spot.text] if inside else spot.text):
        return None
    return f"`{spot.text}`, which YAML 1.1 reads as {str(value).lower() if isinstance(value, bool) else 'a number'}"


def _meant(known_as: str, field: FieldInfo, value: Any, spot: Spot) -> str | None:
    """Return the end of the sentence with the value that was probably meant; None where no similar one is valid."""
    if choice := _choice_meant(known_as, field, value, spot):
        return choice
    for candidate in _candidates(value):
        if accepts(field, candidate) and in_yaml(candidate) != expected_value(field).phrase:
            return f": {in_yaml(candidate)}."
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and value > 1 and accepts(field, value / 100):
        return f"; {value:g} % is {value / 100:g}."
    if known_as == "name" and isinstance(value, str) and len(value) <= 60:
        return f", such as {slug(value)}."
    if str(value).lower() in ("none", "nil", "off", "false") and accepts(field, None):
        return ". Did you mean null?"
    return None


def _candidates(value: Any) -> Iterator[Any]:
    """Yield values that may have been meant: the number in a text, a whole number, a list."""
    if isinstance(value, str) and (number := _number_in(value)) is not None:
        if number.is_integer():
            yield int(number)
        yield number
    if isinstance(value, float) and value.is_integer():
        yield int(value)
    if isinstance(value, str):
        yield [part.strip() for part in value.split(",")]
    elif isinstance(value, int) and not isinstance(value, bool):
        yield [value]


def _choice_meant(known_as: str, field: FieldInfo, value: Any, spot: Spot) -> str | None:
    ours, synonyms = [str(choice) for choice in choices(field)], CHOICE_SYNONYMS.get(known_as, {})
    if isinstance(value, list | dict) or not (ours or synonyms):
        return None
    word = "null" if value is None else (spot.text or str(value)).strip().lower()
    meaning = {synonym: our for our, words in synonyms.items() for synonym in words.split()}
    names = list(dict.fromkeys((*ours, *synonyms)))
    if word in names and spot.quoted:
        return ", without quotes."
    if word in names or word in meaning:
        return f". Did you mean {meaning.get(word, word)}?"
    if known_as == "model.weights" and isinstance(value, str):
        return _weights_meant(value)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6) if isinstance(value, str | float) else []
    return f". Did you mean {near[0]}?" if near else None


def _weights_meant(value: str) -> str | None:
    """Return the source of weights for a repository, a file, or a misspelled prefix."""
    prefix, colon, path = (part.strip() for part in value.partition(":"))
    if colon:
        prefixes = {"hf": "hf-hub", "huggingface": "hf-hub", "path": "file", "package": "pip"}
        near = difflib.get_close_matches(prefix.lower(), ["pip", "file", "hf-hub", "run"], n=1, cutoff=0.6)
        meant = prefixes.get(prefix.lower()) or "".join(near)
        return f". Did you mean {meant}:{path}?" if meant and path and not path.startswith("//") else None
    if re.search(r"\.(pth?|bin|ckpt|pkl)$", value):
        return ". Pickled weights are not loaded; save them as safetensors and use file:PATH."
    if value.endswith(".safetensors") or value.startswith((".", "/", "~")):
        return f". Did you mean file:{value}?"
    if "/" in value:
        kind = "hf-hub" if re.fullmatch(r"[\w.-]+/[\w.-]+", value) else "file"
        return f". Did you mean {kind}:{value}?"
    near = difflib.get_close_matches(value.lower(), ["hub", "none", "imagenet", "pretrained"], n=1, cutoff=0.6)
    return f". Did you mean {'none' if near[0] == 'none' else 'hub'}?" if near else None


def _number_in(text: str) -> float | None:
    """Return the number in a text: '5', '1e-3', '0,001' (decimal comma), '20%'; else None."""
    match = re.fullmatch(r"\s*([-+]?(?:\d+(?:[.,]\d*)?|[.,]\d+)(?:[eE][-+]?\d{1,3})?)\s*(%?)\s*", text)
    if match is None:
        return None
    number = float(match[1].replace(",", "."))
    return number / 100 if match[2] else number
