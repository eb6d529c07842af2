"""Every verb, and what its result says."""

import itertools
import json
import subprocess
import sys

import numpy as np
import pytest

import nibble


def run_program(*arguments):
    return subprocess.run([sys.executable, "-m", "nibble", *arguments], capture_output=True, text=True)


def test_ten_lines_quantize_save_and_judge(path, tmp_path):
    q = nibble.quantize(path, "digits")
    q.save(tmp_path / "q.onnx")
    evaluation = nibble.evaluate([path, tmp_path / "q.onnx"], "digits")
    assert evaluation[0].value - evaluation[1].value < 0.02
    assert "95 %" in str(evaluation) and "500" in str(evaluation)


def test_a_quantized_model_is_the_file_that_the_program_writes(path, tmp_path):
    file = tmp_path / "program.onnx"
    arguments = ["--data", "digits", "--weights", "4", "--activation-observer", "percentile", "--seed", "3", "-o", str(file)]
    assert run_program("quantize", path, *arguments).returncode == 0
    model = nibble.quantize(path, "digits", weights=4, activation_observer="percentile", seed=3)
    assert model.to_bytes() == file.read_bytes()


def test_what_is_evaluated_is_what_the_program_prints_as_json(path, small, tmp_path):
    file = str(tmp_path / "small.onnx")
    small.save(file)
    for metric in ([], ["--metric", "f1"]):
        printed = json.loads(run_program("eval", path, file, "--data", "digits", "--json", *metric).stdout)
        assert nibble.evaluate([path, file], "digits", *metric[1:]).to_dict() == printed


def test_what_is_compared_analyzed_and_inspected_is_what_the_program_prints_as_json(path, small, tmp_path):
    file = str(tmp_path / "small.onnx")
    small.save(file)
    compared = json.loads(run_program("compare", path, file, "--data", "digits", "--json").stdout)
    assert json.loads(nibble.compare(path, file, "digits").to_json()) == compared
    explained = json.loads(run_program("compare", path, file, "--data", "digits", "--explain", "--json").stdout)
    comparison = nibble.compare(path, file, "digits", explain=True)
    assert json.loads(comparison.to_json()) == explained
    assert comparison.explanation.outputs[0].difference is None and nibble.compare(path, file, "digits").explanation is None
    ranges = tmp_path / "ranges.json"
    assert run_program("analyze", path, "--data", "digits", "-o", str(ranges)).returncode == 0
    assert nibble.analyze(path, "digits").to_dict() == json.loads(ranges.read_text())
    inspected = nibble.inspect(path).to_dict()
    assert inspected.pop("model") == path
    assert inspected == json.loads(run_program("inspect", path, "--json").stdout)
    assert nibble.ops().to_dict() == json.loads(run_program("ops", "--json").stdout)


def test_check_finds_what_the_program_finds_and_nothing_in_a_pair_safe_model(path, tmp_path):
    bare = nibble.quantize(path, "digits", pair_safe=False)
    file = str(tmp_path / "bare.onnx")
    bare.save(file)
    found = nibble.check(file)
    printed = run_program("check", file, "--json")
    assert printed.returncode == 1
    assert found.to_dict() == json.loads(printed.stdout)
    assert not found.clean and found.findings[0]["check"] == "saturating-pairs"
    assert found.findings[0]["sentence"] in str(found)
    assert nibble.check(nibble.quantize(path, "digits")).clean
    assert nibble.check(bare, target="native").clean
    with pytest.raises(nibble.Error, match="onnxruntime"):
        nibble.check(bare, target="abacus")


def test_saturating_sums_are_exact_where_quantization_was_pair_safe(path):
    images = nibble.dataset("digits").arrays()["input"][:32]
    for pair_safe in (True, False):
        model = nibble.quantize(path, "digits", pair_safe=pair_safe)
        exact, saturating = (nibble.Session(model, arithmetic=name)(images) for name in ("integer", "saturating16"))
        assert np.array_equal(exact, saturating) == pair_safe


def test_the_result_does_not_depend_on_the_number_of_threads(path):
    assert nibble.quantize(path, "digits", threads=1).to_bytes() == nibble.quantize(path, "digits", threads=3).to_bytes()


