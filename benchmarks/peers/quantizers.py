#!/usr/bin/env python3
"""Post-training quantization side by side with onnxruntime.quantization: accuracy, wall time, peak memory.

    PYTHONPATH=build/python .venv/bin/python benchmarks/peers/quantizers.py NIBBLE MODEL.onnx DATA [--mean A,B,C] [--std A,B,C]
        [--calibration 512] [--threads 1] [--keep FOLDER]

MODEL is a classifier of pictures, DATA what `nibble eval` takes. Every method calibrates on the same pictures, prepared once and given
as an array, each in a process of its own, whose wall time and peak memory are taken. The files are then judged by one `nibble eval`, on
the same test samples, with paired intervals. W8A8, weights per output channel, activations uint8 (QDQ), everywhere. Needs numpy, onnx
and onnxruntime (the versions are printed); a CPU with VNNI, or the sums of other runtimes saturate where these files let them.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
NIBBLE = {"Nibble": [], "Nibble, min-max": ["--weight-observer", "min-max", "--activation-observer", "min-max"],
          "Nibble, gptq": ["--rounding", "gptq"]}
ONNXRUNTIME = {"ONNX Runtime, min-max": "MinMax", "ONNX Runtime, percentile": "Percentile", "ONNX Runtime, entropy": "Entropy"}
VALIDATION = 0.1  # of an array nibble sets so much aside, and calibrates on the rest


def onnxruntime_worker(method, model, arrays, output, count, threads):
    import numpy as np
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    os.environ["OMP_NUM_THREADS"] = str(threads)
    onnxruntime.set_default_logger_severity(4)
    pictures = np.load(arrays, mmap_mode="r")[:count]
    name = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).get_inputs()[0].name

    class Reader(CalibrationDataReader):
        def __init__(self):
            self.next = 0

        def get_next(self):
            if self.next == len(pictures):
                return None
            self.next += 1
            return {name: np.ascontiguousarray(pictures[self.next - 1 : self.next])}

    prepared = output + ".prepared.onnx"
    quant_pre_process(model, prepared, skip_symbolic_shape=True)
    quantize_static(prepared, output, Reader(), quant_format=QuantFormat.QDQ, per_channel=True, activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8, calibrate_method=getattr(CalibrationMethod, method))
    os.remove(prepared)


def measure_worker(command):
    """Prints wall time in seconds and peak memory in MB of the command. In a small process: a child's peak begins with its parent's."""
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    print(json.dumps([time.monotonic() - started, usage.ru_maxrss / 1000]))
    sys.exit(os.waitstatus_to_exitcode(status))


def measured(command):
    done = subprocess.run([sys.executable, str(HERE), "--measure", *command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr[-600:]}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("nibble", "model", "data"):
        parser.add_argument(name)
    parser.add_argument("--mean")
    parser.add_argument("--std")
    parser.add_argument("--calibration", type=int, default=512)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for the files; default: a temporary one")
    options = parser.parse_args()
    import nibble
    import numpy as np
    import onnxruntime

    folder = options.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    prepare = {key: [float(x) for x in text.split(",")] for key, text in (("mean", options.mean), ("std", options.std)) if text}
    training = nibble.dataset(options.data, split="train", preprocess=prepare or None)
    rows = np.random.default_rng(0).permutation(len(training))[: int(np.ceil(options.calibration / (1 - VALIDATION))) + 1]
    pictures = str(folder / "pictures.npy")
    np.save(pictures, training.arrays()["input"][rows])

    results = {}
    for method, flags in NIBBLE.items():
        output = str(folder / f"{method}.onnx".replace(", ", "-").replace(" ", "-"))
        results[method] = (output, *measured([options.nibble, "quantize", options.model, "--data", pictures, "--calibration", str(options.calibration),
                                              "--threads", str(options.threads), *flags, "-o", output]))
    for method, calibration in ONNXRUNTIME.items():
        output = str(folder / f"{method}.onnx".replace(", ", "-").replace(" ", "-"))
        results[method] = (output, *measured([sys.executable, str(HERE), "--worker", calibration, options.model, pictures, output,
                                              str(options.calibration), str(options.threads)]))
    flags = [part for name in ("mean", "std") if getattr(options, name) for part in (f"--{name}", getattr(options, name))]
    judged = subprocess.run([options.nibble, "eval", options.model, *(output for output, *_ in results.values()), "--data", options.data, *flags, "--json"],
                            stdout=subprocess.PIPE, check=True).stdout
    models = json.loads(judged)["models"]
    print(f"{nibble.about()}; onnxruntime {onnxruntime.__version__}; {options.calibration} pictures calibrate, n = {models[0]['samples']}\n")
    print("| method | seconds | MB | file | accuracy [95 %] | points against float [95 %] |\n|---|---|---|---|---|---|")
    low, high = models[0]["interval_95"]
    print(f"| float | | | {os.path.getsize(options.model) / 1000:.0f} kB | {100 * models[0]['accuracy']:.2f} % [{100 * low:.2f}, {100 * high:.2f}] | |")
    for (method, (output, seconds, memory)), model in zip(results.items(), models[1:]):
        (low, high), paired = model["interval_95"], model["paired"]
        change = [100 * paired["difference"], *(100 * bound for bound in paired["interval_95"])]
        print(f"| {method} | {seconds:.1f} | {memory:.0f} | {os.path.getsize(output) / 1000:.0f} kB | {100 * model['accuracy']:.2f} % [{100 * low:.2f}, "
              f"{100 * high:.2f}] | {change[0]:+.2f} [{change[1]:+.2f}, {change[2]:+.2f}] |")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        measure_worker(sys.argv[2:])
    elif sys.argv[1:2] == ["--worker"]:
        onnxruntime_worker(*sys.argv[2:6], int(sys.argv[6]), int(sys.argv[7]))
    else:
        main()
