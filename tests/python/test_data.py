"""Samples in every form that Python holds them in lead to the same models and numbers."""

import numpy as np
import pytest
from conftest import make_model
from onnx import TensorProto, helper

import nibble


def same_accuracy(path, data, wanted=0.986, n=500, **options):
    row = nibble.evaluate(path, data, **options)[0]
    assert (row.metric, row.n) == ("top1", n) and row.value == pytest.approx(wanted, abs=1e-9)


def test_digits_are_a_data_set_of_dicts():
    data = nibble.dataset("digits")
    assert len(data) == 500 and data.classes == 10 and "500 samples" in repr(data)
    sample = data[0]
    assert sample["input"].shape == (1, 8, 8) and sample["input"].dtype == np.float32 and sample["label"] == data.labels[0]
    np.testing.assert_array_equal(data.arrays()["input"][-1], data[-1]["input"])
    assert sum(1 for _ in data) == 500
    assert data.preprocess["color"] == "grey"
    assert [len(nibble.dataset("digits", part)) for part in ("train", "validation", "test")] == [1000, 297, 500]
    with pytest.raises(IndexError):
        data[500]


def test_the_accuracy_of_the_digits_is_that_of_the_session(path, digits):
    right = nibble.Session(path)(digits["input"]).argmax(1) == digits["label"]
    row = nibble.evaluate(path, "digits")[0]
    assert row.value == right.mean()
    np.testing.assert_array_equal(row.per_sample, right)
    np.testing.assert_array_equal(row.predicted, nibble.Session(path)(digits["input"]).argmax(1))


def test_arrays_tuples_dicts_and_data_sets_are_samples(path, digits):
    x, y = digits["input"], digits["label"]
    wanted = nibble.evaluate(path, "digits")[0].value
    same_accuracy(path, (x, y), wanted)
    same_accuracy(path, (x.astype(np.float64), y.astype(np.uint8)[:, None]), wanted)
    same_accuracy(path, {"image": x, "label": y}, wanted)
    same_accuracy(path, ({"image": x}, y), wanted)
    same_accuracy(path, {"x": x, "y": y}, wanted)
    same_accuracy(path, nibble.dataset("digits"), wanted)


def test_inputs_are_given_by_name_as_arrays_or_files(path, digits, tmp_path):
    np.save(tmp_path / "x.npy", digits["input"])
    by_name = nibble.quantize(path, digits["input"]).to_bytes()
    assert nibble.quantize(path, inputs={"image": digits["input"]}).to_bytes() == by_name
    assert nibble.quantize(path, inputs={"image": tmp_path / "x.npy"}).to_bytes() == by_name
    with pytest.raises(nibble.Error, match="inputs holds arrays"):
        nibble.quantize(path, "digits", inputs={"image": digits["input"]})


def test_iterables_of_batches_are_samples(path, digits):
    x, y = digits["input"], digits["label"]
    wanted = nibble.evaluate(path, "digits")[0].value
    cuts = range(0, 500, 64)
    same_accuracy(path, [(x[i : i + 64], y[i : i + 64]) for i in cuts], wanted)
    same_accuracy(path, ({"image": x[i : i + 64], "labels": y[i : i + 64]} for i in cuts), wanted)
    same_accuracy(path, ([x[i : i + 64], y[i : i + 64]] for i in cuts), wanted)
    same_accuracy(path, zip(x, y), wanted)  # samples: a dimension less than the model's input
    same_accuracy(path, [{"image": a, "label": b} for a, b in zip(x, y)], wanted)


def test_a_set_with_random_access_is_read_sample_by_sample(path, digits):
    wanted = nibble.evaluate(path, "digits")[0].value
    x, y = digits["input"], digits["label"]

    class Map:
        def __len__(self):
            return len(y)

        def __getitem__(self, index):
            return {"image": x[index], "label": int(y[index])}

    same_accuracy(path, Map(), wanted)
    assert nibble.quantize(path, Map()).quantized


def test_a_torch_loader_is_an_iterable_of_batches(path, digits):
    torch = pytest.importorskip("torch")
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(digits["input"]), torch.from_numpy(digits["label"]))
    wanted = nibble.evaluate(path, "digits")[0].value
    same_accuracy(path, torch.utils.data.DataLoader(pairs, batch_size=64), wanted)
    same_accuracy(path, pairs, wanted)


