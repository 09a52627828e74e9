"""Image-text models (CLIP, SigLIP) of open_clip: towers, preprocessing, embeddings of names. Its only door."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

import tlkit.timm  # noqa: F401  before open_clip, which imports timm
from tlkit.errors import MissingExtraError, ModelError, did_you_mean, first_few, reason_of
from tlkit.models.weights.hub import hub_access
from tlkit.models.weights.weight_files import WeightsFacts, tensors_digest
from tlkit.models.weights.weight_sources import require_weights_file
from tlkit.preprocess import Interpolation, Preprocess, Resize
from tlkit.stored_values import read_json

if TYPE_CHECKING:
    from types import ModuleType

logger = logging.getLogger(__name__)

CONFIG_FILE = "open_clip_config.json"
HUB = "hf-hub:"
RESIZES: Mapping[str, Resize] = {"shortest": "crop", "longest": "letterbox", "squash": "squash"}
"""tlkit's word for open_clip's `resize_mode`; `shortest` crops nothing but the overhang."""
WEIGHT_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".npz")
NAMES_PER_PASS = 10
"""Names in one batch of the text tower: open_clip's own number, since the last digits depend on it."""


class ImageTower(nn.Module):
    """The image side of an image-text model: normalized images (B, 3, H, W) to embeddings (B, E).

    An embedding is scaled to the length exp(logit scale), so its products with unit text embeddings are the logits, in
    the order of operations of `open_clip.CLIP.get_logits`.
    """

    logit_scale: torch.Tensor

    def __init__(self, visual: nn.Module, logit_scale: torch.Tensor) -> None:
        super().__init__()
        self.visual = visual
        self.register_buffer("logit_scale", logit_scale.detach().clone())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return embeddings of length exp(logit scale)."""
        return self.logit_scale.exp() * nn.functional.normalize(self.raw(images), dim=-1)

    def raw(self, images: torch.Tensor) -> torch.Tensor:
        """Return embeddings (B, E) before they are scaled."""
        found = self.visual(images)
        return cast(torch.Tensor, found[0] if isinstance(found, tuple) else found)


@dataclass(frozen=True, eq=False)
class ImageTextModel:
    """An image-text model with its weights, in evaluation mode.

    Attributes:
        name: as it was asked for.
        tower: the image side, with the logit scale.
        preprocess: open_clip's own preprocessing of the weights.
        weights: source, digest over the tensors of both sides, and licence.
        config: open_clip's `model_cfg`, plain JSON values.
    """

    name: str
    tower: ImageTower
    preprocess: Preprocess
    weights: WeightsFacts
    config: Mapping[str, Any]
    _model: nn.Module
    _tokenizer: Any

    @property
    def logit_scale(self) -> float:
        """The factor between the cosine of image and text, and the logit: 1 / temperature."""
        return float(self.tower.logit_scale.exp().reshape(-1)[0])

    def embed_names(self, names: Sequence[str], templates: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return the unit embedding of each name, (n, E): the mean over its prompts, by open_clip's own function.

        Each prompt is embedded and scaled to unit length; the mean over the templates is scaled to unit length again
        (Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", section 3.1.4).

        Args:
            names: what stands in the prompts.
            templates: prompts with `{}` in the place of the name.
        """
        if cut := self._cut_short(names, templates):
            logger.warning(
                "A prompt may be longer than the %d tokens that the model reads: %s",
                self._tokenizer([""]).shape[1],
                first_few(cut),
            )
        device = next(self._model.parameters()).device
        with torch.inference_mode():
            found = _open_clip().build_zero_shot_classifier(
                self._model,
                self._tokenizer,
                classnames=list(names),
                templates=list(templates),
                num_classes_per_batch=NAMES_PER_PASS,
                device=device,
            )
        embeddings: npt.NDArray[np.float32] = found.T.float().cpu().numpy()
        return embeddings

    def _cut_short(self, names: Sequence[str], templates: Sequence[str]) -> list[str]:
        """Return the longest prompt of each name of which another word would not be read.

        The last token says nothing: CLIP pads with 0, SigLIP with 1, by which its tokenizer also ends a cut prompt.
        """
        longest = max(templates, key=len)
        prompts = [longest.format(name) for name in names]
        tokens, with_more = self._tokenizer(prompts), self._tokenizer([f"{prompt} a" for prompt in prompts])
        full = (tokens == with_more).all(dim=1).tolist()
        return [prompt for prompt, is_full in zip(prompts, full, strict=True) if is_full]


