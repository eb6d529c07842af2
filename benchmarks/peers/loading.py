#!/usr/bin/env python3
"""From a file to the first result: CPU time and memory of Nibble and ONNX Runtime, on one thread each.

    benchmarks/peers/make_models.py models && benchmarks/peers/loading.py models/*.onnx

Each measurement is a process of its own; they are made in turns, and medians are printed. Needs the Python package,
onnxruntime and NumPy.
"""
import argparse
import json
import resource
import statistics
import subprocess
import sys
import time


def session_of(peer: str, model: str):
    if peer == "nibble":
        import nibble

        return lambda: nibble.Session(model, threads=1)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return lambda: onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def measure(peer: str, model: str) -> dict:
    import numpy as np

    peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # noqa: E731
    load = session_of(peer, model)
    before, start = peak(), time.process_time()
    session = load()
    types = {"tensor(int64)": np.int64, "tensor(float)": np.float32}
    session.run(None, {i.name: np.zeros(i.shape, types[i.type]) for i in session.get_inputs()})
    return {"seconds": time.process_time() - start, "megabytes": peak() - before}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one, arguments.models[0])))
        return
    for model in arguments.models:
        found = {"nibble": [], "onnxruntime": []}
        for _ in range(arguments.rounds):
            for peer, results in found.items():
                child = [sys.executable, __file__, "--one", peer, model]
                results.append(json.loads(subprocess.run(child, check=True, capture_output=True).stdout))
        for peer, results in found.items():
            median = {key: statistics.median(result[key] for result in results) for key in results[0]}
            print(f"{model} {peer}: {median['seconds']:.2f} s, {median['megabytes']:.0f} MB")


if __name__ == "__main__":
    main()
