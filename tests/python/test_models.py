"""Models in and out."""

import numpy as np
import onnx
import pytest

import nibble


def test_a_model_is_read_from_a_path_bytes_a_proto_or_a_model(path, proto, tmp_path):
    from_path = nibble.load(path)
    assert nibble.load(from_path) is from_path
    with open(path, "rb") as file:
        data = file.read()
    for source in (tmp_path.__class__(path), data, bytearray(data), proto):
        assert nibble.load(source).to_bytes() == from_path.to_bytes()


def test_inputs_and_outputs_have_names_types_and_shapes(path):
    model = nibble.load(path)
    assert [(v.name, v.dtype, v.shape) for v in model.inputs] == [("image", "f32", ["N", 1, 8, 8])]
    assert [(v.name, v.dtype, v.shape) for v in model.outputs] == [("scores", "f32", ["N", 10])]


def test_what_is_saved_is_what_onnx_reads(path, small, tmp_path):
    file = tmp_path / "small.onnx"
    assert small.save(file) is small
    onnx.checker.check_model(onnx.load(file))
    assert file.read_bytes() == small.to_bytes() and small.size == file.stat().st_size
    assert small.to_onnx().SerializeToString(deterministic=True) == onnx.load(file).SerializeToString(deterministic=True)


def test_a_model_is_pickled_as_its_file(small, digits):
    import pickle

    again = pickle.loads(pickle.dumps(small))
    assert (again.name, again.notes, again.layers) == (small.name, small.notes, small.layers)
    np.testing.assert_array_equal(nibble.Session(again)(digits["input"]), nibble.Session(small)(digits["input"]))


def test_layers_say_how_they_are_stored(path, small):
    assert [(one.node, one.weight_bits, one.activation_bits) for one in nibble.load(path).layers] == [
        ("conv1", 32, 32),
        ("conv2", 32, 32),
        ("fc", 32, 32),
    ]
    # The first and the last layer keep 8 bits.
    assert [(one.node, one.weight_bits, one.activation_bits) for one in small.layers] == [
        ("conv1", 8, 8),
        ("conv2", 4, 8),
        ("fc", 8, 8),
    ]
    assert not nibble.load(path).quantized and small.quantized


def test_a_constant_is_the_array_of_the_file_and_shares_the_memory_of_the_model(path, proto):
    model = nibble.load(path)
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in proto.graph.initializer}
    constants = model.constants()
    for name, array in stored.items():
        np.testing.assert_array_equal(constants[name].data, array)
    again = model.constant("w2").data
    assert np.shares_memory(again, constants["w2"].data)
    assert not again.flags.writeable


def test_a_constant_outlives_its_model(proto):
    stored = onnx.numpy_helper.to_array(proto.graph.initializer[1])
    data = nibble.load(proto).constant(proto.graph.initializer[1].name).data
    np.testing.assert_array_equal(data, stored)


def test_values_of_a_quantized_constant_are_the_reals_it_stands_for(path, small):
    real = nibble.load(path).constant("w2").data
    weight = small.constant(small.layers[1].weight)
    assert weight.bits == 4 and weight.granularity == "per_channel"
    assert weight.data.dtype == np.int8 and weight.data.min() >= -8 and weight.data.max() <= 7
    assert weight.scale.shape == (24,)
    largest = weight.scale.reshape(-1, 1, 1, 1)
    inside = np.abs(real) <= 7 * largest  # others are clipped
    assert np.all(np.abs(weight.values - real)[inside] <= (largest / 2 * 1.001 + 0 * real)[inside])


def test_values_of_a_constant_in_blocks_are_the_reals_it_stands_for(path):
    small = nibble.quantize(path, weights=4, activations=None, block_size=32, first_and_last_8bit=False)
    weight = small.constant(small.layers[2].weight)
    real = nibble.load(path).constant("w3").data
    assert weight.granularity == "per_block" and weight.block_size == 32
    assert np.corrcoef(weight.values.ravel(), real.ravel())[0, 1] > 0.99


def test_a_model_prints_as_a_table_and_shows_one_in_a_notebook(small):
    text = str(small)
    assert "conv2" in text and "4 bits" in text and "image f32" in text
    assert "<table" in small._repr_html_() and "conv2" in small._repr_html_()
    assert repr(small).startswith("<nibble.Model")


@pytest.mark.parametrize(
    "source, sentence",
    [
        ("nowhere.onnx", "nowhere.onnx"),
        (b"this is no model", "not an ONNX model"),
        (7, "a model is a path, bytes, an onnx.ModelProto, a torch.nn.Module or a nibble.Model, not int"),
    ],
)
def test_what_is_no_model_is_refused_in_one_sentence(source, sentence):
    with pytest.raises(nibble.Error) as caught:
        nibble.load(source)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_an_unknown_constant_is_named(path):
    with pytest.raises(nibble.Error, match="no constant 'w9'"):
        nibble.load(path).constant("w9")


def test_a_target_that_there_is_not_is_refused_with_those_that_there_are(small, tmp_path):
    with pytest.raises(nibble.Error, match="openvino"):
        small.save(tmp_path / "x.onnx", target="abacus")
    assert not (tmp_path / "x.onnx").exists()
    assert "onnxruntime" in nibble.targets()


def test_a_torch_module_is_exported(digits):
    torch = pytest.importorskip("torch")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    model = nibble.load(module, example_inputs=torch.zeros(1, 1, 8, 8))
    wanted = module(torch.from_numpy(digits["input"])).detach().numpy()
    np.testing.assert_allclose(nibble.Session(model)(digits["input"]), wanted, atol=1e-5)
