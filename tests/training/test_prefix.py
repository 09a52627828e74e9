"""Training the suffix of a partly frozen backbone on cached activations equals training on images."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from kill_runs import interrupt_after
from messages import says

import tlkit
from tlkit.errors import RecipeError
from tlkit.features import FeatureCache
from tlkit.inference import extraction
from tlkit.models.cuts import NoCutError, Parts, find_cut
from tlkit.models.model_files import read_tensors
from tlkit.models.strategies.plan_phases import BACKBONE
from tlkit.models.weights.weight_files import tensors_digest
from tlkit.recipe import load_recipe
from tlkit.training import prefix_batches, prefix_plan
from tlkit.training.fit import fit
from tlkit.training.plan import plan_tables
from tlkit.training.prefix_plan import plan_inputs
from tlkit.training.prepare import prepare

LAST = {"strategy": "{kind: last_n, stages: 1}"}
STAGED = {
    "last_n": (LAST["strategy"], {"layer3"}),
    "gradual": ("{kind: gradual, epochs_per_stage: 1}", {"layer2", "maxpool"}),  # three phases share the first
    "lp_ft": ("{kind: lp_ft, probe_epochs: 2}", {"pooled", None}),
    "lora": ("{kind: lora, rank: 2, stages: 1}", {"layer3"}),
}
SETTINGS = {
    "features.engine": "torch",
    "features.storage": "float32",
    "train.epochs": 5,
    "model.drop_rate": 0.3,
    "train.label_smoothing": 0.1,
    "train.ema_decay": 0.9,
    "report.enabled": False,
}


@pytest.fixture(autouse=True)
def every_cut_pays(monkeypatch):
    """Cut wherever a cut is possible: on images of 32 px storing takes longer than computing."""
    monkeypatch.setattr(prefix_plan, "MACS_PER_BYTE_WRITTEN", 0)
    monkeypatch.setattr(prefix_plan, "MACS_PER_BYTE_READ", 0)


@pytest.fixture
def batches_of_training(monkeypatch):
    """Let engines compute batches of 8 as training does: torch's kernels, and so the last bits, depend on the size."""
    monkeypatch.setattr(extraction, "BATCH", 8)


def on_images(settings):
    """Return the settings of the same training on images."""
    return {
        **settings,
        "name": "live",
        "features.cache": "never",
        "features.engine": "auto",
        "features.storage": "auto",
    }


def record(run):
    return json.loads(run.directory.inputs.read_text())["phases"]


def digest(run):
    return tensors_digest(read_tensors(run.directory.model))


@pytest.mark.usefixtures("batches_of_training")
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("last_n", marks=pytest.mark.series),
        pytest.param("lp_ft", marks=pytest.mark.series),
        "gradual",
        pytest.param("lora", marks=pytest.mark.series),
    ],
)
def test_training_on_activations_equals_training_on_images_to_the_bit(tiny_recipe, kind):
    strategy, cuts = STAGED[kind]
    recipe = tiny_recipe(strategy=strategy)
    cached = fit(recipe, {**SETTINGS, "name": "cached"})
    assert {phase["after"] for phase in record(cached)} >= cuts
    live = fit(recipe, on_images(SETTINGS))
    assert not live.directory.inputs.exists()
    assert digest(cached) == digest(live)
    pd.testing.assert_frame_equal(cached.history, live.history, check_exact=True)
    for split in ("val", "test"):
        ours, theirs = cached.predictions(split), live.predictions(split)
        assert ours.path.tolist() == theirs.path.tolist()
        np.testing.assert_array_equal(ours.proba, theirs.proba)


@pytest.mark.series
@pytest.mark.parametrize("kind", ["gradual", "lp_ft"])
def test_batches_of_another_size_than_the_engines_lead_to_the_same_model_within_rounding(tiny_recipe, kind):
    recipe = tiny_recipe(strategy=STAGED[kind][0])
    cached, live = fit(recipe, {**SETTINGS, "name": "cached"}), fit(recipe, on_images(SETTINGS))
    np.testing.assert_allclose(cached.predictions("test").proba, live.predictions("test").proba, atol=1e-4)
    pd.testing.assert_frame_equal(cached.history, live.history, atol=1e-4, rtol=1e-4)


@pytest.mark.series
@pytest.mark.usefixtures("batches_of_training")
@pytest.mark.parametrize("name", ["test_efficientnet", "test_convnext"])
def test_other_families_are_cut_between_their_stages(tiny_recipe, name):
    recipe = tiny_recipe(**LAST)
    chosen = {**SETTINGS, "model.name": name, "train.epochs": 2}
    cached, live = fit(recipe, {**chosen, "name": "cached"}), fit(recipe, on_images(chosen))
    assert record(cached)[0]["after"] in ("blocks.3", "stages.2")
    assert digest(cached) == digest(live)