def test_things_with_a_numpy_method_are_arrays(path, digits):
    class Tensor:
        """As TensorFlow's."""

        def __init__(self, array):
            self.array, self.dtype, self.shape = array, array.dtype, array.shape

        def numpy(self):
            return self.array

    wanted = nibble.evaluate(path, "digits")[0].value
    same_accuracy(path, [(Tensor(digits["input"]), Tensor(digits["label"]))], wanted)


def test_a_part_of_a_data_set_is_what_is_calibrated_on(path):
    row = nibble.evaluate(path, nibble.dataset("digits", "validation"), split="test")[0]
    assert row.n == 297
    report = nibble.quantize(path, nibble.dataset("digits", "test")).report
    assert report["calibration_samples"] == 500


def test_texts_beside_arrays_are_passed_over(path, digits):
    items = [{"image": x, "label": int(y), "name": "a digit"} for x, y in zip(digits["input"], digits["label"])]
    assert nibble.evaluate(path, items)[0].n == 500


def test_a_data_frame_is_a_table():
    pandas = pytest.importorskip("pandas")
    random = np.random.default_rng(5)
    w = random.normal(size=(4, 3)).astype(np.float32)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], "product")
    model = make_model([node], [("x", TensorProto.FLOAT, ["N", 4])], [("y", TensorProto.FLOAT, ["N", 3])], {"w": w})
    x = random.normal(size=(100, 4))
    frame = pandas.DataFrame(x, columns=list("abcd")).assign(label=(x.astype(np.float32) @ w).argmax(1))
    row = nibble.evaluate(model, frame)[0]
    assert (row.metric, row.n, row.value) == ("top1", 100, 1.0)


def test_an_endless_iterable_is_read_no_further_than_needed(path, digits):
    read = []

    def endless():
        while True:
            read.append(1)
            yield digits["input"][:50]

    assert nibble.quantize(path, endless(), calibration=100).report["calibration_samples"] == 100
    assert len(read) == 3  # 100 of 0.9 of them
    row = nibble.evaluate([path, path], endless(), samples=70)[0]
    assert row.n == 70 and len(read) == 5


def test_a_model_calibrated_on_arrays_is_the_one_calibrated_on_their_files(path, digits, tmp_path):
    np.save(tmp_path / "x.npy", digits["input"])
    assert nibble.quantize(path, digits["input"]).to_bytes() == nibble.quantize(path, str(tmp_path / "x.npy")).to_bytes()
    assert nibble.quantize(path, digits["input"]).to_bytes() == nibble.quantize(path, tmp_path / "x.npy").to_bytes()


def test_several_inputs_come_by_name_or_in_their_order():
    nodes = [helper.make_node("MatMul", ["a", "w"], ["p"], "product"), helper.make_node("Add", ["p", "b"], ["y"], "sum")]
    random = np.random.default_rng(1)
    inputs = [("a", TensorProto.FLOAT, ["N", 8]), ("b", TensorProto.FLOAT, ["N", 4])]
    model = make_model(
        nodes, inputs, [("y", TensorProto.FLOAT, ["N", 4])], {"w": random.normal(size=(8, 4)).astype(np.float32)}
    )
    a, b = random.normal(size=(60, 8)).astype(np.float32), random.normal(size=(60, 4)).astype(np.float32)
    by_name = nibble.quantize(model, {"a": a, "b": b}).to_bytes()
    assert nibble.quantize(model, [(a[i : i + 20], b[i : i + 20]) for i in (0, 20, 40)]).to_bytes() == by_name
    assert nibble.quantize(model, zip(a, b)).to_bytes() == by_name
    with pytest.raises(nibble.Error, match="a batch has 4 arrays, the model 2 inputs"):
        nibble.quantize(model, [(a, b, b, b)])
    with pytest.raises(nibble.Error, match="have 'c', which the model has no input for"):
        nibble.quantize(model, {"a": a, "b": b, "c": b})


