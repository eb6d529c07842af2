#!/usr/bin/env python3
"""Does ONNX Runtime, with its default optimizations, run what Nibble writes at every bit-width?

Quantizes one float model to each combination of bits and compares the classes that ONNX Runtime finds, optimized and
not, with those of Nibble's integer kernels on the samples of X.npy and Y.npy.

  tests/interop/check_bit_widths.py FLOAT.onnx X.npy Y.npy --nibble build/bin/nibble

Needs: onnxruntime, numpy, pillow.
"""

import argparse
import itertools
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

from agree_on_classes import classes_of_nibble

LEVELS = onnxruntime.GraphOptimizationLevel


def classes_of_onnxruntime(model, inputs, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: inputs})[0].reshape(len(inputs), -1).argmax(axis=1)


def check(model, inputs, labels, nibble):
    """Returns the smaller share of classes that agree with Nibble's."""
    ours, _ = classes_of_nibble(nibble, model, inputs, labels)
    plain, optimized = (classes_of_onnxruntime(model, inputs, level)
                        for level in (LEVELS.ORT_DISABLE_ALL, LEVELS.ORT_ENABLE_ALL))
    return min((plain == ours).mean(), (optimized == ours).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("inputs")
    parser.add_argument("labels")
    parser.add_argument("--nibble", default="build/bin/nibble")
    parser.add_argument("--require", type=float, default=0.99, help="smallest share of equal classes")
    arguments = parser.parse_args()
    onnxruntime.set_default_logger_severity(4)

    inputs, labels = np.load(arguments.inputs).astype(np.float32), np.load(arguments.labels)
    failed = 0
    ends = ([], ["--no-8bit-ends"])
    with tempfile.TemporaryDirectory() as folder:
        for weights, activations, flags in itertools.product("8432", ("8", "4", "2", "none"), ends):
            model = str(pathlib.Path(folder) / "quantized.onnx")
            subprocess.run([arguments.nibble, "quantize", arguments.model, "-o", model,
                            "--data", f"{arguments.inputs},{arguments.labels}", "--weights", weights,
                            "--activations", activations, *flags], check=True, capture_output=True)
            name = f"weights {weights}, activations {activations} {' '.join(flags)}".rstrip()
            try:
                share = check(model, inputs, labels, arguments.nibble)
                print(f"{name}: {share:.2%} of the classes agree")
            except Exception as error:  # the exceptions of ONNX Runtime have no common base class
                share = 0
                print(f"{name}: FAILED: {error}")
            failed += share < arguments.require
    return f"{failed} combinations failed" if failed else 0


if __name__ == "__main__":
    sys.exit(main())