@pytest.mark.series
def test_activations_by_another_engine_lead_to_the_same_model_within_rounding(tiny_recipe):
    recipe = tiny_recipe(**LAST)
    chosen = {**SETTINGS, "features.engine": "auto"}
    cached, live = fit(recipe, {**chosen, "name": "cached"}), fit(recipe, on_images(chosen))
    assert record(cached)[0]["engine"] == "onnxruntime/cpu"
    np.testing.assert_allclose(cached.predictions("test").proba, live.predictions("test").proba, atol=1e-3)
    pd.testing.assert_frame_equal(cached.history, live.history, atol=1e-3, rtol=1e-2)


@pytest.mark.parametrize(
    ("kind", "batches"),
    [
        ("last_n", 3),
        pytest.param("gradual", 4, marks=pytest.mark.series),
        pytest.param("lp_ft", 3, marks=pytest.mark.series),
    ],
)
def test_a_stopped_run_resumes_at_its_cut_to_the_same_bits(tiny_recipe, monkeypatch, kind, batches):
    recipe = tiny_recipe(strategy=STAGED[kind][0])
    whole = fit(recipe, {**SETTINGS, "name": "whole"})
    with monkeypatch.context() as patch:
        interrupt_after(patch, batches)
        stopped = fit(recipe, {**SETTINGS, "name": "cut"})
    assert stopped.status == "interrupted"
    before = record(stopped)
    resumed = fit(recipe, {**SETTINGS, "name": "cut"}, resume=True)
    assert resumed.status == "finished"
    assert [phase["after"] for phase in record(resumed)] == [phase["after"] for phase in before]
    assert digest(resumed) == digest(whole)
    pd.testing.assert_frame_equal(resumed.history, whole.history)


@pytest.mark.series
def test_a_resumed_run_keeps_the_cuts_of_its_record_whatever_would_be_chosen_now(tiny_recipe, monkeypatch):
    recipe = tiny_recipe(**LAST)
    with monkeypatch.context() as patch:
        interrupt_after(patch, 3)
        fit(recipe, {**SETTINGS, "name": "cut"})
    monkeypatch.setattr(prefix_plan, "MACS_PER_BYTE_WRITTEN", 1_000_000)
    resumed = fit(recipe, {**SETTINGS, "name": "cut"}, resume=True)
    assert [phase["after"] for phase in record(resumed)] == ["layer3"]
    assert resumed.status == "finished"


@pytest.mark.series
@pytest.mark.usefixtures("batches_of_training")
def test_cached_views_equal_the_augmented_images_of_as_many_epochs(tiny_recipe, caplog):
    recipe = tiny_recipe(**LAST)
    chosen = {**SETTINGS, "augment.preset": "light", "train.epochs": 2}
    cached = fit(recipe, {**chosen, "name": "cached", "features.views": 2})
    assert says(caplog.messages, "activations after layer3", "MB")
    caplog.clear()
    live = fit(recipe, {**chosen, "name": "live", "features.engine": "auto", "features.storage": "auto"})
    assert says(caplog.messages, "train on images", "features.views", "MB")
    assert digest(cached) == digest(live)


@pytest.mark.series
def test_the_stored_model_predicts_what_the_suffix_predicted(tiny_recipe):
    run = fit(tiny_recipe(**LAST), SETTINGS)
    stored = run.predictions("test")
    again = tlkit.load_model(run).predict([run.samples.root / path for path in stored.path])
    np.testing.assert_allclose(again.proba, stored.proba, atol=1e-5)


@pytest.mark.series
@pytest.mark.usefixtures("batches_of_training")
def test_a_soup_of_epochs_is_validated_at_the_last_cut(tiny_recipe):
    recipe = tiny_recipe(strategy=STAGED["gradual"][0])
    chosen = {**SETTINGS, "train.model_soup_size": 3, "train.epochs": 4}
    cached, live = fit(recipe, {**chosen, "name": "cached"}), fit(recipe, on_images(chosen))
    assert cached.directory.soup.read_text() == live.directory.soup.read_text()
    assert digest(cached) == digest(live)


@pytest.mark.series
def test_a_second_run_computes_no_activations_and_a_damaged_block_is_computed_again(tiny_recipe, caplog):
    recipe = tiny_recipe(**LAST)
    first = fit(recipe, {**SETTINGS, "name": "first"})
    caplog.clear()
    fit(recipe, {**SETTINGS, "name": "second", "train.optimizer": "sgd"})
    assert not says(caplog.messages, "pass through the backbone")
    entry = next(one for one in FeatureCache().entries() if one.made_by.layer.startswith("layer3"))
    assert entry.made_by.layer == "layer3 (192x2x2, channels last)"
    for block in entry.blocks():
        block.path.write_bytes(block.path.read_bytes()[:-4] + b"\0\0\0\1")
    again = fit(recipe, {**SETTINGS, "name": "again"})
    assert says(caplog.messages, "damaged")
    assert digest(again) == digest(first)