def test_samples_of_different_lengths_are_batches_of_different_shapes():
    nodes = [
        helper.make_node("Gather", ["table", "ids"], ["rows"], "embed"),
        helper.make_node("MatMul", ["rows", "w"], ["p"], "product"),
        helper.make_node("ReduceMean", ["p"], ["y"], "mean", axes=[1], keepdims=0),
    ]
    random = np.random.default_rng(2)
    constants = {name: random.normal(size=size).astype(np.float32) for name, size in (("table", (20, 16)), ("w", (16, 4)))}
    model = make_model(nodes, [("ids", TensorProto.INT64, ["N", "T"])], [("y", TensorProto.FLOAT, ["N", 4])], constants)
    batches = [random.integers(0, 20, (2, length)) for length in (3, 7, 5, 7)]
    small = nibble.quantize(model, batches)
    assert small.report["calibration_samples"] == 7  # of 8, one is set aside for validation
    rows = nibble.evaluate([model, small], batches)
    assert {row.metric for row in rows} >= {"sqnr", "cosine"} and rows[0].n == 8 and rows[0].value > 20


def test_targets_are_what_a_model_should_answer(path, digits):
    wanted = np.eye(10, dtype=np.float32)[digits["label"]]
    rows = nibble.evaluate(path, (digits["input"], wanted))
    scores = nibble.Session(path)(digits["input"])
    assert [row.metric for row in rows] == ["mse", "mae"]
    assert rows[0].value == pytest.approx(((scores - wanted) ** 2).mean(), rel=1e-4)
    named = nibble.evaluate(path, (digits["input"], {"scores": wanted}))
    assert named[0].value == rows[0].value


def test_pictures_of_bytes_are_preprocessed_as_said(path, digits):
    pictures = np.round(digits["input"][:, 0] * 16).astype(np.uint8)
    wanted = nibble.evaluate(path, "digits")[0].value
    same_accuracy(path, (pictures, digits["label"]), wanted, preprocess={"scale": 1 / 16})
    with pytest.raises(nibble.Error, match="unknown key 'shrink'"):
        nibble.evaluate(path, (pictures, digits["label"]), preprocess={"shrink": 2})


class Pictures:
    """As torchvision's data sets and Hugging Face's are."""

    def __init__(self, digits, sample):
        Image = pytest.importorskip("PIL.Image")
        values = (digits["input"][:, 0] * 16).astype(np.uint8)  # 0 to 16 of the file, which scales by 1/16
        self.pictures = [Image.fromarray(picture) for picture in values]
        self.labels, self.sample, self.classes = digits["label"], sample, [f"digit {i}" for i in range(10)]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        if index >= len(self):
            raise IndexError
        return self.sample(self.pictures[index], int(self.labels[index]))


def in_files(digits, folder):
    """The same pictures as files in folders of classes."""
    for index, (picture, label) in enumerate(Pictures(digits, lambda picture, label: (picture, label))):
        (folder / f"digit {label}").mkdir(exist_ok=True)
        picture.save(folder / f"digit {label}" / f"{index:03}.png")
    return folder


@pytest.mark.parametrize(
    "sample",
    [
        lambda picture, label: (picture, label),
        lambda picture, label: {"img": picture, "label": label, "id": "a text"},
        lambda picture, label: {"image": picture.convert("RGB"), "label": np.int64(label)},
    ],
)
def test_pictures_of_pil_are_preprocessed_as_files_of_pictures_are(path, digits, sample, tmp_path):
    files = nibble.evaluate(path, in_files(digits, tmp_path), preprocess={"scale": 1 / 16})[0]
    pictures = Pictures(digits, sample)
    same_accuracy(path, pictures, files.value, preprocess={"scale": 1 / 16})
    same_accuracy(path, list(pictures), files.value, preprocess={"scale": 1 / 16})
    same_accuracy(path, (one for one in pictures), files.value, preprocess={"scale": 1 / 16})
    data = nibble.dataset(pictures, model=path)
    assert data.class_names == pictures.classes and data.preprocess["scale"] == pytest.approx(1 / 255)


def test_pictures_without_labels_calibrate(path, digits):
    only = Pictures(digits, lambda picture, label: picture)
    unknown = Pictures(digits, lambda picture, label: (picture, -1))
    wanted = nibble.quantize(path, only, preprocess={"scale": 1 / 16})
    assert nibble.quantize(path, unknown, preprocess={"scale": 1 / 16}).to_bytes() == wanted.to_bytes()
    assert nibble.dataset(unknown).labels is None