def test_every_option_of_the_table_is_a_keyword_that_help_explains():
    import inspect

    from nibble import _core

    for row in _core.quantize_options():
        assert row["key"] in inspect.signature(nibble.quantize).parameters
        assert f"{row['key']}:" in nibble.quantize.__doc__
    for row in _core.train_options():
        assert row["key"] in inspect.signature(nibble.qat).parameters
        assert f"{row['key']}:" in nibble.qat.__doc__
    assert "{options}" not in nibble.quantize.__doc__ + nibble.qat.__doc__ + nibble.train.__doc__


@pytest.mark.parametrize("options, sentence", [
    ({"wieghts": 4}, "the key 'wieghts' is unknown; did you mean 'weights'?"),
    ({"weights": 5}, "8, 6, 4, 3 or 2"),
    ({"block_size": -1}, "block_size"),
    ({"average_bits": 5, "max_bytes": 5000}, "cannot be given together"),
    ({"average_bits": 5, "weights": 4}, "weights 4 cannot be kept together with a budget"),
    ({"dynamic": True, "weights": 4}, "dynamic quantization is 8 bits"),
    ({"skip": ["conv9"]}, "skip names the node 'conv9'"),
    ({"bits": {"conv9": 4}}, "layers names the node 'conv9'"),
    ({"bits": {"conv1": 7}}, "8, 6, 4, 3, 2 or none"),
    ({"target": "abacus"}, "openvino"),
    ({"block_size": 32}, "activations none"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused_in_one_sentence(path, options, sentence):
    with pytest.raises(nibble.Error) as caught:
        nibble.quantize(path, "digits", **options)
    assert sentence in str(caught.value) and "\n" not in str(caught.value) and "--" not in str(caught.value)
    assert caught.value.code == "invalid_argument"


def test_quantization_needs_data_only_where_it_measures(path):
    with pytest.raises(nibble.Error, match="no data are given, on which the ranges of activations are measured"):
        nibble.quantize(path)
    assert nibble.quantize(path, weights=4, activations=None).layers[1].activation_bits == 32
    assert "DynamicQuantizeLinear" in nibble.quantize(path, dynamic=True).text()


def test_a_rounding_method_looks_at_the_samples_it_is_given(path):
    with pytest.raises(nibble.Error, match="rounding gptq looks at data, and none are given"):
        nibble.quantize(path, weights=4, activations=None, rounding="gptq")

    def sqnr(rounding):
        rows = nibble.compare(path, nibble.quantize(path, "digits", weights=3, rounding=rounding), "digits").outputs
        return next(row.value for row in rows if row.metric == "sqnr")

    assert sqnr("gptq") > sqnr("nearest") + 1


def test_a_goal_finds_the_smallest_network_that_keeps_to_it(path, tmp_path):
    q = nibble.quantize(path, "digits", min_sqnr=20)
    ladder = q.report["ladder"]
    chosen = ladder["rungs"][ladder["chosen"]]
    assert ladder["met"] and chosen["verdict"]["kept"] and chosen["verdict"]["interval"][0] >= 20
    assert all(rung["bytes"] >= chosen["bytes"] for rung in ladder["rungs"] if rung["verdict"]["kept"])
    file = tmp_path / "program.onnx"
    assert run_program("quantize", path, "--data", "digits", "--min-sqnr", "20", "-o", str(file)).returncode == 0
    assert q.to_bytes() == file.read_bytes()


def test_a_goal_that_nothing_keeps_to_is_an_error_unless_forced(path):
    with pytest.raises(nibble.Error, match="nothing keeps to the goal; what is nearest"):
        nibble.quantize(path, "digits", min_sqnr=120)
    assert not nibble.quantize(path, "digits", min_sqnr=120, force=True).report["ladder"]["met"]
    with pytest.raises(nibble.Error, match="cannot show that at most 0.5 points are lost"):
        nibble.quantize(path, "digits", max_drop=0.5)


def test_layers_get_the_bits_they_are_given(path):
    small = nibble.quantize(path, "digits", bits={"conv2": (3, 8), "fc": 6, "conv1": {"weights": 8}})
    assert {one.node: one.weight_bits for one in small.layers} == {"conv1": 8, "conv2": 3, "fc": 8}  # the last keeps 8
    small = nibble.quantize(path, "digits", bits={"fc": (4, None)}, first_and_last_8bit=False)
    assert (small.layers[2].weight_bits, small.layers[2].activation_bits) == (4, 32)


def test_what_stays_in_float_is_said_with_the_reason(path):
    small = nibble.quantize(path, "digits", skip="conv2")
    assert [one["node"] for one in small.left_in_float] == ["conv2"]
    assert "conv2 (Conv)" in str(small) and small.left_in_float[0]["reason"] in small._repr_html_()


def test_nothing_to_quantize_is_an_error_unless_forced(path):
    nodes = ["conv1", "conv2", "fc"]
    with pytest.raises(nibble.Error, match="nothing can be quantized"):
        nibble.quantize(path, "digits", skip=nodes)
    assert not nibble.quantize(path, "digits", skip=nodes, force=True).quantized


def test_a_quantized_model_is_not_quantized_again(small):
    with pytest.raises(nibble.Error, match="is quantized already"):
        nibble.quantize(small, "digits")


def test_ranges_are_what_numpy_says_of_the_values(path, digits):
    ranges = nibble.analyze(path, digits["input"], samples=10**6)
    scores = nibble.Session(path)(digits["input"][:450])  # the last tenth is the validation part
    one = ranges["scores"]
    assert (one.kind, one.count, ranges.samples) == ("activation", scores.size, 450)
    assert one.min == pytest.approx(scores.min(), abs=1e-5) and one.max == pytest.approx(scores.max(), abs=1e-5)
    assert one.mean == pytest.approx(scores.mean(), abs=1e-5) and one.std == pytest.approx(scores.std(), abs=1e-5)
    assert one.counts.sum() == scores.size and len(one.edges) == len(one.counts) + 1
    np.testing.assert_allclose(one.channel_max, scores.max(0), atol=1e-5)
    below = np.searchsorted(one.edges, 0.0)
    assert one.counts[:below].sum() == (scores < 0).sum()  # zero is always an edge
    grid = one.grids()["min-max"]
    assert grid.low <= one.min + grid.scale and grid.high >= one.max - grid.scale
    assert grid.scale == pytest.approx((one.max - one.min) / 255, rel=0.02)
    with pytest.raises(KeyError):
        ranges["nothing"]
    with pytest.raises(nibble.Error, match="2 to 8 bits"):
        one.grids(bits=9)


def test_ranges_are_saved_and_taken_again(path, tmp_path):
    ranges = nibble.analyze(path, "digits")
    ranges.save(tmp_path / "ranges.json")
    assert json.loads((tmp_path / "ranges.json").read_text()) == ranges.to_dict()
    assert nibble.quantize(path, ranges=ranges).to_bytes() == nibble.quantize(path, "digits", bias_correction=True).to_bytes() or (
        nibble.quantize(path, ranges=ranges).quantized
    )


def test_one_file_of_ranges_serves_every_target(path, tmp_path):
    file = tmp_path / "ranges.json"
    ranges = nibble.analyze(path, "digits").save(file)
    assert nibble.Ranges.load(file).to_dict() == ranges.to_dict()
    for target in ["native", "onnxruntime", "openvino", "tensorrt"]:
        assert nibble.quantize(path, ranges=file, target=target).to_bytes() == nibble.quantize(path, ranges=ranges, target=target).to_bytes()
    file.write_text("{}")
    with pytest.raises(nibble.Error, match="no range report"):
        nibble.quantize(path, ranges=file)


def test_a_budget_is_kept_and_its_bits_are_taken(path):
    choice = nibble.choose_bits(path, "digits", average_bits=6.5)
    assert choice.average_bits <= 6.5 and set(choice.bits) == {"conv1", "conv2", "fc"}
    assert choice.bits["conv2"] == (4, 8)
    small = nibble.quantize(path, "digits", bits=choice)
    assert {one.node: one.weight_bits for one in small.layers} == {"conv1": 8, "conv2": 4, "fc": 8}
    with pytest.raises(nibble.Error, match="there is no budget"):
        nibble.choose_bits(path, "digits")
    with pytest.raises(nibble.Error, match="cannot be had"):
        nibble.choose_bits(path, "digits", average_bits=2)


def test_a_latency_that_cannot_be_kept_or_need_not_be_is_said_without_regard_to_the_clock(path):
    with pytest.raises(nibble.Error, match="cannot be had: the fastest of .* networks"):
        nibble.choose_bits(path, "digits", max_latency_s=1e-9)
    with pytest.raises(nibble.Error, match="nothing has to be quantized.*max_latency_s"):
        nibble.quantize(path, "digits", max_latency_s="1000s")


def test_bit_operations_are_a_budget(path):
    choice = nibble.choose_bits(path, "digits", max_bops="1G", first_and_last_8bit=False)
    chosen = choice.to_dict()["chosen"]
    assert choice.to_dict()["budget"] == {"bit_operations": 1e9} and chosen["bit_operations"] <= 1e9
    fewer = nibble.choose_bits(path, "digits", max_bops=chosen["bit_operations"] * 0.7, first_and_last_8bit=False)
    assert fewer.to_dict()["chosen"]["bit_operations"] <= chosen["bit_operations"] * 0.7
    layers = {node: (0, 0) if node == "conv2" else bits for node, bits in fewer.bits.items()}
    assert "conv2" in {one["node"] for one in nibble.quantize(path, "digits", bits=layers).left_in_float}


def test_the_front_goes_from_the_fewest_bits_to_the_most(path):
    choice = nibble.choose_bits(path, "digits", average_bits=8, first_and_last_8bit=False)
    front = choice.front()
    bits, decibels = zip(*front)
    assert list(bits) == sorted(bits) and list(decibels) == sorted(decibels)
    assert bits[0] == pytest.approx(4) and bits[-1] == pytest.approx(8)
    # Of all choices, those that no other beats. The noises of layers add up.
    layers = {}
    for one in choice.sensitivities:
        layers.setdefault(one["node"], []).append(one)
    tried = []
    for chosen in itertools.product(*layers.values()):
        size = sum(one["bits"] * one["weights"] for one in chosen) / sum(one["weights"] for one in chosen)
        tried.append((size, -10 * np.log10(sum(10 ** (-one["sqnr_db"] / 10) for one in chosen))))
    best = [one for one in sorted(tried) if all(other[0] > one[0] or other[1] <= one[1] for other in tried)]
    np.testing.assert_allclose(front, best)


def test_a_function_is_a_metric(path, small, digits):
    seen = []

    def is_right(outputs, target):
        seen.append(outputs.shape)
        return outputs.argmax() == target

    rows = nibble.evaluate({"float": path, "int4": small}, "digits", is_right)
    accuracy = nibble.evaluate({"float": path, "int4": small}, "digits")
    assert [row.value for row in rows] == pytest.approx([row.value for row in accuracy])
    assert rows[0].metric == "is_right" and rows["int4"].difference.value == pytest.approx(accuracy["int4"].difference.value)
    assert rows[0].low < rows[0].value < rows[0].high and set(seen) == {(1, 10)}


def test_a_function_gets_targets_and_what_it_raises_comes_through(path, digits):
    wanted = np.eye(10, dtype=np.float32)[digits["label"]]
    rows = nibble.evaluate(path, (digits["input"], wanted), lambda y, t: float(((y[0] - t) ** 2).mean()))
    assert rows[0].value == pytest.approx(nibble.evaluate(path, (digits["input"], wanted), "mse")[0].value, rel=1e-4)

    def broken(outputs, target):
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing"):
        nibble.evaluate(path, "digits", broken)
    with pytest.raises(nibble.Error, match="is nan for sample 0"):
        nibble.evaluate(path, "digits", lambda y, t: float("nan"))
    with pytest.raises(nibble.Error, match="metric is int"):
        nibble.evaluate(path, "digits", 7)


def test_without_labels_models_are_judged_by_the_first(path, small, digits):
    rows = nibble.evaluate([path, small], digits["input"])
    assert {row.metric for row in rows} == {"sqnr", "cosine", "max_error", "agreement"}
    with pytest.raises(nibble.Error, match="label"):
        nibble.evaluate([path, small], digits["input"], "top1")


def test_an_unknown_metric_is_refused_with_those_that_there_are(path):
    with pytest.raises(nibble.Error, match="top1"):
        nibble.evaluate(path, "digits", "accurracy")
    assert "top1" in nibble.metrics() and nibble.metrics()["top1"]


def test_about_says_what_this_machine_gives():
    about = nibble.about()
    assert about["version"] == nibble.__version__ and about["threads"] >= 1
    assert about["instruction_set"] in ("reference", "portable", "avx2", "avx512_vnni")
    assert about["training"].startswith(("libtorch ", "none: "))


def test_a_model_twice_has_two_names(path):
    assert [row.model for row in nibble.evaluate([path, path], "digits", samples=20)] == [path, f"{path} (2)"]


def test_differences_are_paired(path, small):
    rows = nibble.evaluate([path, small], "digits")
    first, second = rows[0].per_sample.astype(int), rows[1].per_sample.astype(int)
    d = rows[1].difference
    assert d.value == pytest.approx((second - first).mean()) and d.low <= d.value <= d.high and 0 <= d.p_value <= 1
    assert rows[0].difference is None


def test_layers_are_compared_worst_first(path, small):
    comparison = nibble.compare(path, small, "digits")
    sqnr = [one.sqnr_db for one in comparison.layers]
    assert {"conv1", "conv2", "fc"} <= {one["node"] for one in comparison.costs}
    assert sqnr == sorted(sqnr) and comparison.samples == 64 and comparison.outputs[0].metric == "sqnr"
    costliest = max(comparison.costs, key=lambda one: one["share"])
    assert f"{costliest['node']} (" in str(comparison) and " of the noise: " in str(comparison)
    same = nibble.compare(path, path, "digits")
    assert all(np.isinf(one.sqnr_db) for one in same.layers) and "∞" in str(same)


def test_a_profile_has_a_row_for_each_step_and_a_trace(small, tmp_path):
    profile = small.profile(runs=5, threads=2, batch=2)
    assert abs(sum(step["share"] for step in profile.steps) - 1) < 1e-9
    assert profile.steps_s > 0 and profile.whole_s > 0 and profile.to_dict()["batch"] == 2
    assert [step["median_s"] for step in profile.top(2)] == sorted((step["median_s"] for step in profile.steps), reverse=True)[:2]
    assert all(("why_float" in step) <= (step["arithmetic"] == "float") for step in profile.steps)
    profile.save_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {event["name"] for event in events if event["ph"] == "X"} >= {step["node"] for step in profile.steps}
    with pytest.raises(nibble.Error, match="batches of 0"):
        nibble.profile(small, batch=0)


def test_bench_gives_a_row_for_each_model_and_number_of_threads(path, small):
    bench = nibble.bench([path, small], threads=(1, 2), batch=4, seconds=0.05)
    assert [(row["model"], row["threads"], row["batch"]) for row in bench.rows] == [
        (path, 1, 4),
        (path, 2, 4),
        (small.name, 1, 4),
        (small.name, 2, 4),
    ]
    assert all(row["median_s"] > 0 and row["p95_s"] >= row["median_s"] for row in bench.rows)
    assert bench.rows[0]["speed"] == 1 and bench.rows[2]["file_bytes"] == small.size


def test_inspect_says_what_is_in_a_model_and_ops_what_can_be(path):
    inspection = nibble.inspect(path)
    assert inspection.operators["Conv"] == 2 and inspection.parameters == 6586 and inspection.unsupported == []
    assert len(nibble.ops()) > 150
    assert [one["op"] for one in nibble.ops("conv")] == ["Conv"]
    with pytest.raises(nibble.Error, match="did you mean"):
        nibble.ops("Convv")


def test_what_is_infinite_stays_infinite(path):
    same = nibble.compare(path, path, "digits")
    assert same.to_dict()["layers"][0]["sqnr_db"] == float("inf")
    assert json.loads(same.to_json())["layers"][0]["sqnr_db"] is None
