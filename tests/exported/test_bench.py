"""A benchmark times every configuration in turn, and a budget of latency has three verdicts."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from command import invoke
from messages import says
from onnx import TensorProto, helper
from scipy.stats import binom
from small_exports import write_small_export

from tlkit.errors import ModelError
from tlkit.exported import ExportedFacts
from tlkit.exported.bench import Benchmark, _verdict, bench_files, candidate_of
from tlkit.exported.bench_timing import WARM_UP, Configuration, quantile_estimate, time_alternating
from tlkit.exported.facts import LOGITS, NETWORK_INPUT, PROBABILITIES
from tlkit.inference.export.model_graph import onnx_content
from tlkit.preprocess import Preprocess
from tlkit.render.plots import plot_bench, to_svg
from tlkit.stats.estimate import Estimate

FACTS = ExportedFacts("network", ("a", "b", "c"), Preprocess(image_size=(8, 6), crop_pct=1.0), "none", "linear", "tiny")


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """A network whose logits are the means of the channels."""
    nodes = [
        helper.make_node("ReduceMean", [NETWORK_INPUT, "axes"], [LOGITS], keepdims=0),
        helper.make_node("Softmax", [LOGITS], [PROBABILITIES], axis=1),
    ]
    image = helper.make_tensor_value_info(NETWORK_INPUT, TensorProto.FLOAT, ["batch", 3, 8, 6])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3]) for name in (LOGITS, PROBABILITIES)]
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    graph = helper.make_graph(nodes, "means", [image], outputs, initializer=[axes])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(proto)
    path = tmp_path_factory.mktemp("bench") / "network.onnx"
    path.write_bytes(onnx_content(proto, FACTS))
    return path


@pytest.fixture(scope="module")
def benchmark_of_file(network):
    return bench_files([network], batches=(1, 4), calls=10, max_latency_ms=1e6)


def test_each_round_visits_every_configuration_and_each_second_one_in_reverse():
    seen = []
    configurations = [
        Configuration("engine", name, 1, 1, lambda name=name: seen.append(name)) for name in ("first", "second")
    ]
    seconds = time_alternating(configurations, calls=2, budget_s=0)
    timed = seen[2 * WARM_UP :: 2]
    assert timed == ["first", "second", "second", "first"]
    assert [len(one) for one in seconds] == [2, 2]


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_intervals_of_quantiles_are_order_statistics_with_at_least_their_level(share):
    values = np.sort(np.random.default_rng(0).exponential(size=200))
    found = quantile_estimate(values.tolist(), share, confidence=0.9)
    low, high = np.searchsorted(values, [found.low, found.high])
    assert found.low in values
    assert found.high in values
    assert binom.cdf(high, 200, share) - binom.cdf(low, 200, share) >= 0.9


def test_few_calls_have_no_interval_of_the_95th_percentile():
    found = quantile_estimate([1.0] * 20, 0.95, confidence=0.95)
    assert found.value == 1.0
    assert found.low is None
    assert says(found.note, "20")


def test_a_file_is_measured_without_torch_at_every_batch(benchmark_of_file, network):
    rows = benchmark_of_file.rows
    assert {row.batch for row in rows} == {1, 4}
    assert {row.threads for row in rows} == {1, benchmark_of_file.cores}
    for row in rows:
        assert row.throughput.value == pytest.approx(1000 * row.batch / row.p50.value)
        assert row.size == network.stat().st_size
        assert row.memory is None or 20e6 < row.memory < 2e9
        assert (row.verdict is not None) == (row.batch == 1 and row.threads == benchmark_of_file.cores)


@pytest.mark.parametrize(
    ("p95", "verdict"),
    [
        (Estimate(8, 7, 9, n=100), "PASS"),
        (Estimate(12, 11, 13, n=100), "FAIL"),
        (Estimate(10, 9, 11, n=100), "NOT ENOUGH DATA"),
        (Estimate(1, None, None, n=8), "NOT ENOUGH DATA"),
    ],
)
def test_a_budget_passes_or_fails_by_the_whole_interval(p95, verdict):
    assert _verdict(p95, 10) == verdict


@pytest.mark.figures
def test_a_benchmark_survives_json_and_draws_itself(benchmark_of_file):
    found = Benchmark.from_dict(json.loads(json.dumps(benchmark_of_file.to_dict())))
    assert found == benchmark_of_file
    assert found.tables()[0].column("batch") == tuple(row.batch for row in found.rows)
    drawn = to_svg(lambda: plot_bench(found))
    assert "network.onnx" in drawn and "1 thread" in drawn


def test_the_command_ends_with_the_verdict(network):
    command = ["bench", str(network), "--batch", "1", "--calls", "80", "--max-latency-ms"]
    assert invoke([*command, "0.000001"]).exit_code == 1
    few = invoke(["bench", str(network), "--batch", "1", "--calls", "8", "--max-latency-ms", "1e6"])
    assert few.exit_code == 3
    assert says(few.stdout, "NOT ENOUGH DATA")


def test_options_out_of_range_are_refused_at_once(network):
    with pytest.raises(ModelError) as caught:
        bench_files([network], batches=(), max_latency_ms=-1)
    assert says(caught.value, "max_latency_ms", "batches")


def test_weights_of_openvino_do_not_count_for_the_onnx_file_beside_them(tmp_path):
    file = write_small_export(tmp_path / "network.onnx")
    (tmp_path / "network.bin").write_bytes(bytes(1000))
    assert candidate_of(file).size == file.stat().st_size