def named_templates(word: str) -> tuple[str, ...]:
    """Return templates of open_clip by a word: "simple" or "imagenet".

    `imagenet` are the 80 prompts of Radford et al. (2021) for ImageNet; `simple` the seven of them that they found to
    be as good together, by forward selection (their notebook "Prompt Engineering for ImageNet").
    """
    package = _open_clip()
    found = package.SIMPLE_IMAGENET_TEMPLATES if word == "simple" else package.OPENAI_IMAGENET_TEMPLATES
    return tuple(template("{}") for template in found)


def load_image_text_model(name: str, *, weights: str | Path | None = None, device: str = "cpu") -> ImageTextModel:
    """Return an image-text model with its weights; nothing in its files can run code.

    Args:
        name: `hf-hub:ORG/REPO`, from the hub's cache where it is there; a folder in the same form
            (`open_clip_config.json` and weights); or a name that open_clip knows, such as "ViT-B-32", with `weights`.
        weights: a file of weights for a name that open_clip knows.
        device: cpu, cuda or mps.

    Raises:
        MissingExtraError: open_clip is not installed.
        ModelError: there is no such model, or its files are missing, damaged, or need another package.
    """
    package = _open_clip()
    if name.startswith(HUB):
        _without_file(name, weights)
        repository = name.removeprefix(HUB)
        with hub_access(repository):
            return _from_folder(_hub_folder(repository), name, source=name, device=device)
    if Path(name).is_dir():
        _without_file(name, weights)
        return _from_folder(Path(name), name, source=name, device=device)
    known = package.list_models()
    if name not in known:
        raise ModelError(
            f"There is no folder {name}, and open_clip knows no model of that name.{did_you_mean(name, known)} Name a "
            f"folder with {CONFIG_FILE}, {HUB}ORG/REPO, or a model of open_clip with --weights FILE."
        )
    if weights is None:
        raise ModelError(f"{name} needs weights: --weights FILE.{_repositories(name)}")
    require_weights_file(Path(weights))
    _require_packages(package.get_model_config(name), name)
    _warn_of_preprocessing(name)
    loaded = _create(name, str(weights), name=name)
    return _assembled(loaded, name, config=package.get_model_config(name), source=str(weights), device=device)


