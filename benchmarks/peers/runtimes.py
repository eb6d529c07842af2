#!/usr/bin/env python3
"""The same quantized files in Nibble (integers), ONNX Runtime and OpenVINO: accuracy in each, and how often two answer the same class.

    benchmarks/peers/make_environment.sh nncf           # has both of the others
    .venv-peers/nncf/bin/python benchmarks/peers/runtimes.py NIBBLE FOLDER FILE.onnx...

FOLDER is what quantizers.py keeps: test.npy and labels.npy are taken. On x86 CPUs without VNNI the others add pairs of products in 16 bits, which
may saturate; --saturating has `nibble eval --arithmetic saturating16` do what they do there, slowly, and stand in for such a CPU.
"""
import argparse
import subprocess
import tempfile
from itertools import combinations
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
from scipy.stats import beta


def nibble(program, model, folder, arithmetic):
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        subprocess.run([program, "eval", model, "--data", f"{folder / 'test.npy'},{folder / 'labels.npy'}", "--arithmetic", arithmetic, "--predictions",
                        file.name, "--threads", "1"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return np.load(file.name).reshape(-1)


def answers(run, test, batch):
    return np.concatenate([run(np.ascontiguousarray(test[i : i + batch])).argmax(axis=1).reshape(-1) for i in range(0, len(test), batch)])


def in_onnxruntime(model, test, batch):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options)
    name = session.get_inputs()[0].name
    return answers(lambda samples: session.run(None, {name: samples})[0], test, batch)


def in_openvino(model, test, batch):
    """In float where a layer is not quantized, not in bfloat16, which some CPUs would get by default."""
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1})
    return answers(lambda samples: compiled(samples)[0], test, batch)


def share(right):
    """Share in percent with its exact (Clopper-Pearson) 95 % interval."""
    hits, n = int(right.sum()), len(right)
    low = beta.ppf(0.025, hits, n - hits + 1) if hits else 0
    high = beta.ppf(0.975, hits + 1, n - hits) if hits < n else 1
    return f"{100 * hits / n:.2f} % [{100 * low:.2f}, {100 * high:.2f}]"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("nibble")
    parser.add_argument("folder", type=Path)
    parser.add_argument("files", nargs="+")
    parser.add_argument("--saturating", action="store_true", help="Nibble as the others run on a CPU without VNNI, too")
    parser.add_argument("--batch", type=int, default=50, help="1 where the model's batch is fixed")
    options = parser.parse_args()
    test, labels = np.load(options.folder / "test.npy", mmap_mode="r"), np.load(options.folder / "labels.npy")
    print(f"onnxruntime {onnxruntime.__version__}, openvino {openvino.__version__}, n = {len(labels)}\n")
    for file in options.files:
        classes = {
            "Nibble": nibble(options.nibble, file, options.folder, "integer"),
            "ONNX Runtime": in_onnxruntime(file, test, options.batch),
            "OpenVINO": in_openvino(file, test, options.batch),
        }
        if options.saturating:
            classes["Nibble, saturating16"] = nibble(options.nibble, file, options.folder, "saturating16")
        print(f"{file}\n\n| | right [95 %] |\n|---|---|")
        for name, answered in classes.items():
            print(f"| {name} | {share(answered == labels)} |")
        print("\n| | the same class [95 %] |\n|---|---|")
        for one, other in combinations(classes, 2):
            print(f"| {one} and {other} | {share(classes[one] == classes[other])} |")
        print(flush=True)


if __name__ == "__main__":
    main()
