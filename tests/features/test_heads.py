"""Heads compared with scikit-learn pipelines, and invariants of all heads."""

from __future__ import annotations

import numpy as np
import pytest
from messages import saying
from scipy.special import softmax
from sklearn.calibration import CalibratedClassifierCV
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from sklearn.utils.class_weight import compute_sample_weight

from tlkit.choices import HEADS_WITHOUT_CLASS_WEIGHTS
from tlkit.errors import DataError, ModelError
from tlkit.features.heads import FACTS, KINDS, fit_head, fit_setting
from tlkit.features.heads.fit_head import out_of_fold_scores
from tlkit.stats.temperature import fit_temperature

QUICK = [kind for kind in KINDS if kind not in ("random_forest", "gradient_boosting")]


@pytest.mark.parametrize("kind", QUICK)
@pytest.mark.parametrize("per_class", [2, 3])
def test_a_handful_of_images_per_class_gives_a_head_without_a_warning(make_features, kind, per_class):
    x, y, names = make_features(n=3 * per_class, apart=3.0)
    head = fit_head(x, y, kind=kind, classes=names, folds=2)
    proba = head.predict_proba(x)
    np.testing.assert_allclose(proba.sum(axis=1), 1.0, atol=1e-5)
    if FACTS[kind].linear:
        assert (proba.argmax(axis=1) == y).all()


def pipeline(kind, settings, class_weight=None):
    c = settings.get("C")
    made = {
        "logistic": lambda: LogisticRegression(C=c, tol=1e-9, max_iter=10_000, class_weight=class_weight),
        "linear_svm": lambda: LinearSVC(C=c, tol=1e-9, max_iter=100_000, dual=False, class_weight=class_weight),
        "ridge": lambda: RidgeClassifier(alpha=settings["alpha"], class_weight=class_weight),
        "lda": lambda: LinearDiscriminantAnalysis(solver="lsqr", shrinkage=settings["shrinkage"]),
        "svm": lambda: SVC(C=c, gamma=settings["gamma_factor"] / (20 * 19 / 20), class_weight=class_weight),
        "knn": lambda: KNeighborsClassifier(settings["n_neighbors"]),
    }
    return make_pipeline(StandardScaler(), made[kind]())


def decision(fitted, x):
    """Return scikit-learn's scores (N, C)."""
    values = fitted.decision_function(x)
    return np.stack([-values, values], axis=1) / 2 if values.ndim == 1 else values


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("kind", ["logistic", "linear_svm", "lda", "ridge"])
def test_linear_head_is_scikit_learns_pipeline_to_one_part_in_a_hundred_thousand(make_features, kind, classes):
    x, y, names = make_features(classes=classes)
    for settings in (FACTS[kind].grid[1], FACTS[kind].grid[-2]):
        head = fit_setting(x, y, kind=kind, classes=names, settings=settings, temperature=1.7)
        fitted = pipeline(kind, settings).fit(x.astype(np.float64), y)
        expected = softmax(decision(fitted, x.astype(np.float64)) / 1.7, axis=1)
        np.testing.assert_allclose(head.predict_proba(x), expected, atol=1e-5)
        weight, bias = head.linear.weight, head.linear.bias
        assert weight.shape == (classes, 20) and weight.dtype == bias.dtype == np.float32
        np.testing.assert_allclose(softmax(x @ weight.T + bias, axis=1), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["logistic", "lda", "ridge", "linear_svm"])
def test_linear_heads_equal_scikit_learn_with_more_features_than_images(make_features, kind):
    x, y, names = make_features(n=40, width=200, apart=0.1)
    settings = FACTS[kind].grid[2]
    head = fit_setting(x, y, kind=kind, classes=names, settings=settings)
    fitted = pipeline(kind, settings).fit(x.astype(np.float64), y)
    expected = softmax(decision(fitted, x.astype(np.float64)), axis=1)
    np.testing.assert_allclose(head.predict_proba(x), expected, atol=2e-5)


@pytest.mark.parametrize("kind", ["svm", "knn"])
def test_other_heads_predict_what_scikit_learn_predicts(make_features, kind):
    x, y, names = make_features(classes=3)
    settings = FACTS[kind].grid[3]
    head = fit_setting(x, y, kind=kind, classes=names, settings=settings, temperature=0.4)
    fitted = pipeline(kind, settings).fit(x.astype(np.float64), y)
    wanted = decision(fitted, x).argmax(axis=1) if kind == "svm" else fitted.predict(x)
    assert np.array_equal(head.predict_proba(x).argmax(axis=1), wanted)