@pytest.mark.series
def test_float16_is_stored_where_only_that_fits_and_the_check_allows(tiny_recipe, caplog):
    recipe = tiny_recipe(**LAST)
    row_bytes = 192 * 2 * 2 * 4
    tight = {**SETTINGS, "features.storage": "auto", "features.cache_limit_gb": 0.75 * 32 * row_bytes / 1e9}
    half = fit(recipe, {**tight, "name": "half"})
    assert record(half)[0]["storage"] == "float16"
    assert says(caplog.messages, "stored as float16", "cosine")
    live = fit(recipe, on_images(SETTINGS))
    np.testing.assert_allclose(half.predictions("test").proba, live.predictions("test").proba, atol=2e-2)
    refused = fit(
        recipe,
        {
            **SETTINGS,
            "features.engine": "auto",
            "features.storage": "float16",
            "features.tolerance": 1.0,
            "name": "refused",
        },
    )  # no rounded vector reaches a cosine of 1
    assert record(refused)[0]["storage"] == "float32"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"features.cache_limit_gb": 1e-6}, ("cache_limit_gb", "MB")),
        ({"model.name": "test_vit"}, ("torch.fx",)),
        ({"train.mixup": 0.2}, ("mixup",)),
        ({"strategy.stages": 5}, ("boundary",)),
    ],
)
def test_a_run_without_a_cut_trains_on_images_and_says_why(tiny_recipe, caplog, settings, reason):
    run = fit(tiny_recipe(**LAST), {"train.epochs": 1, "report.enabled": False, **settings})
    assert says(caplog.messages, "train on images", *reason)
    assert not run.directory.inputs.exists()


@pytest.mark.parametrize("kind", ["norm_only", "bias_only"])
def test_strategies_that_train_the_stem_train_on_images_and_say_why(tiny_recipe, caplog, kind):
    run = fit(tiny_recipe(strategy=kind), {"train.epochs": 1, "report.enabled": False})
    assert says(caplog.messages, "train on images", "first parameter that learns")
    assert not run.directory.inputs.exists()


def test_a_cut_that_costs_more_than_it_saves_is_not_made(tiny_recipe, caplog, monkeypatch):
    monkeypatch.setattr(prefix_plan, "MACS_PER_BYTE_WRITTEN", 1_000_000)
    fit(tiny_recipe(**LAST), {"train.epochs": 1, "report.enabled": False})
    assert says(caplog.messages, "train on images", "longer")


def test_the_plan_shows_the_cut_and_its_bytes(tiny_recipe):
    recipe = load_recipe(tiny_recipe(strategy=STAGED["gradual"][0]), {"train.epochs": 3})
    table = next(table for table in plan_tables(prepare(recipe)) if table.name == "inputs")
    assert [row[-1] for row in table.rows] == [32 * 4 * 48 * 4 * 4, None, None]
    assert ["layer2" in row[2] for row in table.rows] == [True, False, False]


@pytest.mark.parametrize("epochs_per_stage", [1, 3])
@pytest.mark.parametrize("bytes_cost", [0, 100, 5_000, 1_000_000])
def test_the_phases_share_cuts_in_the_cheapest_of_all_ways(tiny_recipe, monkeypatch, epochs_per_stage, bytes_cost):
    """The oracle tries every division of the phases into neighbors that share the cut of the last one, or images."""
    monkeypatch.setattr(prefix_plan, "MACS_PER_BYTE_WRITTEN", bytes_cost)
    monkeypatch.setattr(prefix_plan, "MACS_PER_BYTE_READ", bytes_cost / 5)
    strategy = f"{{kind: gradual, epochs_per_stage: {epochs_per_stage}}}"
    prepared = prepare(load_recipe(tiny_recipe(strategy=strategy), {"train.epochs": 6 * epochs_per_stage}))
    classifier, parts, learned, own = prepared.classifier, Parts(prepared.classifier.source.module), set(), []
    for phase in classifier.phases:
        learned |= {name.removeprefix(BACKBONE) for name in phase.rates if name.startswith(BACKBONE)}
        try:
            own.append(find_cut(parts, learned, image_size=classifier.preprocess.image_size) if learned else None)
        except NoCutError:
            own.append(NoCutError)
    whole = own[1].macs / own[1].share
    work = [whole if cut is None else 0 if cut is NoCutError else cut.macs for cut in own]
    width = [96 if cut is None else 0 if cut is NoCutError else cut.width for cut in own]
    epochs = [phase.epochs for phase in classifier.phases]

    def cost(start, end, *, images):
        if images:
            return epochs[start] * work[start]
        last, count = end - 1, sum(epochs[start:end])
        moved = 4 * width[last] * bytes_cost * (1 + count / 5)
        frozen = sum(epochs[at] * (work[at] - work[last]) for at in range(start, end))
        return 0.5 * work[last] + moved + frozen

    def ways(start):
        if start == len(own):
            yield 0, ()
            return
        for end in range(start + 1, len(own) + 1):
            for rest, names in ways(end):
                if end == start + 1 and own[start] is not None:
                    yield cost(start, end, images=True) + rest, (None, *names)
                if NoCutError not in own[start:end]:
                    name = "pooled" if own[end - 1] is None else own[end - 1].after
                    yield cost(start, end, images=False) + rest, (*[name] * (end - start), *names)

    cheapest = min(ways(0), key=lambda way: way[0])[0]
    chosen = tuple(one.cut and one.cut.after for one in plan_inputs(prepared))
    assert chosen in [names for total, names in ways(0) if total == pytest.approx(cheapest)]


