"""Messages for unknown keys: the key that was probably meant, also by its name in fastai, timm or Hugging Face."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from tlkit.recipe.field_tree import all_keys, either, keys_at
from tlkit.recipe.sections.strategy_section import FIELDS_BY_KIND
from tlkit.recipe.yaml_nodes import KeyPath, dotted

ALIASES: dict[str, str] = {
    word: key
    for key, words in {
        "recipe_version": "schema_version",
        "name": "run_name experiment experiment_name run run_id exp_name",
        "seed": "random_state random_seed manual_seed",
        "data": "datamodule",
        "data.root": "path data_dir data_path data_root dataset_path train_dir dir folder image_dir images "
        "image_folder src",
        "data.metadata": "csv csv_path csv_file annotations labels_csv attributes",
        "data.manifest": "file_list filelist image_list list dataframe df table",
        "data.shards": "urls tars tar_files webdataset wds",
        "data.shuffle_buffer": "buffer buffer_size",
        "data.stratify": "stratified",
        "data.label_corrections": "label_file relabel label_fixes corrected_labels cleaned_labels",
        "data.group_by": "group_column split_by patient_column groupby_column split_groups",
        "data.time_column": "time date timestamp",
        "data.on_leak": "leakage duplicates",
        "data.folds": "n_folds k_folds kfold k_fold num_folds n_splits cv",
        "data.fold": "fold_index test_fold",
        "data.groups": "group group_columns attributes_columns sensitive protected group_cols",
        "data.val": "val_split valid_pct validation_split val_size val_pct val_ratio val_fraction validation",
        "data.test": "test_split test_size test_ratio test_fraction",
        "data.batch_size": "bs per_device_train_batch_size validation_batch_size",
        "data.num_workers": "loader_workers",
        "data.image_size": "imagesize input_size size resolution crop_size img_dim",
        "data.resize": "resize_method crop_mode",
        "data.crop_pct": "crop_ratio",
        "data.background": "fill fill_color bg_color pad_color",
        "augment": "aug augs",
        "augment.preset": "policy level strength auto_augment aa",
        "augment.transforms": "tfms batch_tfms item_tfms ops",
        "model": "net network",
        "model.name": "arch architecture backbone model_name encoder encoder_name model_id base_model backbone_name "
        "model_name_or_path",
        "model.weights": "pretrained checkpoint ckpt checkpoint_path initial_checkpoint pretrained_weights weight",
        "model.drop_rate": "dropout drop head_dropout ps p_drop hidden_dropout_prob",
        "strategy": "freeze frozen finetune fine_tune fine_tuning freezing freeze_backbone unfreeze strategies "
        "transfer freeze_encoder linear_probe",
        "strategy.kind": "strategy_name",
        "strategy.head": "classifier head_type head_kind clf probe estimator model_head",
        "strategy.backbone_lr_factor": "lr_mult lr_factor discriminative_lr backbone_learning_rate encoder_lr",
        "strategy.layer_decay": "llrd",
        "strategy.probe_epochs": "head_epochs warmup_head_epochs lp_epochs unfreeze_epoch",
        "strategy.finetune_lr_factor": "ft_lr_factor",
        "strategy.epochs_per_stage": "unfreeze_every unfreeze_interval",
        "strategy.stages": "n_stages unfreeze_last n_layers trainable_layers",
        "strategy.rank": "lora_rank lora_r r",
        "features.cache": "caching cache_features use",
        "train": "training trainer fit training_args hyperparameters hparams",
        "train.epochs": "n_epochs num_epochs max_epochs num_train_epochs cyc epoch_count",
        "train.optimizer": "opt opt_func",
        "train.learning_rate": "lr lr_max max_lr base_lr init_lr head_lr initial_lr peak_lr",
        "train.weight_decay": "wd decay l2 weightdecay",
        "train.momentum": "mom moms beta1",
        "train.schedule": "sched lr_scheduler_type annealing",
        "train.warmup_epochs": "warmup warmup_ratio n_warmup warm_up",
        "train.label_smoothing": "ls",
        "train.class_weights": "weighted_loss loss_weights cls_weights balance",
        "train.loss": "loss_func loss_function",
        "train.focal_gamma": "gamma",
        "train.group_dro_step": "dro_step robust_step_size dro_step_size",
        "train.logit_adjustment": "tau",
        "train.sampling": "balanced_sampling oversample weighted_sampler",
        "train.mixup": "mixup_alpha",
        "train.mixup_off_epochs": "close_mosaic",
        "train.ema_decay": "ema model_ema use_ema weight_averaging",
        "train.model_soup_size": "soup model_soup greedy_soup soup_size swa",
        "train.accumulate_grad_batches": "gradient_accumulation_steps accum_iter grad_accum_steps accumulation_steps "
        "grad_accumulation",
        "train.gradient_clip_val": "clip_grad max_grad_norm clip clip_norm grad_norm clip_grad_norm",
        "train.early_stopping": "es",
        "train.early_stopping.patience": "early_stopping_patience",
        "train.early_stopping.min_delta": "early_stopping_threshold",
        "train.monitor": "metric_for_best_model checkpoint_metric eval_metric save_best best_metric",
        "train.precision": "amp fp16 bf16 half to_fp16 use_amp dtype autocast",
        "train.device": "gpu accelerator cuda use_gpu use_cuda",
        "train.devices": "gpus n_gpus num_gpus nproc_per_node num_devices world_size num_processes",
        "train.parallel": "distributed fully_sharded sharded zero deepspeed",
        "train.num_nodes": "nodes",
        "evaluate": "eval metrics test_metrics",
        "evaluate.top_k": "k",
        "evaluate.confidence": "ci conf_level",
        "audit": "bias fairness subgroups",
        "audit.by": "groupby sensitive_features protected_attributes sensitive_attributes slices",
        "audit.criteria": "fairness_criteria fairness_metrics fairness_constraints",
        "audit.positive": "pos_label",
        "audit.cluster_by": "subject",
        "audit.pair_by": "matched_by",
        "audit.weights": "sample_weight sample_weights",
        "audit.max_intersection_order": "max_order max_depth order depth",
        "audit.min_group_size": "min_size min_samples min_n min_group min_support",
        "report.title": "report_title",
        "tracking": "logger logging wandb log_to report_to experiment_tracking weights_and_biases log_wandb",
        "tracking.mode": "wandb_mode offline online",
        "tracking.entity": "team username",
        "tracking.tags": "tag wandb_tags",
        "tracking.log_model": "save_model log_artifacts",
    }.items()
    for word in words.split()
}
"""Our key by the word of other tools and papers."""

ELSEWHERE: dict[str, str] = {
    word: text
    for words, text in {
        "num_classes n_classes classes class_names nc num_labels label_names n_out": "The classes are the names of the "
        "image folders. Remove it.",
        "labels": "The classes are the names of the image folders, and data.label_corrections names files that correct "
        "labels. Remove it, or use data.label_corrections.",
        "mean std normalize normalization interpolation img_mean img_std": "It belongs to the backbone's weights and "
        "comes with them. Remove it.",
        "output_dir out_dir save_dir output log_dir default_root_dir results_dir work_dir": "A run goes to "
        "runs/<name>. Remove it, and set name.",
        "resume resume_from_checkpoint resume_from ckpt_path": "Remove it, and continue a run with "
        "`tlkit fit RECIPE --resume`.",
        "overwrite overwrite_output_dir": "Remove it, and use `tlkit fit RECIPE --overwrite`.",
        "shuffle": "Training images are always shuffled, the others never. Remove it.",
    }.items()
    for word in words.split()
}
"""What to do about words without a key."""

ALIASES_IN_SECTION: dict[str, str] = {
    "data.train": "data.root",
    "augment.name": "augment.preset",
    "augment.kind": "augment.preset",
    "augment.enabled": "augment.preset",
    "model.type": "model.name",
    "model.kind": "model.name",
    "strategy.name": "strategy.kind",
    "strategy.type": "strategy.kind",
    "strategy.mode": "strategy.kind",
    "evaluate.metrics": "evaluate.top_k",
    "audit.groups": "audit.by",
    "audit.columns": "audit.by",
    "report.name": "report.title",
    "tracking.name": "tracking.project",
    "tracking.type": "tracking.kind",
    "tracking.backend": "tracking.kind",
    "tracking.enabled": "tracking.kind",
}
"""Our key by words that mean something else in one section."""


def unknown_key(path: KeyPath, *, as_written: str | None = None) -> str:
    """Return the message for a key that is not in the schema.

    Args:
        path: path of the key.
        as_written: the whole dotted key of an override.

    Example:
        >>> unknown_key(("train", "lr"))
        'train.lr is unknown. Did you mean train.learning_rate?'
        >>> unknown_key(("train", "batch_size"))
        'train.batch_size is unknown: batch_size belongs to data. Use data.batch_size.'
    """
    shown = as_written or dotted(path)
    if as_written and as_written.count(".") >= len(path):  # the override has further keys below the unknown one
        near = _near(_snake(as_written), list(all_keys()), most=1)
        if near:
            return f"{shown} is unknown. Did you mean {near[0]}?"
    return f"{shown} is unknown{_advice(_snake(str(path[-1])), path[:-1])}"


def unknown_in(path: KeyPath, known: Sequence[str]) -> str:
    """Return the message for an unknown key of another file than a recipe, with the nearest key or all keys.

    Example:
        >>> unknown_in(("limits", 0, "atleast"), ["by", "at_least"])
        'limits[0].atleast is unknown. Did you mean limits[0].at_least?'
    """
    if near := _near(_snake(str(path[-1])), known, most=1):
        return f"{dotted(path)} is unknown. Did you mean {dotted((*path[:-1], near[0]))}?"
    section = dotted(path[:-1]) if path[:-1] else "The file"
    return f"{dotted(path)} is unknown. {section} takes {', '.join(known)}."


def _advice(word: str, section: KeyPath) -> str:
    here, inside = dotted(section) if section else "", keys_at(section)
    full = f"{here}.{word}" if here else word
    if section == ("strategy",) and word in inside:
        takers = tuple(kind for kind, fields in FIELDS_BY_KIND.items() if word in fields)
        return f" to this kind of strategy. Remove it, or use kind: {either(takers)}."
    if word in inside:
        return f". Did you mean {full}?"
    homes = [known for known in all_keys() if _last(known) == word]
    if homes and full not in ALIASES_IN_SECTION:
        return _other_section(word, homes)
    if word in ELSEWHERE:
        return f". {ELSEWHERE[word]}"
    meant = _meant(word, here, inside)
    return f". Did you mean {meant}?" if meant else f". {here or 'A recipe'} takes {', '.join(inside)}."


def _meant(word: str, here: str, inside: Sequence[str]) -> str | None:
    """Return the dotted key that was probably meant, by an alias or by its spelling."""
    target = ALIASES_IN_SECTION.get(f"{here}.{word}") or ALIASES.get(word)
    if target is not None and (target.rpartition(".")[0] == here or not _near(word, inside, most=1, cutoff=0.85)):
        return target
    if near := _near(word, inside, most=2):
        return " or ".join(f"{here}.{name}" if here else name for name in near)
    anywhere = _near(word, [_last(known) for known in all_keys()], most=1)
    return next((known for known in all_keys() if anywhere and _last(known) == anywhere[0]), None)


def _other_section(word: str, homes: list[str]) -> str:
    if len(homes) > 1:
        return f". Did you mean {' or '.join(homes)}?"
    section = homes[0].rpartition(".")[0]
    if not section:
        return f": {word} belongs to the top level of the recipe. Move it there."
    return f": {word} belongs to {section}. Use {homes[0]}."


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _snake(word: str) -> str:
    """Return a key in snake case: batchSize, Batch-Size and BATCH_SIZE become batch_size."""
    if not word.isupper():
        word = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", word)
    return word.lower().replace("-", "_").replace(" ", "_")


def _near(word: str, known: Sequence[str], *, most: int, cutoff: float = 0.65) -> list[str]:
    return difflib.get_close_matches(word, known, n=most, cutoff=cutoff)