def preprocess_of_open_clip(cfg: Mapping[str, Any]) -> Preprocess:
    """Return open_clip's `preprocess_cfg` in tlkit's terms.

    Raises:
        ModelError: a value is of another kind, or unknown.

    Example:
        >>> cfg = {"size": 224, "mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"}
        >>> preprocess_of_open_clip(cfg).resize
        'squash'
    """
    try:
        size, fill = cfg["size"], int(cfg.get("fill_color", 0))
        height, width = (size, size) if isinstance(size, int) else (size[0], size[-1])
        mode = cfg.get("resize_mode") or "shortest"
        # open_clip leaves the filter out where it scales the shorter side of a size that is not square
        fixed = mode == "shortest" and height != width
        named = "bicubic" if fixed or cfg.get("interpolation") in (None, "random") else cfg["interpolation"]
        if mode not in RESIZES or named not in get_args(Interpolation):
            raise ValueError(f"unknown resize_mode or interpolation: {mode!r}, {named!r}")
        default = Preprocess()
        return Preprocess(
            image_size=(int(height), int(width)),
            resize=RESIZES[mode],
            crop_pct=1.0,
            interpolation=cast(Interpolation, named),
            mean=_triple(cfg["mean"]),
            std=_triple(cfg["std"]),
            background=(fill, fill, fill) if mode == "longest" else default.background,
            decode="full",
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ModelError(f"The preprocessing of the image-text model cannot be read: {error}.") from error


def _triple(values: Any) -> tuple[float, float, float]:
    """Return three numbers, from three or from one."""
    first, second, third = map(float, values if isinstance(values, list | tuple) else (values,) * 3)
    return first, second, third


def _open_clip() -> ModuleType:
    if find_spec("open_clip") is None:
        raise MissingExtraError(package="open_clip_torch", extra="clip", purpose="An image-text model")
    import open_clip

    return open_clip  # type: ignore[no-any-return]


def _without_file(name: str, weights: str | Path | None) -> None:
    if weights is not None:
        raise ModelError(f"{name} has its own weights, but --weights is {weights}. Leave one of them out.")


def _repositories(name: str) -> str:
    """Return where open_clip's own weights of a model lie on the hub, as the end of a message."""
    package = _open_clip()
    found = [
        HUB + str(cfg["hf_hub"]).strip("/")
        for tag in package.list_pretrained_tags_by_model(name)
        if "/" in str((cfg := package.get_pretrained_cfg(name, tag)).get("hf_hub", "")).strip("/")
    ]
    return f" open_clip's own are {first_few(list(dict.fromkeys(found)))}." if found else ""


def _warn_of_preprocessing(name: str) -> None:
    """Say which preprocessing a file of weights gets, where weights of this model differ in theirs."""
    package = _open_clip()
    keys = ("mean", "std", "interpolation", "resize_mode")
    tags = package.list_pretrained_tags_by_model(name)
    cfgs = [package.get_pretrained_cfg(name, tag) for tag in tags]
    kinds = {str([cfg.get(key) for key in keys]) for cfg in cfgs}
    default = package.get_pretrained_cfg("ViT-B-32", "openai")
    if kinds - {str([default.get(key) for key in keys])}:
        logger.warning(
            "A file of weights does not state its preprocessing: open_clip's default is used (mean and std of OpenAI's "
            "CLIP, bicubic, shorter side). Other weights of %s have another. A folder with %s states it.",
            name,
            CONFIG_FILE,
        )


def _hub_folder(repository: str) -> Path:
    """Return the folder of a repository in the hub's cache, after fetching what is missing."""
    from huggingface_hub import hf_hub_download

    try:
        folder = Path(hf_hub_download(repository, CONFIG_FILE)).parent
        _open_clip().pretrained.download_pretrained_from_hf(repository)
    except Exception as error:  # the client raises errors of its HTTP library, which differ between versions
        raise ModelError(
            f"{HUB}{repository} cannot be used ({type(error).__name__}). It needs {CONFIG_FILE} and weights in "
            f"open_clip's form; fetch it with `hf download {repository}`."
        ) from error
    return folder


def _from_folder(folder: Path, name: str, *, source: str, device: str) -> ImageTextModel:
    file = folder / CONFIG_FILE
    if not file.is_file():
        raise ModelError(f"{folder} has no {CONFIG_FILE}, so it is no image-text model of open_clip. Name its folder.")
    values = read_json(file, error=ModelError, remedy="Fetch it again.")
    config = values.get("model_cfg") if isinstance(values, Mapping) else None
    if not isinstance(config, Mapping):
        raise ModelError(f"{file} has no model_cfg, which open_clip needs. Fetch it again.")
    _require_packages(config, str(folder))
    _require_sizes(config, folder)
    loaded = _create(f"local-dir:{folder}", None, name=name)
    return _assembled(loaded, name, config=config, source=source, device=device)


def _require_packages(config: Mapping[str, Any], name: str) -> None:
    """Check that nothing else is fetched for a model, and that what it needs is installed.

    Raises:
        ModelError: the file of the model names an image tower elsewhere, or needs transformers, which is not installed.
    """
    vision, text = (config.get(key) or {} for key in ("vision_cfg", "text_cfg"))
    if not isinstance(vision, Mapping) or not isinstance(text, Mapping):
        raise ModelError(f"{name}: vision_cfg and text_cfg must be mappings. Fetch its files again.")
    trunk = vision.get("timm_model_name")
    if trunk is not None and (not isinstance(trunk, str) or ":" in trunk or "/" in trunk):
        raise ModelError(f"{name}: the image tower {trunk!r} is no name of timm, so it is not loaded.")
    needs = [key for key in ("hf_model_name", "hf_tokenizer_name") if text.get(key)]
    if needs and find_spec("transformers") is None:
        raise ModelError(
            f"{name}: its text side ({needs[0]}: {text[needs[0]]}) needs the package transformers. Install it with: "
            "pip install transformers"
        )


def _require_sizes(config: Mapping[str, Any], folder: Path) -> None:
    """Check that a network is no larger than its weights, before memory is taken for it.

    Raises:
        ModelError: there are no weights, or the configuration states more parameters than they have bytes.
    """
    vision, text = (config.get(key) or {} for key in ("vision_cfg", "text_cfg"))
    tables = _product(text, "width", "vocab_size") + _product(text, "width", "context_length")
    layers = sum(_product(side, "layers", "width", "width") for side in (vision, text))
    held = sum(file.stat().st_size for file in folder.iterdir() if file.suffix in WEIGHT_ENDINGS and file.is_file())
    if not held:
        raise ModelError(f"The image-text model {folder} cannot be loaded: it has no file of weights. Fetch it again.")
    if tables + layers > held:
        raise ModelError(
            f"{folder / CONFIG_FILE} states a network of {tables + layers:,} parameters or more, but the weights "
            f"beside it have {held:,} bytes. Fetch its files again."
        )


def _product(side: Mapping[str, Any], *keys: str) -> int:
    """Return the product of whole numbers in a configuration; 0 where one is of another kind, or not there."""
    values = [side.get(key) for key in keys]
    return math.prod(values) if all(type(value) is int for value in values) else 0  # type: ignore[arg-type]


def _create(identifier: str, pretrained: str | None, *, name: str) -> tuple[nn.Module, Any]:
    """Return open_clip's model and tokenizer."""
    package = _open_clip()
    try:
        with torch.random.fork_rng(devices=()), _quiet_root():  # the weights drawn first are replaced
            model, _ = package.create_model_from_pretrained(identifier, pretrained=pretrained)
            tokenizer = package.get_tokenizer(identifier)
    except Exception as error:  # a missing, damaged or foreign file raises another kind each
        raise ModelError(
            f"The image-text model {name} cannot be loaded ({type(error).__name__}: {reason_of(error)}). Check that "
            "its files are complete and belong together, or fetch them again."
        ) from error
    return model, tokenizer


@contextmanager
def _quiet_root() -> Iterator[None]:
    """Give the root logger a handler: open_clip logs there, and `logging.info` would configure it where it has none."""
    handler = logging.NullHandler()
    logging.root.addHandler(handler)
    try:
        yield
    finally:
        logging.root.removeHandler(handler)


def _assembled(
    loaded: tuple[nn.Module, Any], name: str, *, config: Mapping[str, Any], source: str, device: str
) -> ImageTextModel:
    model, tokenizer = loaded
    model = model.float().to(device).eval()
    visual = cast(nn.Module, model.visual)
    facts = WeightsFacts(source=source, origin=name, digest=tensors_digest(model.state_dict()), license="unknown")
    return ImageTextModel(
        name=name,
        tower=ImageTower(visual, cast(torch.Tensor, model.logit_scale)).eval(),
        preprocess=preprocess_of_open_clip(cast("Mapping[str, Any]", visual.preprocess_cfg)),
        weights=facts,
        config=config,
        _model=model,
        _tokenizer=tokenizer,
    )