@pytest.mark.parametrize("kind", [kind for kind in QUICK if kind not in HEADS_WITHOUT_CLASS_WEIGHTS])
def test_class_weights_are_scikit_learns(make_features, kind):
    x, y, names = make_features(n=120, classes=3, shares=[0.7, 0.2, 0.1])
    settings = FACTS[kind].grid[3]
    for ours, theirs in (("balanced", "balanced"), ({"c": 5.0}, {0: 1.0, 1: 1.0, 2: 5.0})):
        head = fit_setting(x, y, kind=kind, classes=names, settings=settings, class_weight=ours)
        if kind == "linear_svm":  # liblinear's class_weight leaves the images of "the rest" unweighted; ours does not
            each = compute_sample_weight(theirs, y)
            fitted = pipeline(kind, settings).fit(x.astype(np.float64), y, linearsvc__sample_weight=each)
        else:
            fitted = pipeline(kind, settings, theirs).fit(x.astype(np.float64), y)
        expected = softmax(decision(fitted, x.astype(np.float64)), axis=1)
        np.testing.assert_allclose(head.predict_proba(x), expected, atol=2e-5)


@pytest.mark.parametrize("kind", QUICK)
def test_out_of_fold_scores_are_those_of_pipelines_fitted_by_hand(make_features, kind):
    x, y, _ = make_features(n=90)
    fold = np.arange(90) // 3 % 3
    grid = FACTS[kind].grid[:4]
    scores = out_of_fold_scores(kind, x, y, grid, fold, classes=3, weights=np.ones(90), seed=0)
    for number in range(3):
        train, test = fold != number, fold == number
        for settings, found in zip(grid, scores, strict=True):
            if kind == "svm":
                scaled = StandardScaler().fit(x[train])
                by_hand = SVC(C=settings["C"], gamma=settings["gamma_factor"] / (20 * scaled.transform(x[train]).var()))
                by_hand.fit(scaled.transform(x[train]), y[train])
                expected = by_hand.decision_function(scaled.transform(x[test]))
            elif kind == "knn":
                k = settings["n_neighbors"]
                shares = pipeline(kind, settings).fit(x[train], y[train]).predict_proba(x[test])
                expected = np.log((shares * k + 1 / 3) / (k + 1))
            else:
                expected = decision(pipeline(kind, settings).fit(x[train].astype(np.float64), y[train]), x[test])
            iterative = kind in ("logistic", "linear_svm", "svm")
            np.testing.assert_allclose(found[test], expected, atol=5e-3 if iterative else 1e-4)


@pytest.mark.parametrize("kind", QUICK)
def test_probabilities_are_probabilities_and_columns_are_the_classes(make_features, kind):
    x, y, names = make_features(n=90)
    head = fit_head(x, y, kind=kind, classes=names)
    proba = head.predict_proba(x)
    assert proba.shape == (90, 3) and (proba >= 0).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-9)
    swapped = fit_head(x, 2 - y, kind=kind, classes=names[::-1]).predict_proba(x)
    np.testing.assert_allclose(swapped[:, ::-1], proba, atol=0.02)
    assert head.out_of_fold.shape == (90, 3)
    assert head.out_of_fold_accuracy.value == (head.out_of_fold.argmax(axis=1) == y).mean()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random_forest", "gradient_boosting"])
def test_trees_learn_and_repeat_themselves_by_their_seed(make_features, kind):
    x, y, names = make_features(n=60, classes=2, width=6, apart=1.0)
    settings = FACTS[kind].grid[0]
    head, again = (
        fit_setting(x, y, kind=kind, classes=names, settings=settings, seed=3, class_weight="balanced")
        for _ in range(2)
    )
    assert np.array_equal(head.predict_proba(x), again.predict_proba(x))
    fold = np.arange(60) // 2 % 2
    scores = out_of_fold_scores(kind, x, y, [settings], fold, classes=2, weights=np.ones(60), seed=0)
    assert (scores[0].argmax(axis=1) == y).mean() > 0.7


