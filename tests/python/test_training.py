"""Training, where a libtorch is installed."""

import json

import numpy as np
import pytest

import nibble


@pytest.fixture(scope="module")
def trained():
    try:
        return nibble.train("digits-cnn", "digits", epochs=2, threads=1)
    except nibble.Error as error:
        assert error.code == "unsupported" and "libtorch" in str(error)
        pytest.skip(str(error))


def test_a_network_is_trained_from_scratch(trained):
    assert len(trained.history) == 2 and trained.validation_accuracy > 0.85
    low, high = trained.interval
    assert low < trained.validation_accuracy < high
    assert nibble.evaluate(trained.model, "digits")[0].value > 0.8
    assert "validation accuracy" in str(trained) and len(trained.to_pandas()) == 2


def test_training_is_plotted(trained):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    assert len(trained.plot().axes) == 2
    pyplot.close("all")


def test_a_network_is_trained_with_quantization_in_the_loop(trained):
    calls = []
    training = nibble.qat(trained.model, "digits", weights=4, epochs=1, threads=1, progress=lambda *call: calls.append(call))
    assert calls and training.model.quantized and training.validation_accuracy > 0.85
    assert {one.weight_bits for one in training.model.layers} == {8, 4}


def test_a_quantized_network_is_trained_on(trained):
    small = nibble.quantize(trained.model, "digits", weights=4)
    training = nibble.finetune(small, "digits", epochs=1, threads=1)
    assert [one.weight_bits for one in training.model.layers] == [one.weight_bits for one in small.layers]
    assert training.validation_accuracy > 0.85


def test_a_network_is_trained_on_arrays(trained):
    arrays = nibble.dataset("digits", "train").arrays()
    training = nibble.train("digits-cnn", (arrays["input"], arrays["label"]), epochs=1, threads=1)
    assert training.validation_accuracy > 0.5


def test_training_looks_at_the_parts_of_a_data_set_whichever_part_is_open(trained):
    training = nibble.train("digits-cnn", nibble.dataset("digits", "test"), epochs=1, threads=1)
    assert training.history[0]["validation_samples"] == 297
    assert training.history[0] == nibble.train("digits-cnn", "digits", epochs=1, threads=1).history[0]


def test_a_metric_chooses_the_best_epoch_and_patience_ends_training(trained, tmp_path):
    training = nibble.train("digits-cnn", "digits", epochs=20, patience=1, metric="f1", learning_rate=0.3, threads=1,
                            log=tmp_path / "log.jsonl", tensorboard=tmp_path / "runs", mixup=0.2, flip=True)  # fmt: skip
    assert training.stopped_early and len(training.history) < 20 and not trained.stopped_early and trained.score is None
    low, high = training.score["interval_95"]
    assert training.score["metric"] == "f1" and low <= training.score["value"] <= high and training.score["samples"] == 297
    assert training.score["value"] == max(one["score"]["value"] for one in training.history)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["event"] == "epoch"]
    assert [line["train_loss"] for line in epochs] == [one["train_loss"] for one in training.history]
    assert list((tmp_path / "runs").glob("events.out.tfevents.*"))


def test_a_training_that_was_stopped_goes_on(trained, tmp_path):
    options = {"epochs": 2, "threads": 1, "checkpoint": tmp_path / "checkpoint"}

    def stop(stage, done, total):
        if stage == "training, epoch 2 of 2" and done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nibble.train("digits-cnn", "digits", progress=stop, **options)
    training = nibble.train("digits-cnn", "digits", resume=True, **options)
    assert training.history == trained.history
    with pytest.raises(nibble.Error, match="learning_rate was 0.05 and is 0.1"):
        nibble.train("digits-cnn", "digits", learning_rate=0.1, **options)


@pytest.mark.parametrize("options, sentence", [
    ({"epochs": 0}, "epochs"),
    ({"epoch": 3}, "did you mean 'epochs'"),
    ({"optimizer": "newton"}, "sgd"),
])  # fmt: skip
def test_options_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(nibble.Error, match=sentence):
        nibble.train("digits-cnn", "digits", **options)


def test_training_needs_labels_and_a_network_that_there_is(path):
    assert "resnet20" in nibble.architectures()
    with pytest.raises(nibble.Error, match="resnet20"):
        nibble.train("resnet21", "digits")
    with pytest.raises(nibble.Error, match="no quantized weights; use `nibble.qat`"):
        nibble.finetune(path, "digits")
    with pytest.raises(nibble.Error, match="dynamic"):
        nibble.qat(path, "digits", dynamic=True)
    with pytest.raises(nibble.Error):
        nibble.train("digits-cnn", np.zeros((20, 1, 8, 8), np.float32))


def test_without_labels_the_float_model_is_the_teacher(trained):
    pictures = np.random.default_rng(0).normal(0.3, 0.3, (80, 1, 8, 8)).astype(np.float32)
    small = nibble.quantize(trained.model, pictures, weights=3)
    training = nibble.finetune(small, pictures, teacher=trained.model, epochs=4, learning_rate=0.02, threads=1)
    assert training.validation_accuracy is None and training.interval is None
    assert "validation_sqnr_db" in training.history[0] and "SQNR" in str(training)
    (output,) = training.outputs
    assert output["difference"]["value"] > 0 and output["samples"] == training.history[0]["validation_samples"]
    assert output["after"]["value"] == pytest.approx(training.validation_sqnr_db, abs=0.5)
    assert nibble.qat(trained.model, pictures, weights=3, epochs=1, threads=1).validation_sqnr_db > 0
    with pytest.raises(nibble.Error, match="no labels.*teacher"):
        nibble.finetune(small, pictures)
    with pytest.raises(nibble.Error, match="cross_entropy"):
        nibble.finetune(small, pictures, teacher=trained.model, loss="entropy")
