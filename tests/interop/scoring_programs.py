#!/usr/bin/env python3
"""The programs of examples/scoring: values worked out by hand, then through `nibble eval --score`.

usage: scoring_programs.py NIBBLE      (needs numpy, onnx and pillow)
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from PIL import Image

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/scoring"
sys.path.insert(0, str(EXAMPLES))
import mean_average_precision as detection  # noqa: E402
import word_error_rate as speech  # noqa: E402


def model(path, shape, outputs):
    """Answers the arrays `outputs` (by name, [1, ...]) to whatever it gets."""
    nodes = [helper.make_node("ReduceMean", ["x"], ["mean"], keepdims=0), helper.make_node("Sub", ["mean", "mean"], ["zero"])]
    nodes += [helper.make_node("Add", [name + "_constant", "zero"], [name]) for name in outputs]
    graph = helper.make_graph(
        nodes, "fixed", [helper.make_tensor_value_info("x", 1, shape)],
        [helper.make_tensor_value_info(name, 1, value.shape) for name, value in outputs.items()],
        [numpy_helper.from_array(value.astype(np.float32), name + "_constant") for name, value in outputs.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)


def evaluate(nibble, folder, data, command):
    run = subprocess.run([nibble, "eval", "right.onnx", "wrong.onnx", "--data", data, "--score", command, "--resamples", "100",
                          "--json"], cwd=folder, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return [entry["value"] for entry in json.loads(run.stdout)["metrics"][0]["models"]]


def check_by_hand():
    # Detections right, wrong, right; two objects: precision 1 up to recall 0.5 (51 of 101 recalls), then 2/3 (50 of them).
    value = detection.average_precision(np.array([True, False, True]), np.array([0.9, 0.8, 0.7]), np.array([0, 0, 1]),
                                        np.array([1.0, 1.0]), np.array([[1.0, 1], [2, 0], [0, 0]]))
    assert np.allclose(value[:2], [(51 + 50 * 2 / 3) / 101, 1]) and np.isnan(value[2]), value
    boxes = np.array([[0, 0, 10, 10], [0, 0, 9, 10], [20, 20, 30, 30.0]])
    assert np.isclose(detection.overlap(boxes, boxes)[0, 1], 0.9)
    assert detection.match(boxes, boxes[:1], 0.5).tolist() == [True, False, False]  # an object is found once
    assert detection.suppress(boxes, np.array([0.8, 0.9, 0.1]), 0.5).tolist() == [1, 2]
    assert speech.edits("a b c".split(), "a x c d".split()) == 2
    steps = np.eye(4)[[0, 1, 1, 0, 1, 2, 3, 2]]
    assert speech.decode(steps, ["", "a", "b", " "], 0) == "aab b"


def check_detection(nibble, folder):
    (folder / "images").mkdir()
    notes = {"images": [], "annotations": [], "categories": [{"id": 7}]}
    for i in range(4):
        Image.new("RGB", (40, 20), (40 * i, 0, 0)).save(folder / f"images/{i}.png")
        notes["images"].append({"id": i, "file_name": f"{i}.png", "width": 40, "height": 20})
        notes["annotations"].append({"image_id": i, "category_id": 7, "bbox": [4, 2, 16, 10]})
    (folder / "notes.json").write_text(json.dumps(notes))
    # The second model's box lies 3.75 of 16 columns off: IoU 12.25 / 19.75 = 0.62.
    for name, left in (("right", 0.1), ("wrong", 0.19375)):
        model(folder / f"{name}.onnx", [1, 3, 20, 40], {"boxes": np.array([[[left, 0.1, left + 0.4, 0.6]]]), "scores": np.array([[[0.9]]])})
    command = f"{sys.executable} {EXAMPLES}/mean_average_precision.py notes.json"
    assert evaluate(nibble, folder, "images", command) == [1, 0.3]  # at 0.5, 0.55 and 0.6 of the ten thresholds
    assert evaluate(nibble, folder, "images", command + " --iou 0.5") == [1, 1]


def check_speech(nibble, folder):
    np.save(folder / "clips.npy", np.zeros((3, 5), np.float32))
    (folder / "alphabet.txt").write_text("_\na\nb\n ")
    (folder / "transcripts.txt").write_text("ab a\nab a\nab a\n")
    for name, text in (("right", [1, 2, 3, 1]), ("wrong", [1, 2, 3, 2])):
        model(folder / f"{name}.onnx", [1, 5], {"logits": np.eye(4)[text][None]})
    command = f"{sys.executable} {EXAMPLES}/word_error_rate.py transcripts.txt --alphabet alphabet.txt"
    assert evaluate(nibble, folder, "clips.npy", command) == [0, 0.5]


def main():
    nibble = str(Path(sys.argv[1]).resolve())
    check_by_hand()
    for check in (check_detection, check_speech):
        with tempfile.TemporaryDirectory() as folder:
            check(nibble, Path(folder))


if __name__ == "__main__":
    main()