def test_views_need_a_frozen_part(tiny_recipe):
    with pytest.raises(RecipeError) as caught:
        load_recipe(tiny_recipe(), {"features.views": 2, "augment.preset": "light"})
    assert says([str(caught.value)], "features.views", "full")


def test_phases_share_no_cut_that_only_float16_can_store(tiny_recipe):
    """Each of the three higher cuts fits in float32, which leads to the bits of training on images."""
    given = {"train.epochs": 4, "features.cache_limit_gb": 0.75 * 32 * 4 * 32 * 8 * 8 / 1e9}
    prepared = prepare(load_recipe(tiny_recipe(strategy=STAGED["gradual"][0]), given))
    assert [one.storage for one in plan_inputs(prepared)][:3] == ["float32"] * 3


def test_phases_keep_a_recorded_cut_and_storage_whatever_the_limit(tiny_recipe):
    """As where float16 was planned for want of room, and the check of the features refused it."""
    given = {"train.epochs": 3, "features.cache_limit_gb": 1e-6}
    prepared = prepare(load_recipe(tiny_recipe(strategy=STAGED["gradual"][0]), given))
    record = {epoch: prefix_plan.PhaseRecord(epoch, "layer2", "float32", "torch/cpu", "float32") for epoch in (1, 2, 3)}
    assert [one.cut and one.cut.after for one in plan_inputs(prepared)] == [None] * 3
    assert [one.cut and one.cut.after for one in plan_inputs(prepared, record=record)] == ["layer2"] * 3


@pytest.mark.parametrize("views", [None, 2])
def test_where_an_image_cannot_be_read_again_no_phase_of_the_cut_is_recorded_as_cut(tiny_recipe, monkeypatch, views):
    monkeypatch.setattr(prefix_batches.PrefixBatches, "_is_whole", lambda self, cached: False)
    augmented = {} if views is None else {"augment.preset": "light", "features.views": views}
    run = fit(tiny_recipe(strategy=STAGED["gradual"][0]), {**SETTINGS, **augmented, "train.epochs": 3})
    assert [phase["after"] for phase in record(run)] == [None] * 3


def test_phases_that_are_cheapest_on_images_stay_there_where_their_cuts_are_one(tiny_recipe, monkeypatch):
    """As where the boundary above a stage cannot be cut, so that two phases have the same highest cut."""
    monkeypatch.setattr(prefix_plan, "MACS_PER_BYTE_WRITTEN", 1_000_000)
    prepared = prepare(load_recipe(tiny_recipe(strategy=STAGED["gradual"][0]), {"train.epochs": 3}))
    below = [name for name, _ in prepared.classifier.source.module.named_parameters() if name.startswith("layer3")]

    def one_lower(parts, learning, **options):
        return find_cut(parts, {*learning, *below}, **options)

    monkeypatch.setattr(prefix_plan, "find_cut", one_lower)
    inputs = plan_inputs(prepared)
    assert [one.cut and one.cut.after for one in inputs] == ["pooled", None, None]
    assert all("layer2" in one.reason for one in inputs[1:])


def test_a_run_whose_phases_had_cuts_of_their_own_keeps_them_and_their_bytes(tiny_recipe):
    prepared = prepare(load_recipe(tiny_recipe(strategy=STAGED["gradual"][0]), {"train.epochs": 3}))
    own = ("pooled", "layer3", "layer2")
    record = {epoch: prefix_plan.PhaseRecord(epoch, after, "float32") for epoch, after in enumerate(own, 1)}
    inputs = plan_inputs(prepared, record=record)
    assert tuple(one.cut.after for one in inputs) == own
    assert [one.size_bytes for one in inputs] == [32 * 4 * width for width in (96, 192 * 2 * 2, 48 * 4 * 4)]
