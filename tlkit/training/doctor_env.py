"""`doctor_env`: tries in this Python environment what training and prediction need; about ten seconds."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from importlib import import_module, metadata
from pathlib import Path

import tlkit
from tlkit.data.num_workers import available_cores
from tlkit.disk import cache_folder
from tlkit.errors import reason_of
from tlkit.training.environment_report import EnvironmentCheck, EnvironmentReport

PACKAGES = (
    "torch",
    "torchvision",
    "pytorch-lightning",
    "torchmetrics",
    "timm",
    "albumentations",
    "opencv-python-headless",
    "pillow",
    "numpy",
    "pandas",
    "scikit-learn",
    "safetensors",
    "onnx",
    "onnxruntime",
    "openvino",
    "wandb",
)
REINSTALL = "Install tlkit again: pip install -c constraints.txt tlkit"
LOW_MEMORY_GIB = 2.0
FIRST_LINE = "import tlkit.torchvision_cure"


def doctor_env() -> EnvironmentReport:
    """Return what is installed in this Python environment, what works, and what to do about what does not.

    Nothing is downloaded. A tiny network is trained for a step and predicts, and is run in ONNX Runtime; one file is
    written into the cache folder and removed.

    Example:
        >>> doctor_env().is_usable  # doctest: +SKIP
        True
    """
    versions: dict[str, str | None] = {"Python": platform.python_version(), "tlkit": tlkit.__version__}
    versions |= {name: _version(name) for name in PACKAGES}
    tries: tuple[tuple[str, Callable[[], EnvironmentCheck], bool, str], ...] = (
        ("device", _device, True, REINSTALL),
        ("torchvision operators", _torchvision, True, REINSTALL),
        ("training", _training, True, REINSTALL),
        ("prediction", _prediction, True, REINSTALL),
        ("augmentation", _augmentation, True, REINSTALL),
        ("ONNX Runtime session", _onnx_runtime, False, "Set features.engine: torch, or install onnxruntime again."),
        ("cache folder", _cache, False, "Set TLKIT_CACHE to a folder that can be written."),
        ("threads", _threads, False, ""),
        ("memory", _memory, False, ""),
    )
    return EnvironmentReport(versions, tuple(_tried(*one) for one in tries))


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _tried(name: str, try_it: Callable[[], EnvironmentCheck], needed: bool, remedy: str) -> EnvironmentCheck:
    """Return the check, or where it raises the error and the remedy: a broken installation raises anything."""
    try:
        return try_it()
    except Exception as error:
        return EnvironmentCheck(name, False, f"{type(error).__name__}: {reason_of(error)}", remedy, needed)


def _device() -> EnvironmentCheck:
    import torch

    from tlkit.inference.devices import choose_device

    device = choose_device("auto", key="device")
    name = torch.cuda.get_device_name() if device == "cuda" else platform.processor() or platform.machine()
    total = torch.ones(8, device=device).sum().item()
    return EnvironmentCheck("device", total == 8, f"{device} ({name})", "", needed=True)


def _torchvision() -> EnvironmentCheck:
    from tlkit.torchvision_cure import SCHEMAS

    from tlkit.models.box_head import REMEDY, operator_problem

    box_area = import_module("torchvision.ops").box_area
    import torch

    problem = operator_problem()
    area = box_area(torch.tensor([[0.0, 0.0, 2.0, 3.0]])).item()
    if SCHEMAS is None and not problem:
        return EnvironmentCheck("torchvision operators", area == 6, "load", "", needed=True)
    found = "do not load: enough for every task but the training of detectors (task: detection)"
    remedy = f"For detection: {REMEDY}"
    if SCHEMAS is not None:
        found = (
            "built for CUDA beside a CPU build of torch: only the schemas load, which is enough for every task but "
            "detection (task: detection)"
        )
        remedy = f"Before timm, torchvision or Lightning, write: {FIRST_LINE}. {remedy}"
    return EnvironmentCheck("torchvision operators", area == 6, found, remedy, needed=True)


def _training() -> EnvironmentCheck:
    import torch

    from tlkit.inference.devices import choose_device
    from tlkit.models.classifier import Classifier

    device = choose_device("auto", key="device")
    with torch.random.fork_rng():
        classifier = Classifier("test_resnet", classes=["a", "b"], weights="none").to(device)
        head = next(classifier.network.head.parameters())
        before = head.detach().clone()
        batch = torch.randn(2, 3, 64, 64, device=device), torch.tensor([0, 1], device=device)
        loss = torch.nn.functional.cross_entropy(classifier(batch[0]), batch[1])
        loss.backward()  # type: ignore[no-untyped-call]
        torch.optim.SGD([head], lr=0.1).step()
    moved = not torch.equal(before, head)
    return EnvironmentCheck("training", moved, f"one step of a small network on {device}", "", needed=True)


def _prediction() -> EnvironmentCheck:
    import numpy as np

    from tlkit.inference.devices import choose_device
    from tlkit.inference.predictor import Predictor
    from tlkit.models.classifier import Classifier

    device = choose_device("auto", key="device")
    classifier = Classifier("test_resnet", classes=["a", "b"], weights="none")
    model = Predictor(classifier.network, classifier.facts(), device=device)
    proba = model.predict(np.zeros((64, 64, 3), np.uint8)).proba
    works = proba is not None and bool(np.isclose(proba.sum(), 1, atol=1e-4))
    return EnvironmentCheck("prediction", works, f"one image through a small network on {device}", "", needed=True)


def _augmentation() -> EnvironmentCheck:
    import numpy as np

    from tlkit.data.augment.transforms import build_transform
    from tlkit.preprocess import Preprocess

    transform = build_transform(Preprocess(image_size=(32, 32)), augment="heavy")
    works = transform(np.zeros((40, 40, 3), np.uint8)).shape == (32, 32, 3)
    return EnvironmentCheck("augmentation", works, "the preset heavy on one image", "", needed=True)


def _onnx_runtime() -> EnvironmentCheck:
    import torch

    from tlkit.features.engines.engine_choice import create_engine

    class ChannelMeans(torch.nn.Module):
        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels.float().mean(dim=(2, 3))

    pixels = torch.full((1, 3, 8, 8), 7, dtype=torch.uint8)
    features = create_engine("onnxruntime", ChannelMeans(), pixels, device="cpu")(pixels)
    works = features.tolist() == [[7.0, 7.0, 7.0]]
    return EnvironmentCheck("ONNX Runtime session", works, "a small network is exported and runs")


def _cache() -> EnvironmentCheck:
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    probe = Path(folder, f".doctor-env-{os.getpid()}")
    probe.write_bytes(b"")
    probe.unlink()
    return EnvironmentCheck("cache folder", True, f"{folder} can be written")


def _threads() -> EnvironmentCheck:
    import torch

    cores, threads = available_cores(), torch.get_num_threads()
    remedy = "" if threads <= cores else f"More threads than cores slow torch down: set OMP_NUM_THREADS={cores}."
    return EnvironmentCheck("threads", None, f"{threads} of torch, {cores} cores for this process", remedy)


def _memory() -> EnvironmentCheck:
    if "SC_AVPHYS_PAGES" not in getattr(os, "sysconf_names", ()):  # macOS and Windows
        return EnvironmentCheck("memory", None, "not known on this system")
    page = os.sysconf("SC_PAGE_SIZE")
    free, whole = (os.sysconf(name) * page / 2**30 for name in ("SC_AVPHYS_PAGES", "SC_PHYS_PAGES"))
    remedy = "" if whole >= LOW_MEMORY_GIB else "Use a smaller data.batch_size and data.num_workers: 0."
    return EnvironmentCheck("memory", None, f"{free:.1f} GiB unused of {whole:.1f} GiB", remedy)
