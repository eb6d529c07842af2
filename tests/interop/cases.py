#!/usr/bin/env python3
"""The small models that users bring, each with its right values: run, and quantized in three ways, against ONNX Runtime and float.

usage: cases.py NIBBLE SHARED      (needs numpy, onnx and onnxruntime; a CPU with VNNI, where ONNX Runtime's integers do not saturate)

What SHARED/tools/try_cases.py finds wrong must be what is listed here, no more and no less.
"""
import os
import subprocess
import sys
import tempfile
from pathlib import Path

WAYS = ("static", "dynamic", "weights4")
EXPECTED = {
    # The X.npy beside them is for another model of the folder, and does not fit.
    **{f"{way} {name}": "takes other samples" for way in WAYS
       for name in ("audio-states/model_time_first.onnx", "infinite-mask/model_where.onnx")},
    **{f"{way} local-functions/model.onnx": "is quantized already" for way in WAYS},
    # Judged at an input of zeros, or of 1e-15, and calibrated on samples of about 3.
    **{f"{way} tiny-and-constant/{name}.onnx": "is judged far below the scale of its samples" for way in ("static", "weights4")
       for name in ("model", "model_x1e-15", "model_x1e-17")},
    "run onnxruntime-quantized/att_QOperator_u8s8_pc.onnx": "has expected values of a CPU that saturates sums of 16 bits",
}


def tried(nibble, shared):
    """What the tool says, and of it the line of each failure."""
    with tempfile.TemporaryDirectory() as folder:  # it leaves its outputs behind
        run = subprocess.run(
            [sys.executable, shared / "tools/try_cases.py", nibble],
            capture_output=True, text=True, check=False, env={**os.environ, "TMPDIR": folder})  # fmt: skip
    return run, {" ".join(line.split()[1:3]): line for line in run.stdout.splitlines() if line.startswith("FAIL ")}


def main():
    nibble, shared = sys.argv[1], Path(sys.argv[2])
    flags = Path("/proc/cpuinfo").read_text().split()
    if "avx512_vnni" not in flags and "avx_vnni" not in flags:
        print("this CPU has no VNNI: ONNX Runtime's integers saturate, nothing to compare with")
        return 0
    # The tool overlooks outputs where "_in" is a part of the random name of its folder: once in some dozens of runs.
    for _ in range(2):
        run, found = tried(nibble, shared)
        if "right" not in run.stdout:
            print(run.stdout, run.stderr)
            return 1
        new = [line for key, line in found.items() if key not in EXPECTED]
        mended = [key for key in EXPECTED if key not in found]
        if not new and not mended:
            break
    print("\n".join(new + [f"no longer wrong, take it off the list: {key}" for key in mended] + run.stdout.splitlines()[-1:]))
    return 1 if new or mended else 0


if __name__ == "__main__":
    sys.exit(main())
