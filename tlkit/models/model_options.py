"""Options of an architecture that a stored file may hand to timm's `create_model`: fixed names, types and ranges."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from tlkit.errors import ModelError, did_you_mean
from tlkit.preprocess import MAX_SIDE

MOST_UNITS = 65_536
"""Largest count (blocks, heads, channels) in an option."""
MOST_LAYERS = 1024
"""Largest number of blocks or layers in an option."""
MOST_ITEMS = 64
"""Most entries of an option that is a list."""
MOST_FACTOR = 1e6
"""Largest size of a fraction or factor in an option."""

ACTIVATIONS = (
    "celu elu gelu gelu_tanh hard_mish hard_sigmoid hard_swish hardsigmoid hardswish identity leaky_relu mish prelu "
    "quick_gelu relu relu6 selu sigmoid silu swish tanh"
)
NORMS = (
    "batchnorm batchnorm1d batchnorm2d frozenbatchnorm2d groupnorm groupnorm1 layernorm layernorm2d layernormfp32 "
    "layernorm2dfp32 rmsnorm rmsnorm2d rmsnormfp32 rmsnorm2dfp32 simplenorm simplenorm2d"
)
POOLS = "avg avgmax catavgmax fast fastavg fastavgmax fastcatavgmax fastmax map max prr token"
COUNTS = (
    "num_classes in_chans embed_dim num_heads patch_size output_stride stem_size stem_chs num_features "
    "window_size head_hidden_size head_dim kernel_size class_tokens reg_tokens cardinality base_width groups "
    "num_init_features growth_rate num_kv_heads key_dim base_dim dims embed_dims channels heads widths "
    "sr_ratios kernel_sizes stem_width pad_size"
)
LAYERS = "depth depths layers stages"
FACTORS = (
    "drop_rate drop_path_rate drop_block_rate attn_drop_rate proj_drop_rate pos_drop_rate patch_drop_rate mlp_ratio "
    "mlp_ratios init_values ls_init_value layer_scale_init_value head_init_scale norm_eps expand_ratio "
    "rope_temperature width_factor depth_factor attn_ratio attn_mlp_ratio width"
)
SWITCHES = (
    "qkv_bias proj_bias qk_norm class_token no_embed_class pre_norm final_norm fc_norm use_fc_norm dynamic_img_size "
    "dynamic_img_pad strict_img_size always_partition use_pos_embed use_abs_pos_emb use_rel_pos_emb "
    "use_shared_rel_pos_bias use_rot_pos_emb swiglu_mlp scale_mlp scale_attn_inner distillation conv_bias "
    "head_norm_first zero_init_last avg_down legacy use_post_norm preact fix_init"
)


def check_options(options: Any, *, source: str) -> dict[str, Any]:
    """Return the options of an architecture as a stored file names them, after checking each name and value.

    Options that name files, addresses or pretrained configurations are refused like every unknown name.

    Args:
        options: a mapping of names to plain values; None for none.
        source: the file that they stand in, for messages.

    Raises:
        ModelError: a name is not in the fixed list, or its value is of another type or out of range.

    Example:
        >>> check_options({"img_size": [64, 64], "act_layer": "silu"}, source="model.json")
        {'img_size': [64, 64], 'act_layer': 'silu'}
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise ModelError(f"{source}: the options of the architecture are {options!r}. They must be names and values.")
    problems = []
    for name, value in options.items():
        if name not in _KINDS:
            near = did_you_mean(name, _KINDS) if isinstance(name, str) else ""
            problems.append(
                f"{source} gives the architecture an option {name!r}, which is not on tlkit's list of options, so it "
                f"is not loaded.{near} Remove it from the file if you trust where the file comes from."
            )
        elif value is not None and not _KINDS[name][0](value):
            seen = repr(value)
            problems.append(f"{source} gives the architecture the option {name} = {seen[:80]}. Use {_KINDS[name][1]}.")
    if problems:
        raise ModelError(*problems)
    return dict(options)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_UNITS


def _is_layers(value: Any) -> bool:
    return _is_count(value) and value <= MOST_LAYERS


def _is_factor(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= MOST_FACTOR and math.isfinite(value)


def _is_size(value: Any) -> bool:
    sides = value if isinstance(value, list | tuple) and len(value) == 2 else [value]
    return all(_is_count(side) and 1 <= side <= MAX_SIDE for side in sides)


def _one_or_list(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def check(value: Any) -> bool:
        items = value if isinstance(value, list | tuple) else [value]
        return len(items) <= MOST_ITEMS and all(fits(item) for item in items)

    return check


def _one_of(words: str) -> Callable[[Any], bool]:
    known = {"", *words.split()}
    return lambda value: isinstance(value, str) and value in known


def _is_switch(value: Any) -> bool:
    return isinstance(value, bool)


Kind = tuple[Callable[[Any], bool], str]
_KINDS: dict[str, Kind] = {
    **dict.fromkeys(COUNTS.split(), (_one_or_list(_is_count), f"whole numbers from 0 to {MOST_UNITS}")),
    **dict.fromkeys(LAYERS.split(), (_one_or_list(_is_layers), f"whole numbers from 0 to {MOST_LAYERS}")),
    **dict.fromkeys(FACTORS.split(), (_one_or_list(_is_factor), f"numbers up to {MOST_FACTOR:,.0f}")),
    **dict.fromkeys(SWITCHES.split(), (_is_switch, "true or false")),
    "img_size": (_is_size, f"[height, width] from 1 to {MAX_SIDE} px"),
    "act_layer": (_one_of(ACTIVATIONS), f"one of {ACTIVATIONS.replace(' ', ', ')}"),
    "norm_layer": (_one_of(NORMS), f"one of {NORMS.replace(' ', ', ')}"),
    "weight_init": (_one_of("skip reset jax jax_nlhb moco"), "one of skip, reset, jax, jax_nlhb, moco"),
    "global_pool": (_one_of(POOLS), f"one of {POOLS.replace(' ', ', ')}"),
}


def check_repository(repository: str, cfg: Mapping[str, Any], options: Any) -> None:
    """Check what a repository's config.json hands to `create_model`.

    Raises:
        ModelError: an option is not allowed, or the weights are to come from elsewhere than the repository.
    """
    source = f"config.json of hf-hub:{repository}"
    check_options(options, source=source)
    elsewhere = [name for name in ("file", "state_dict", "custom_load") if cfg.get(name)]
    if elsewhere:
        raise ModelError(
            f"{source} sets {', '.join(elsewhere)}, which would load weights from elsewhere than the repository. It is "
            "not loaded. Use a repository with model.safetensors and a plain config.json."
        )
