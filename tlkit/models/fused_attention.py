"""Switches timm's fused attention off for networks built within a block, since some exporters refuse it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tlkit.timm import set_fused_attn, use_fused_attn


@contextmanager
def unfused_attention() -> Iterator[None]:
    """Build networks whose attention is plain matrix products while the block runs; timm's setting is then restored."""
    before, experimental = use_fused_attn(), use_fused_attn(experimental=True)
    set_fused_attn(False)
    try:
        yield
    finally:
        set_fused_attn(before, experimental=experimental)
