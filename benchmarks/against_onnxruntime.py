#!/usr/bin/env python3
"""Latency of Nibble and ONNX Runtime on the same files, in turns: the ratio of medians of interleaved rounds.

  benchmarks/against_onnxruntime.py float.onnx int8.onnx --threads 1 --rounds 15

Each round runs every (file, runtime) pair once, for --seconds; a round's figure is its median latency. Needs: onnxruntime,
numpy.
"""

import argparse
import json
import statistics
import subprocess
import time

import numpy as np
import onnxruntime


class OnnxRuntime:
    name = "onnxruntime"

    def __init__(self, model, arguments):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = arguments.threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        random = np.random.default_rng(0)
        self.inputs = {}
        for value in self.session.get_inputs():
            shape = [arguments.batch if not isinstance(dim, int) else dim for dim in value.shape]
            self.inputs[value.name] = random.standard_normal(shape).astype(np.float32)
        self.seconds = arguments.seconds

    def round(self):
        times, end = [], time.perf_counter() + self.seconds
        for _ in range(3):
            self.session.run(None, self.inputs)
        while time.perf_counter() < end or len(times) < 3:
            start = time.perf_counter()
            self.session.run(None, self.inputs)
            times.append(time.perf_counter() - start)
        return statistics.median(times)


class Nibble:
    name = "nibble"

    def __init__(self, model, arguments):
        self.command = [arguments.nibble, "bench", model, "--threads", str(arguments.threads), "--batch",
                        str(arguments.batch), "--seconds", str(arguments.seconds), "--json"]

    def round(self):
        report = json.loads(subprocess.run(self.command, check=True, capture_output=True, text=True).stdout)
        return report["models"][0]["latencies"][0]["median_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--nibble", default="build/bin/nibble")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.3)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()

    runners = [(model, kind(model, arguments)) for model in arguments.models for kind in (Nibble, OnnxRuntime)]
    rounds = {id(runner): [] for _, runner in runners}
    for _ in range(arguments.rounds):
        for _, runner in runners:
            rounds[id(runner)].append(runner.round())
    medians = {(model, runner.name): statistics.median(rounds[id(runner)]) for model, runner in runners}

    print(f"{arguments.threads} thread(s), batch {arguments.batch}, {arguments.rounds} interleaved rounds, "
          f"onnxruntime {onnxruntime.__version__}")
    first = arguments.models[0]
    for model in arguments.models:
        ours, theirs = medians[model, "nibble"], medians[model, "onnxruntime"]
        print(f"{model}: nibble {ours * 1e3:.3f} ms, onnxruntime {theirs * 1e3:.3f} ms, "
              f"nibble is {theirs / ours:.2f}x as fast; {medians[first, 'nibble'] / ours:.2f}x nibble on {first}")


if __name__ == "__main__":
    main()
