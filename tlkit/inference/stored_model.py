"""Stored models with their head: a layer of the network, or a scikit-learn head in a file of its own."""

from __future__ import annotations

from pathlib import Path

from tlkit.errors import ModelError, other_task
from tlkit.features.heads import Head, load_head, save_head
from tlkit.features.heads.head_store import HEAD_FACTS, HEAD_FILE
from tlkit.models.model_files import ModelFacts, read_model_facts, save_artifact
from tlkit.models.network import Network, ScoredHead, load_network


def store_model(folder: Path, network: Network, facts: ModelFacts, head: Head | None) -> None:
    """Write a network's tensors and facts; a head that is not a layer of it goes into its own file."""
    if head is not None and head.linear is None:
        save_head(folder, head)
    else:
        for name in (HEAD_FILE, HEAD_FACTS):
            (folder / name).unlink(missing_ok=True)
    save_artifact(folder, network.state_dict(), facts)


def load_stored(folder: Path) -> tuple[Network, ModelFacts]:
    """Return a stored model of one class for each image, with its head; nothing in the files can run code.

    Raises:
        ModelError: there is no stored model, its parts do not match, or it is of another task.
    """
    facts = read_model_facts(folder)
    if facts.task != "multiclass":
        raise ModelError(other_task(str(folder), facts.task))
    return load_any_task(folder)


def load_any_task(folder: Path) -> tuple[Network, ModelFacts]:
    """Return a stored model of any task with its head, of whichever kind; nothing in the files can run code.

    Raises:
        ModelError: there is no stored model, or its parts do not match.
    """
    facts = read_model_facts(folder)
    if facts.head_file is None:
        return load_network(folder)
    head = load_head(folder)
    if head.classes != facts.classes:
        raise ModelError(f"{folder}: {HEAD_FILE} has other classes than the model. Fit it again.")
    return load_network(folder, head=ScoredHead(head.predict_proba, in_features=head.width))
