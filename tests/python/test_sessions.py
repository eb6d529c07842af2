"""nibble.Session, by ONNX Runtime's interface."""

import gc
import threading

import numpy as np
import onnx
import pytest
from conftest import make_model
from onnx import TensorProto, helper

import nibble


def test_a_session_gives_what_onnx_runtime_gives(path, digits):
    onnxruntime = pytest.importorskip("onnxruntime")
    theirs = onnxruntime.InferenceSession(path)
    ours = nibble.Session(path)
    feed = {"image": digits["input"]}
    np.testing.assert_allclose(ours.run(None, feed)[0], theirs.run(None, feed)[0], atol=1e-4)
    assert [(a.name, a.type, a.shape) for a in ours.get_inputs()] == [(a.name, a.type, a.shape) for a in theirs.get_inputs()]
    assert [(a.name, a.type, a.shape) for a in ours.get_outputs()] == [(a.name, a.type, a.shape) for a in theirs.get_outputs()]


def test_a_quantized_model_gives_in_onnx_runtime_what_it_gives_here(small, digits):
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    theirs = onnxruntime.InferenceSession(small.to_bytes(), options)
    feed = {"image": digits["input"][:64]}
    ours = nibble.Session(small).run(None, feed)[0]
    assert np.abs(ours - theirs.run(None, feed)[0]).max() < 0.02


def test_outputs_are_taken_by_name_in_the_order_asked_for():
    nodes = [helper.make_node("Neg", ["x"], ["a"]), helper.make_node("Abs", ["x"], ["b"])]
    shape = [2]
    model = make_model(nodes, [("x", TensorProto.FLOAT, shape)], [(n, TensorProto.FLOAT, shape) for n in "ab"], {})
    session = nibble.Session(model)
    x = np.array([1, -2], np.float32)
    b, a = session.run(["b", "a"], {"x": x})
    np.testing.assert_array_equal(a, [-1, 2])
    np.testing.assert_array_equal(b, [1, 2])
    with pytest.raises(nibble.Error, match="no output 'c'; it gives a, b"):
        session.run(["c"], {"x": x})


@pytest.mark.parametrize("dtype, onnx_type", [
    (np.float32, TensorProto.FLOAT), (np.float64, TensorProto.DOUBLE), (np.float16, TensorProto.FLOAT16),
    (np.int64, TensorProto.INT64), (np.int32, TensorProto.INT32), (np.int16, TensorProto.INT16), (np.int8, TensorProto.INT8),
    (np.uint64, TensorProto.UINT64), (np.uint32, TensorProto.UINT32), (np.uint16, TensorProto.UINT16),
    (np.uint8, TensorProto.UINT8), (np.bool_, TensorProto.BOOL),
])  # fmt: skip
def test_every_element_type_goes_in_and_comes_out(dtype, onnx_type):
    node = helper.make_node("Identity", ["x"], ["y"])
    session = nibble.Session(make_model([node], [("x", onnx_type, [2, "N"])], [("y", onnx_type, [2, "N"])], {}))
    x = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    (y,) = session.run(None, {"x": x})
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, x)


def test_bfloat16_goes_in_as_ml_dtypes_has_it_and_comes_out_as_float32():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    node = helper.make_node("Neg", ["x"], ["y"])
    bf16 = TensorProto.BFLOAT16
    session = nibble.Session(make_model([node], [("x", bf16, [3])], [("y", bf16, [3])], {}))
    (y,) = session.run(None, {"x": np.array([1, 2.5, -3], ml_dtypes.bfloat16)})
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, [-1, -2.5, 3])


def test_arrays_that_are_no_block_of_memory_are_taken_all_the_same(path, digits):
    session = nibble.Session(path)
    images = digits["input"]
    wanted = session(images[::2])
    np.testing.assert_array_equal(session(np.asfortranarray(images[::2])), wanted)
    np.testing.assert_array_equal(session(images[::2].astype(">f4")), wanted)
    readonly = images[::2].copy()
    readonly.flags.writeable = False
    np.testing.assert_array_equal(session(readonly), wanted)


def test_no_samples_give_no_rows(path):
    assert nibble.Session(path)(np.zeros((0, 1, 8, 8), np.float32)).shape == (0, 10)


def test_results_outlive_the_session_and_the_next_run(path, digits):
    session = nibble.Session(path)
    first = session(digits["input"][:4])
    kept = first.copy()
    session(digits["input"][4:8])
    np.testing.assert_array_equal(first, kept)
    del session
    gc.collect()
    first += 1  # it is the caller's own
    np.testing.assert_array_equal(first, kept + 1)


@pytest.mark.parametrize("feed, sentence", [
    ({}, "input 'image' is not given; the model takes 'image' f32[?,1,8,8]"),
    ({"picture": np.zeros((1, 1, 8, 8), np.float32)}, "the model has no input 'picture'"),
    ({"image": np.zeros((1, 1, 8, 9), np.float32)}, "[1,1,8,9]"),
    ({"image": np.zeros((1, 64), np.float32)}, "[1,64]"),
    ({"image": np.zeros((1, 1, 8, 8))}, "f64"),
    ({"image": np.array([["a"]])}, "which no tensor has"),
    ({"image": [[1], [2, 3]]}, "'image' is no array"),
])  # fmt: skip
def test_what_does_not_fit_is_named(path, feed, sentence):
    with pytest.raises(nibble.Error) as caught:
        nibble.Session(path).run(None, feed)
    assert sentence in str(caught.value)


def test_threads_share_a_session(path, digits):
    session = nibble.Session(path, threads=2)
    images = digits["input"]
    wanted = session(images)
    wrong = []

    def work(begin):
        for _ in range(20):
            if not np.array_equal(session(images[begin : begin + 50]), wanted[begin : begin + 50]):
                wrong.append(begin)

    threads = [threading.Thread(target=work, args=(50 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_gil_is_released_while_a_model_runs():
    """Another thread counts on while a matrix product of some 100 ms runs."""
    size = 1500
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    w = np.ones((size, size), np.float32)
    shape = [size, size]
    session = nibble.Session(make_model([node], [("x", TensorProto.FLOAT, shape)], [("y", TensorProto.FLOAT, shape)], {"w": w}))
    session.run(None, {"x": w})
    running, counted = threading.Event(), []

    def count():
        n = 0
        while not running.is_set():
            n += 1
        counted.append(n)

    thread = threading.Thread(target=count)
    thread.start()
    for _ in range(3):
        session.run(None, {"x": w})
    running.set()
    thread.join()
    assert counted[0] > 1000


def test_a_call_takes_arrays_in_order_or_by_name(path, digits):
    session = nibble.Session(path)
    images = digits["input"][:3]
    np.testing.assert_array_equal(session(images), session(image=images))
    with pytest.raises(nibble.Error, match="2 inputs are given, the model takes 1"):
        session(images, images)


def test_code_for_onnx_runtime_moves_over(path, digits):
    session = nibble.Session(path, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    assert session.run([session.get_outputs()[0].name], {name: digits["input"]})[0].shape == (500, 10)
    with pytest.raises(nibble.Error, match="runs on the CPU"):
        nibble.Session(path, providers=["CUDAExecutionProvider"])


def test_arithmetic_is_chosen_by_name(small, digits):
    images = digits["input"][:32]
    results = [nibble.Session(small, arithmetic=name)(images) for name in ("integer", "fake-quantize", "f32")]
    assert np.abs(results[0] - results[1]).max() < 0.05 and not np.array_equal(results[0], results[2])
    with pytest.raises(nibble.Error, match="not 'decimal'"):
        nibble.Session(small, arithmetic="decimal")
