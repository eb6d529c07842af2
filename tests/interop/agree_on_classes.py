#!/usr/bin/env python3
"""Do Nibble's integer runtime and ONNX Runtime give the same classes for one quantized file?

Decodes the test images of a class-folder data set once, preprocesses them in NumPy, and runs the same float inputs
through `nibble eval` (integer kernels) and ONNX Runtime.

  tests/interop/agree_on_classes.py MODEL.onnx FOLDER --nibble build/bin/nibble \
      --mean .485,.456,.406 --std .229,.224,.225 --require 0.995

Needs: onnxruntime, numpy, pillow.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime
from PIL import Image


def numbers(text):
    return np.array([float(part) for part in text.split(",")], np.float32)


def load_images(folder, mean, std, limit):
    folder = folder / "test" if (folder / "test").is_dir() else folder
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    inputs, labels = [], []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).iterdir()):
            pixels = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
            inputs.append(((pixels - mean) / std).transpose(2, 0, 1))
            labels.append(label)
    order = np.random.default_rng(0).permutation(len(labels))[: limit or None]
    return np.stack(inputs)[order].astype(np.float32), np.array(labels, np.int64)[order]


def classes_of_onnxruntime(model, inputs, batch=50):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    outputs = [session.run(None, {name: inputs[i : i + batch]})[0] for i in range(0, len(inputs), batch)]
    return np.concatenate(outputs).argmax(axis=1)


def classes_of_nibble(program, model, inputs, labels):
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        np.save(folder / "x.npy", inputs)
        np.save(folder / "y.npy", labels)
        command = [program, "eval", model, "--data", f"{folder}/x.npy,{folder}/y.npy", "--json",
                   "--predictions", str(folder / "predicted.npy")]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        return np.load(folder / "predicted.npy"), report["models"][0]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--nibble", default="build/bin/nibble")
    parser.add_argument("--mean", type=numbers, default=numbers("0,0,0"))
    parser.add_argument("--std", type=numbers, default=numbers("1,1,1"))
    parser.add_argument("--limit", type=int, default=0, help="use a random sample of this many images")
    parser.add_argument("--require", type=float, default=0.995, help="smallest share of equal classes")
    arguments = parser.parse_args()

    inputs, labels = load_images(arguments.folder, arguments.mean, arguments.std, arguments.limit)
    theirs = classes_of_onnxruntime(arguments.model, inputs)
    ours, report = classes_of_nibble(arguments.nibble, arguments.model, inputs, labels)
    same = int((theirs == ours).sum())
    print(f"{arguments.model}: same class on {same} of {len(labels)} images ({same / len(labels):.2%})")
    print(f"accuracy: nibble {(ours == labels).mean():.2%} (95 % interval {report['interval_95'][0]:.2%} to "
          f"{report['interval_95'][1]:.2%}), ONNX Runtime {(theirs == labels).mean():.2%}")
    if same < arguments.require * len(labels):
        sys.exit(f"fewer than {arguments.require:.1%} agree")


if __name__ == "__main__":
    main()
