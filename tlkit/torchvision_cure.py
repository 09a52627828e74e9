"""Makes torchvision importable with a CPU build of torch; imported before timm and Lightning.

A script that imports timm, torchvision or Lightning itself writes `import tlkit.torchvision_cure` first;
`tlkit doctor-env` says whether it needs to.

PyPI's Linux wheels of torchvision link CUDA. With a CPU build of torch their operators do not load, and the import
fails with "operator torchvision::nms does not exist" (pytorch/vision#9337, torchvision 0.28.0). The import needs only
the schemas of `nms` and `qnms`; tlkit never calls these operators.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch


def define_missing_schemas() -> torch.library.Library | None:
    """Define torchvision's operator schemas if its CUDA build is installed with a CPU build of torch.

    Returns:
        The library that holds the schemas (they are deleted with it), or None if no cure is needed.
    """
    if torch.version.cuda is not None or torch.version.hip is not None:
        return None
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        return None
    version_file = Path(spec.origin).with_name("version.py")  # only this file has the suffix "+cu130"
    if not version_file.exists() or "+cu" not in version_file.read_text(encoding="utf-8"):
        return None
    library = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")  # type: ignore[no-untyped-call]
    return library


SCHEMAS = define_missing_schemas()
