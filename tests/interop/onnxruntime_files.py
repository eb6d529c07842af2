#!/usr/bin/env python3
"""Does nibble run what onnxruntime.quantization writes, in every form, as ONNX Runtime does?

usage: onnxruntime_files.py NIBBLE FOLDER MODEL.onnx=ARRAYS.npz...      (needs numpy, onnx and onnxruntime)

Every model is quantized by onnxruntime.quantization on half of the arrays ([samples, ...] by input name): QOperator and QDQ
with u8/s8, u8/u8 and s8/s8 types, QDQ with 16-bit activations and 4-bit weights, and dynamically. The files stay in
FOLDER. nibble run is compared with ONNX Runtime, optimizations off, on two samples: the SQNR, and the largest difference in
codes where all outputs lie on a grid. Equal is at least 40 dB, or one code; or, where f32 between integers turns the last
rounding difference into more, no further than ONNX Runtime is from itself with optimizations on, less 6 dB.
"""
import contextlib
import io
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

from against_float import Feed, session, sqnr

ort.set_default_logger_severity(4)
logging.disable(logging.WARNING)
U8, S8, U16, S4 = QuantType.QUInt8, QuantType.QInt8, QuantType.QUInt16, QuantType.QInt4
FORMS = {
    "qoperator_u8s8": (QuantFormat.QOperator, U8, S8, True),
    "qoperator_u8u8": (QuantFormat.QOperator, U8, U8, False),
    "qoperator_s8s8": (QuantFormat.QOperator, S8, S8, False),
    "qdq_u8s8": (QuantFormat.QDQ, U8, S8, True),
    "qdq_u8u8": (QuantFormat.QDQ, U8, U8, False),
    "qdq_s8s8": (QuantFormat.QDQ, S8, S8, True),
    "qdq_u16s8": (QuantFormat.QDQ, U16, S8, False),
    "qdq_u8s4": (QuantFormat.QDQ, U8, S4, False),
    "dynamic": None,
}


class Reader(CalibrationDataReader):
    def __init__(self, path, arrays, count):
        feed = Feed(session(path), arrays, {})
        self.samples = [feed.sample(i) for i in reversed(range(count))]

    def get_next(self):
        return self.samples.pop() if self.samples else None


def write(form, model, arrays, path):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        write_quietly(form, model, arrays, path)


def write_quietly(form, model, arrays, path):
    if form is None:
        quantize_dynamic(str(model), str(path), weight_type=S8)
        return
    format_, activations, weights, per_channel = form
    count = min(16, min(len(a) for a in arrays.values()) // 2)
    quantize_static(str(model), str(path), Reader(model, arrays, count), quant_format=format_, per_channel=per_channel,
                    activation_type=activations, weight_type=weights)


def step_of(values):
    """The step of the grid that values lie on, or None."""
    steps = np.diff(np.unique(values.astype(np.float64)))
    steps = steps[steps > 1e-9 * max(1e-30, float(np.abs(values).max()))]
    if not len(steps):
        return None
    step = steps.min()
    return step if np.abs(steps / step - np.round(steps / step)).max() < 0.02 else None


def compare(nibble, path, arrays):
    plain, optimized = session(path, optimize=False), session(path)
    feed, worst, spread, codes = Feed(plain, arrays, {}), float("inf"), float("inf"), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index in (-1, -2):
            sample, command = feed.sample(index), [nibble, "run", path, "-o", folder / "out"]
            for key, value in sample.items():
                np.save(folder / f"in{len(command)}.npy", value)
                command += ["--input", f"{key}={folder / f'in{len(command)}.npy'}"]
            result = subprocess.run([str(c) for c in command], capture_output=True, text=True)
            if result.returncode:
                return False, result.stderr.strip()[:300]
            for key, value, other in zip(feed.outputs, plain.run(None, sample), optimized.run(None, sample)):
                own = np.load(folder / "out" / (key.replace("/", "_").replace(":", "_") + ".npy"))
                worst, spread = min(worst, sqnr([value], [own])), min(spread, sqnr([value], [other]))
                step = step_of(value) if value.dtype == np.float32 else None
                codes.append(float(np.abs(value.astype(np.float64) - own).max() / step) if step else float("inf"))
    text = f"{worst:.1f} dB (ONNX Runtime with and without optimizations: {spread:.1f} dB)"
    if max(codes) < float("inf"):
        text += f", at most {max(codes):.0f} codes"
    return worst >= 40 or max(codes) <= 1.01 or worst >= spread - 6, text


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    nibble, folder, failed = sys.argv[1], Path(sys.argv[2]), 0
    folder.mkdir(parents=True, exist_ok=True)
    for argument in sys.argv[3:]:
        model, samples = argument.split("=")
        arrays = dict(np.load(samples))
        for form, how in FORMS.items():
            path = folder / f"{Path(model).stem}.{form}.onnx"
            try:
                write(how, model, arrays, path)
            except Exception as error:  # whatever its quantizer raises
                print(f"{path.name}: not written: {str(error)[:120]}", flush=True)
                continue
            try:
                session(path, optimize=False)
            except Exception as error:
                print(f"{path.name}: ONNX Runtime does not read it: {str(error)[-120:]}", flush=True)
                continue
            good, text = compare(nibble, path, arrays)
            failed += not good
            print(f"{'ok  ' if good else 'FAIL'} {path.name}: {text}", flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
