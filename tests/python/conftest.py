"""Models for the tests, built in code: random convolutions with a readout that is solved for, on the embedded digits."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import nibble


def make_model(nodes, inputs, outputs, constants, name="net", opset=17):
    """An ONNX model; inputs and outputs are (name, element type, shape)."""
    values = [[helper.make_tensor_value_info(*value) for value in side] for side in (inputs, outputs)]
    initializers = [numpy_helper.from_array(np.asarray(array), key) for key, array in constants.items()]
    graph = helper.make_graph(nodes, name, *values, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def _features(readout=None):
    random = np.random.default_rng(0)
    constants = {
        "w1": random.normal(0, 0.4, (12, 1, 3, 3)).astype(np.float32),
        "b1": random.normal(0, 0.1, 12).astype(np.float32),
        "w2": random.normal(0, 0.15, (24, 12, 3, 3)).astype(np.float32),
        "b2": random.normal(0, 0.1, 24).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["image", "w1", "b1"], ["c1"], "conv1", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
        helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c2"], ["r2"], "relu2"),
        helper.make_node("MaxPool", ["r2"], ["p2"], "pool2", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p2"], ["features"], "flatten"),
    ]
    outputs = [("features", TensorProto.FLOAT, ["N", 384])]
    if readout is not None:
        constants |= {"w3": readout[:-1], "b3": readout[-1]}
        nodes.append(helper.make_node("Gemm", ["features", "w3", "b3"], ["scores"], "fc"))
        outputs = [("scores", TensorProto.FLOAT, ["N", 10])]
    return make_model(nodes, [("image", TensorProto.FLOAT, ["N", 1, 8, 8])], outputs, constants)


@pytest.fixture(scope="session")
def train_digits():
    return nibble.dataset("digits", "train").arrays()


@pytest.fixture(scope="session")
def digits():
    return nibble.dataset("digits", "test").arrays()


@pytest.fixture(scope="session")
def proto(train_digits):
    """A classifier of digits as onnx.ModelProto, about 97 % right."""
    session = nibble.Session(_features())
    features = session.run(None, {"image": train_digits["input"]})[0]
    features = np.hstack([features, np.ones((len(features), 1), np.float32)]).astype(np.float64)
    wanted = np.eye(10)[train_digits["label"]]
    readout = np.linalg.solve(features.T @ features + 3 * np.eye(features.shape[1]), features.T @ wanted)
    return _features(readout.astype(np.float32))


@pytest.fixture(scope="session")
def path(proto, tmp_path_factory):
    """The same as a file."""
    file = tmp_path_factory.mktemp("models") / "digits.onnx"
    onnx.save(proto, file)
    return str(file)


@pytest.fixture(scope="session")
def small(path):
    """Its weights in 4 bits."""
    return nibble.quantize(path, "digits", weights=4)