def test_calibration_lowers_the_log_loss_of_new_images(make_features):
    x, y, names = make_features(n=2000, classes=3, width=40, apart=0.35)
    learn, new = slice(0, 300), slice(300, None)
    for kind in ("lda", "linear_svm", "ridge", "svm"):
        head = fit_head(x[learn], y[learn], kind=kind, classes=names)
        plain = fit_setting(x[learn], y[learn], kind=kind, classes=names, settings=head.settings)
        theirs = CalibratedClassifierCV(pipeline(kind, head.settings), method="temperature").fit(x[learn], y[learn])
        ours = log_loss(y[new], head.predict_proba(x[new]))
        assert ours <= log_loss(y[new], plain.predict_proba(x[new])) + 1e-3, kind
        assert ours == pytest.approx(log_loss(y[new], theirs.predict_proba(x[new].astype(np.float64))), abs=0.03), kind


def test_temperature_is_where_the_smoothed_log_loss_is_least(make_features):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(400, 3)) * 2
    y = np.array([rng.choice(3, p=row) for row in softmax(scores / 2.5, axis=1)])
    found = fit_temperature(scores, y)
    targets = np.full((400, 3), 1 / 402 / 2)
    targets[np.arange(400), y] = 401 / 402
    losses = {t: -(targets * np.log(softmax(scores / t, axis=1))).sum() for t in np.linspace(1, 5, 4001)}
    assert found == pytest.approx(min(losses, key=losses.get), abs=2e-3)
    assert found == pytest.approx(2.5, rel=0.2)


def test_temperature_stays_finite_where_every_image_is_right():
    scores = np.array([[5.0, -5.0], [-5.0, 5.0], [4.0, -4.0]])
    found = fit_temperature(scores, np.array([0, 1, 0]))
    assert softmax(scores / found, axis=1).max() < 0.9


def test_class_absent_from_a_training_fold_has_probability_zero(make_features):
    x, y, names = make_features(n=60)
    y = np.where(y == 2, 0, y)
    y[7] = 2  # the only image of its class
    head = fit_head(x, y, kind="logistic", classes=names)
    assert head.out_of_fold[7, 2] == 0
    assert (head.out_of_fold[:7, 2] > 0).any()
    np.testing.assert_allclose(head.out_of_fold.sum(axis=1), 1)


@pytest.mark.parametrize("kind", QUICK)
def test_class_without_images_keeps_its_column_and_has_probability_zero(make_features, kind):
    x, y, _ = make_features(n=60, classes=2)
    head = fit_setting(x, y * 2, kind=kind, classes=("a", "nothing", "b"), settings=FACTS[kind].grid[0], temperature=50)
    proba = head.predict_proba(x)
    assert (proba[:, 1] == 0).all() and (proba[:, [0, 2]] > 0).all()


def test_head_does_not_depend_on_the_order_of_the_images(make_features):
    x, y, names = make_features(n=90)
    order = np.random.default_rng(1).permutation(90)
    one = fit_head(x, y, kind="ridge", classes=names)
    two = fit_head(x[order], y[order], kind="ridge", classes=names)
    assert one.settings == two.settings
    np.testing.assert_allclose(one.predict_proba(x), two.predict_proba(x), atol=1e-6)


@pytest.mark.parametrize("kind", ["lda", "knn"])
def test_heads_without_class_weights_refuse_them(make_features, kind):
    x, y, names = make_features()
    able = "logistic, ridge, linear_svm, svm, random_forest, gradient_boosting"
    with pytest.raises(ModelError, match=saying(kind, able).pattern):
        fit_head(x, y, kind=kind, classes=names, class_weight="balanced")


def test_unusable_features_are_refused_all_at_once(make_features):
    x, y, names = make_features(n=12)
    x[4, 2] = np.nan
    with pytest.raises(DataError) as caught:
        fit_head(x, y * 0, kind="ridge", classes=names)
    assert caught.value.problems == (saying("1", "12", "4", "Features", "infinite"), saying("images", "class", "apart"))
    with pytest.raises(ModelError, match=saying("'logistics'", "'logistic'").pattern):
        fit_head(x, y, kind="logistics", classes=names)
    head = fit_setting(*make_features()[:2], kind="ridge", classes=names, settings={"alpha": 1.0})
    with pytest.raises(ModelError, match=saying("20", "5", "3", "features", "instead").pattern):
        head.predict_proba(np.zeros((5, 3)))
