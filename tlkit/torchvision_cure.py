"""Make torchvision importable beside a CPU-only torch; imported before the first import of timm or Lightning.

PyPI's Linux wheels of torchvision link CUDA. With a CPU build of torch their compiled operators do not load, and the
import stops at "operator torchvision::nms does not exist" (pytorch/vision#9337, seen with torchvision 0.28.0). The
schemas of `nms` and `qnms` are all that the import asks for; tlkit never calls the operators.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch


def define_missing_schemas() -> torch.library.Library | None:
    """Define torchvision's operator schemas where its CUDA build meets a CPU build of torch.

    Returns:
        The library that holds the schemas (they vanish with it), or None where no cure is needed.
    """
    if torch.version.cuda is not None or torch.version.hip is not None:
        return None
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    version_file = Path(spec.origin).with_name("version.py")  # only here does the version say "+cu130"
    if not version_file.exists() or "+cu" not in version_file.read_text(encoding="utf-8"):
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    return library


SCHEMAS = define_missing_schemas()