def test_pictures_that_are_no_samples_are_refused_in_one_sentence(path, digits):
    Image = pytest.importorskip("PIL.Image")
    pictures = [Image.new("L", (8, 8)), Image.new("L", (8, 9))]
    with pytest.raises(nibble.Error, match="sample 1.*"):
        nibble.evaluate(path, [(picture, 0) for picture in pictures])
    with pytest.raises(nibble.Error, match="sample 1 has no label"):
        nibble.evaluate(path, [(pictures[0], 1), pictures[0]])
    with pytest.raises(nibble.Error, match="the label 'cat' is no integer"):
        nibble.evaluate(path, [(pictures[0], "cat")])
    with pytest.raises(nibble.Error, match="the pictures left, right: expected one"):
        nibble.evaluate(path, [{"left": pictures[0], "right": pictures[1]}])
    with pytest.raises(nibble.Error, match="mode I;16"):
        nibble.evaluate(path, [(Image.new("I;16", (8, 8)), 0)])


def test_an_iterable_of_single_samples_is_told_by_its_labels(path, digits):
    wanted = nibble.evaluate(path, "digits")[0].value
    same_accuracy(path, ({"pixels": x.tolist(), "label": int(y)} for x, y in zip(digits["input"], digits["label"])), wanted)


def test_arrays_of_a_data_set_outlive_it(digits):
    array = nibble.dataset("digits")[3]["input"]
    np.testing.assert_array_equal(array, digits["input"][3])


def test_the_arrays_given_are_left_as_they_are_and_let_go(path, digits):
    import sys

    x = digits["input"].copy()
    before = sys.getrefcount(x)
    nibble.quantize(path, x)
    np.testing.assert_array_equal(x, digits["input"])
    assert sys.getrefcount(x) == before


@pytest.mark.parametrize("data, sentence", [
    (7, "data is int: expected the name of a data set, a file or folder, an array"),
    ([], "the data set is empty"),
    ("nowhere", "nowhere"),
    (np.zeros((10, 1, 8, 9), np.float32), "[1,8,9]"),
    (np.zeros((0, 1, 8, 8), np.float32), "empty"),
    ({"picture": np.zeros((10, 1, 8, 8), np.float32), "image": np.zeros((9, 1, 8, 8), np.float32)}, "9"),
    ([(np.zeros((10, 1, 8, 8), np.float32), np.zeros(9, int))], "batch 0: its arrays have 9, 10 rows"),
    ((np.zeros((10, 1, 8, 8), np.float32), np.zeros(9, int)), "9 labels for 10 samples"),
    (np.array([["a"]]), "which no tensor has"),
    (np.full((10, 1, 8, 8), np.nan, np.float32), "NaN"),
])  # fmt: skip
def test_data_that_do_not_fit_are_refused_in_one_sentence(path, data, sentence):
    with pytest.raises(nibble.Error) as caught:
        nibble.quantize(path, data)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_what_a_data_set_raises_comes_through(path):
    class Broken:
        def __len__(self):
            return 100

        def __getitem__(self, index):
            if index == 41:
                raise RuntimeError("the disk is gone")
            return np.zeros((1, 8, 8), np.float32)

    with pytest.raises(RuntimeError, match="the disk is gone"):
        nibble.quantize(path, Broken())


def test_states_are_carried_from_sample_to_sample():
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"], "product"),
        helper.make_node("Add", ["p", "state"], ["new_state"], "sum"),
    ]
    shape = [1, 4]
    w = np.random.default_rng(3).normal(size=(4, 4)).astype(np.float32)
    inputs = [("x", TensorProto.FLOAT, shape), ("state", TensorProto.FLOAT, shape)]
    model = make_model(nodes, inputs, [("new_state", TensorProto.FLOAT, shape)], {"w": w})
    x = np.random.default_rng(4).normal(size=(40, 4)).astype(np.float32)
    ranges = nibble.analyze(model, {"x": x}, carry={"new_state": "state"})
    states = np.cumsum(x[:36] @ w, 0)  # of the training part
    assert ranges["new_state"].max == pytest.approx(states.max(), rel=1e-5)
