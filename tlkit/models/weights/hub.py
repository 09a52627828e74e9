"""Access to the model hub: cached weights first, then the network, else an error with the remedy."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import constants

from tlkit.errors import ModelError
from tlkit.stored_values import parse_json

logger = logging.getLogger(__name__)

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin", "open_clip_model.safetensors", "open_clip_pytorch_model.bin")
PROBE_TIMEOUT_S = 10.0


@contextmanager
def hub_access(repository: str) -> Iterator[None]:
    """Check that a repository's weights are available, and use its cached weights offline within the block.

    Cached weights are used without a request for updates, so a recipe gives the same weights with and without a
    network. The hub's client would retry an unreachable host for 45 seconds.

    Args:
        repository: "ORG/REPO" on the hub.

    Raises:
        ModelError: the weights are not in the cache, and the hub cannot be reached or has no such repository.
    """
    if not is_cached(repository):
        _probe(repository)
        logger.info("Fetching the weights of %s from the hub", repository)
        yield
        return
    logger.info("The weights of %s come from the hub's cache", repository)
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def upload_folder(folder: Path, repository: str, *, public: bool = False) -> str:
    """Upload a folder's files as a repository of models, which is made where there is none; return its address.

    Args:
        folder: the folder.
        repository: "ORG/NAME".
        public: whether a repository that is made can be read by all.

    Raises:
        ModelError: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import HfApi

    try:
        api = HfApi()
        made = api.create_repo(repository, private=not public, exist_ok=True, repo_type="model")
        api.upload_folder(repo_id=repository, folder_path=folder, commit_message="Upload a model of tlkit")
    except Exception as error:  # the client raises errors of its HTTP library, which differ between versions
        raise ModelError(
            f"{repository} was not uploaded ({type(error).__name__}: {error}). Nothing is lost: {folder} holds all "
            f"files. Log in with `hf auth login`, check the name, and try again, or: hf upload {repository} {folder}"
        ) from error
    return str(made)


def is_cached(repository: str) -> bool:
    """Return whether a repository's weights are in the hub's cache; no network is used."""
    return any(isinstance(_cached_file(repository, name), str) for name in WEIGHT_FILES)


def cached_file(repository: str) -> Path | None:
    """Return the file of weights of a repository in the hub's cache; None where there is none."""
    files = (_cached_file(repository, name) for name in WEIGHT_FILES)
    return next((Path(file) for file in files if isinstance(file, str)), None)


def cached_repositories() -> list[str]:
    """Return the repositories ("ORG/REPO") whose weights are in the hub's cache, sorted."""
    folder = Path(constants.HF_HUB_CACHE)
    if not folder.is_dir():
        return []
    names = [path.name.removeprefix("models--").replace("--", "/", 1) for path in folder.glob("models--*")]
    return sorted(name for name in names if is_cached(name))


def cached_architecture(repository: str) -> str | None:
    """Return the architecture in a cached repository's config.json; None if it is not in timm's form."""
    file = _cached_file(repository, "config.json")
    try:
        facts = parse_json(Path(file).read_bytes()) if isinstance(file, str) else None
    except (OSError, ValueError):
        return None
    stated = facts.get("architecture") if isinstance(facts, dict) else None
    return stated if isinstance(stated, str) else None


def _cached_file(repository: str, name: str) -> object:
    from huggingface_hub import try_to_load_from_cache  # imports an HTTP client, which takes 0.1 s

    try:
        return try_to_load_from_cache(repository, name, cache_dir=constants.HF_HUB_CACHE)
    except ValueError:  # the folder is not named after a repository
        return None


def _probe(repository: str) -> None:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled, RepositoryNotFoundError

    try:
        HfApi().model_info(repository, timeout=PROBE_TIMEOUT_S)
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"The hub has no repository {repository}, or it is private and you are not logged in."
        ) from error
    except Exception as error:  # the client raises errors of its HTTP library, which differ between versions
        reason = "offline mode is on" if isinstance(error, OfflineModeIsEnabled) else type(error).__name__
        raise ModelError(
            f"The pretrained weights of {repository} are not in the hub's cache, and the hub cannot be reached "
            f"({reason}). On a machine with a network, run `hf download {repository}` and copy its cache folder "
            "($HF_HOME, usually ~/.cache/huggingface) here; or set model.weights to pip:PACKAGE, file:PATH, run:PATH "
            "or none."
        ) from error
