#!/usr/bin/env python3
"""Do two builds of nibble give the same integers?

usage: same_integers.py OLD NEW MODEL.onnx...      (needs numpy and onnx; OLD and NEW are binaries)

For every float model with one f32 input, at W8A8 and W4A8, calibrated on seeded arrays:
  file      both quantize; the integers, scales and zero points in the two files are compared
  run       both run OLD's file on the same inputs; the outputs are compared bit by bit
Models that OLD does not quantize are named and left out. scripts/compare_revisions.sh builds both sides.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper


def call(*command):
    return subprocess.run([str(c) for c in command], capture_output=True, text=True)


def data_input(model):
    """The one input that is no initializer, with a batch of 1 for what is open; None if there is another."""
    known = {i.name for i in model.graph.initializer}
    inputs = [i for i in model.graph.input if i.name not in known]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        return None, None
    dims = [d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else 1
            for d in inputs[0].type.tensor_type.shape.dim]
    return inputs[0].name, dims


def constants(path):
    """Initializers in file order; names may differ between versions."""
    return [numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer]


def differing(a, b):
    """What differs between two lists of constants: integers, or reals (scales) and by how much."""
    if len(a) != len(b):
        return f"{len(a)} against {len(b)} constants"
    integers, reals, worst = 0, 0, 0.0
    for x, y in zip(a, b):
        if x.shape != y.shape or x.dtype != y.dtype:
            return f"a constant is {y.dtype}{list(y.shape)}, it was {x.dtype}{list(x.shape)}"
        if x.tobytes() == y.tobytes():
            continue
        if np.issubdtype(x.dtype, np.floating):
            reals += 1
            worst = max(worst, float(np.max(np.abs(x - y) / np.maximum(np.abs(x), 1e-30))))
        else:
            integers += 1
    text = f"{integers} constants of integers differ" if integers else ""
    if reals:
        text += f"{', ' if text else ''}{reals} scales moved, at most by {worst:.1e} of their size"
    return text


def compare(old, new, path, weights, folder):
    name, dims = data_input(onnx.load(path))
    if name is None:
        return None, "it has not one f32 input"
    rng = np.random.default_rng(0)
    np.save(folder / "X.npy", rng.uniform(0, 1, [32] + dims[1:]).astype(np.float32))
    np.save(folder / "Y.npy", np.arange(32, dtype=np.int64) % 2)
    files = {}
    for side, binary in (("old", old), ("new", new)):
        files[side] = folder / f"{side}.onnx"
        result = call(binary, "quantize", path, "--data", f"{folder}/X.npy,{folder}/Y.npy", "--weights", weights,
                      "-o", files[side])
        if result.returncode:
            return (None if side == "old" else False), result.stderr.strip()[-160:]
    problems = [differing(constants(files["old"]), constants(files["new"]))]
    for trial in range(3):
        np.save(folder / "in.npy", rng.uniform(0, 1, dims).astype(np.float32))
        outputs = []
        for side, binary in (("old", old), ("new", new)):
            out = folder / side
            out.mkdir(exist_ok=True)
            for stale in out.glob("*.npy"):
                stale.unlink()
            result = call(binary, "run", files["old"], "--input", f"{name}={folder}/in.npy", "-o", out)
            if result.returncode:
                return False, result.stderr.strip()[-160:]
            outputs.append({f.name: np.load(f) for f in out.glob("*.npy")})
        if outputs[0].keys() != outputs[1].keys():
            problems.append("other outputs")
        elif any(outputs[0][k].tobytes() != outputs[1][k].tobytes() for k in outputs[0]):
            worst = max(np.abs(outputs[0][k] - outputs[1][k]).max() / (np.abs(outputs[0][k]).max() + 1e-30)
                        for k in outputs[0] if outputs[0][k].size)
            problems.append(f"outputs differ, at most by {worst:.1e} of the largest")
    problems = [p for p in dict.fromkeys(problems) if p]
    return not problems, "; ".join(problems)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    failed = 0
    for path in sys.argv[3:]:
        for weights in (8, 4):
            with tempfile.TemporaryDirectory() as folder:
                same, why = compare(sys.argv[1], sys.argv[2], path, weights, Path(folder))
            label = f"{Path(path).stem} W{weights}A8"
            print(f"{label:32} {'left out: ' + why if same is None else 'the same' if same else why}", flush=True)
            failed += same is False
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
