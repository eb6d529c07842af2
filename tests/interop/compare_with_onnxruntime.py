#!/usr/bin/env python3
"""Runs models in Nibble and in ONNX Runtime on the same inputs and compares every output.

    compare_with_onnxruntime.py [--nibble build/bin/nibble] [--tolerance 1e-4] [MODEL...]

Needs numpy and onnxruntime. Without models it takes those of ../shared/models. The difference is
max |a - b| / max |b| per output. A model with quantized values rounds between layers, where a code
more or less grows on its way: its tolerance is the difference between ONNX Runtime with and without
its optimizations, if that is larger than --quantized-tolerance. Exit code 1 if one differs.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnxruntime

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Sizes for inputs with unknown dimensions, by model and input.
SHAPES = {
    "silero-vad-16k": {"input": [1, 576]},
    "mobilenetv3-qdq-int8": {"input_u8": [1, 3, 224, 224]},
}
# Inputs that are settings rather than data.
VALUES = {"silero-vad-16k": {"sr": 16000}}


def make_input(model, info, generator):
    known = SHAPES.get(model, {}).get(info.name)
    shape = known or [d if isinstance(d, int) and d > 0 else 1 for d in info.shape]
    value = VALUES.get(model, {}).get(info.name)
    if info.type == "tensor(int64)":
        return np.full(shape, 0 if value is None else value, np.int64)
    if info.type == "tensor(uint8)":
        return generator.integers(0, 256, shape).astype(np.uint8)
    return generator.standard_normal(shape).astype(np.float32)


def open_session(path, level):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = level
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def run_nibble(nibble, model, inputs, folder):
    command = [nibble, "run", model, "-o", folder, "--json"]
    for index, (name, array) in enumerate(inputs.items()):
        path = pathlib.Path(folder) / f"input_{index}.npy"
        np.save(path, array)
        command += ["--input", f"{name}={path}"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or done.stdout.strip())
    outputs = json.loads(done.stdout)["outputs"]
    return {output["name"]: np.load(output["file"]) for output in outputs}


def difference(have, want):
    if have.shape != want.shape:
        raise RuntimeError(f"shape {have.shape} instead of {want.shape}")
    if want.size == 0:
        return 0.0
    have, want = have.astype(np.float64), want.astype(np.float64)
    return float(np.abs(have - want).max() / max(np.abs(want).max(), 1e-12))


def is_quantized(path):
    return b"DequantizeLinear" in pathlib.Path(path).read_bytes()


def compare(path, arguments):
    """Returns whether the model agrees; prints one line."""
    model = pathlib.Path(path).stem
    session = open_session(path, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL)
    generator = np.random.default_rng(0)
    inputs = {info.name: make_input(model, info, generator) for info in session.get_inputs()}
    names = [output.name for output in session.get_outputs()]
    wanted = dict(zip(names, session.run(names, inputs)))
    tolerance = arguments.tolerance
    if is_quantized(path):
        plain = open_session(path, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
        own = [difference(have, wanted[name]) for name, have in zip(names, plain.run(names, inputs))]
        tolerance = max([arguments.quantized_tolerance, *own])
    with tempfile.TemporaryDirectory() as folder:
        try:
            have = run_nibble(arguments.nibble, str(path), inputs, folder)
            worst = max(difference(have[name], wanted[name]) for name in names)
        except (RuntimeError, KeyError) as error:
            print(f"{model}: FAILED: {error}")
            return False
    agrees = worst <= tolerance
    print(f"{model}: {'agrees' if agrees else 'DIFFERS'}, {worst:.2e} (tolerance {tolerance:.2g})")
    return agrees


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--nibble", default=str(ROOT / "build" / "bin" / "nibble"))
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--quantized-tolerance", type=float, default=5e-2)
    arguments = parser.parse_args()
    shared = ROOT.parent / "shared" / "models"
    models = arguments.models or sorted(shared.glob("*.onnx")) + [shared / "mnist-8" / "model.onnx"]
    onnxruntime.set_default_logger_severity(3)
    agreed = [compare(model, arguments) for model in models]
    return 0 if all(agreed) else 1


if __name__ == "__main__":
    sys.exit(main())
