#!/usr/bin/env python3
"""Does nibble finetune, without labels, what onnxruntime.quantization wrote, in every form?

usage: finetune_files.py NIBBLE FOLDER MODEL.onnx=ARRAYS.npz...      (needs numpy, onnx and onnxruntime)

FOLDER holds what onnxruntime_files.py wrote: MODEL.FORM.onnx. Each file is trained for an epoch on the first half of the arrays
([samples, ...] by input name; 16 at most), with MODEL.onnx as its teacher. What comes out must load in ONNX Runtime, and is judged on
the last samples: the SQNR of all outputs against the float model's, as ONNX Runtime runs the file before and after.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph

from against_float import Feed, session, sqnr
from onnxruntime_files import FORMS


def per_sample(arrays):
    return max(len(a) for a in arrays.values() if a.ndim)


def part(arrays, begin, end):
    count = per_sample(arrays)
    return {key: a[begin:end] if a.ndim and len(a) == count else a for key, a in arrays.items()}


def nearness(model, path, arrays):
    floats, mine = session(model), session(path)
    feed = Feed(floats, arrays, {})
    samples = [feed.sample(i) for i in range(per_sample(arrays))]
    wanted = [floats.run(None, sample) for sample in samples]
    given = [mine.run(None, sample) for sample in samples]
    return [sqnr([w[k] for w in wanted], [g[k] for g in given]) for k in range(len(wanted[0]))]


def told(model, path, arrays):
    try:
        return ", ".join(f"{x:.1f}" for x in nearness(model, path, arrays))
    except InvalidGraph:  # quantize_static leaves such files where scales are per channel and the opset is below 13
        return "not a valid file for ONNX Runtime"


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    nibble, folder, failed = sys.argv[1], Path(sys.argv[2]), 0
    print("| model | form | SQNR before, dB | after one epoch, dB |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for argument in sys.argv[3:]:
            model, samples = argument.split("=")
            arrays = dict(np.load(samples))
            count = per_sample(arrays)
            training, test = part(arrays, 0, min(16, count // 2)), part(arrays, -min(8, count // 2), None)
            np.savez(scratch / "training.npz", **training)
            for form in FORMS:
                path, out = folder / f"{Path(model).stem}.{form}.onnx", scratch / "out.onnx"
                if not path.exists():
                    continue
                command = [nibble, "finetune", path, "--teacher", model, "--data", scratch / "training.npz", "--epochs", "1", "-o", out]
                done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
                if done.returncode:
                    failed += 1
                    print(f"| {Path(model).stem} | {form} | refused: {done.stderr.strip()[-300:]} | |", flush=True)
                    continue
                texts = [told(model, p, test) for p in (path, out)]
                print(f"| {Path(model).stem} | {form} | {texts[0]} | {texts[1]} |", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
