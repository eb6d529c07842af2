#!/usr/bin/env python3
"""Cats and dogs, from training to the results file that chapter 10 of the tutorial reads.

Trains catdog-cnn in float, quantizes it after training (PTQ), trains it with quantization in the loop (QAT), fine-tunes what PTQ
gave (QAFT), at 8 and at 4 bits, and measures sizes, accuracies, paired differences and latencies. On two cores an epoch of 2,000
pictures takes some minutes, so that the defaults take hours: stop it with Ctrl-C whenever you like. The next call goes on where it
stopped: training from the last checkpoint, everything else from the files that are there.

    tutorial/cats_and_dogs.py DATA --work cats-dogs-run

DATA: a folder with train/CLASS/*.jpg and test/CLASS/*.jpg for two classes, or a .tar.gz with one. Any two classes will do. Needs
Nibble's command line (`--nibble`, or `nibble` on the path) and nothing but the standard library. Results go to
tutorial/cats_and_dogs.json, with the command lines, versions, seed and machine that they come from. No picture is copied into it.
"""

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SIZE = "150x150"
QUANTIZED = {"w8a8": (8, 8), "w4a8": (4, 8), "w4a4": (4, 4)}
TRAINED = {"w8a8": (8, 8), "w4a4": (4, 4)}


def cpu():
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


class Run:
    """The folder of a run: models, checkpoints, and for each step a record of what was called and what it answered."""

    def __init__(self, folder, nibble, seed):
        self.folder, self.nibble, self.seed = folder, nibble, seed
        self.records = folder / "records"
        self.records.mkdir(parents=True, exist_ok=True)

    def step(self, name, *arguments, output=None, again=False):
        """Calls `nibble ARGUMENTS --json` in the folder, unless this very call has been made. Returns its record."""
        command = [str(argument) for argument in arguments]
        if output:
            command += ["-o", output]
        record = self.records / f"{name}.json"
        if not again and record.exists() and (not output or (self.folder / output).exists()):
            known = json.loads(record.read_text())
            if known["command"] == ["nibble", *command]:
                print(f"{name}: done before", flush=True)
                return known
        print(f"{name}: nibble {' '.join(command)}", flush=True)
        started = time.monotonic()
        # Progress goes to stderr, which stays the user's terminal.
        done = subprocess.run([self.nibble, *command, "--json"], cwd=self.folder, stdout=subprocess.PIPE, text=True)
        if done.returncode == 130:
            sys.exit(130)
        if done.returncode != 0:
            sys.exit(f"cats_and_dogs: step {name} failed; mend the cause and call again")
        known = {"command": ["nibble", *command], "seconds": round(time.monotonic() - started, 1), "answer": json.loads(done.stdout)}
        record.write_text(json.dumps(known, indent=1))
        return known


def open_data(source, folder):
    """Makes `folder/data` the data set, so that command lines name no place of this machine."""
    data = folder / "data"
    if data.exists():
        return
    if source.is_dir():
        data.symlink_to(source.resolve(), target_is_directory=True)
        return
    unpacked = folder / "unpacked"
    with tarfile.open(source) as archive:
        archive.extractall(unpacked, filter="data")
    inner = [path for path in unpacked.rglob("train") if path.is_dir()]
    if len(inner) != 1:
        sys.exit(f"cats_and_dogs: {source} holds {len(inner)} folders called 'train'; expected one")
    data.symlink_to(inner[0].parent.resolve(), target_is_directory=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--work", type=Path, default=Path("cats-dogs-run"), help="folder for models and checkpoints")
    parser.add_argument("--results", type=Path, default=HERE / "cats_and_dogs.json")
    parser.add_argument("--nibble", help="the program; default: build/bin/nibble beside this script, else from the path")
    parser.add_argument("--epochs", type=int, default=24, help="of float training")
    parser.add_argument("--qat-epochs", type=int, default=6, help="of each of the two QAT runs")
    parser.add_argument("--finetune-epochs", type=int, default=6, help="of each of the two QAFT runs")
    parser.add_argument("--lr", type=float, default=0.0005, help="of float training, by AdamW")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    built = HERE.parent / "build" / "bin" / "nibble"
    nibble = arguments.nibble or (str(built) if built.exists() else shutil.which("nibble"))
    if nibble is None:
        sys.exit("cats_and_dogs: there is no nibble on the path; build it, or name it with --nibble")
    if not arguments.data.exists():
        sys.exit(f"cats_and_dogs: {arguments.data} does not exist")
    run = Run(arguments.work.resolve(), os.path.abspath(nibble) if os.sep in nibble else nibble, arguments.seed)
    open_data(arguments.data, run.folder)
    everywhere = ["--seed", arguments.seed, "--threads", arguments.threads]
    augment = ["--flip", "--crop-padding", 8]

    # Float: AdamW, because the network has no batch normalization.
    steps = {}
    steps["float"] = run.step(
        "float", "train", "--arch", "catdog-cnn", "--data", "data", "--resize", SIZE, *augment, "--optimizer", "adamw",
        "--lr", arguments.lr, "--batch", 32, "--epochs", arguments.epochs, "--checkpoint", "float.checkpoint", *everywhere,
        output="float.onnx")  # fmt: skip
    for name, (weights, activations) in QUANTIZED.items():
        steps[f"ptq-{name}"] = run.step(
            f"ptq-{name}", "quantize", "float.onnx", "--data", "data", "--weights", weights, "--activations", activations,
            *everywhere, output=f"ptq-{name}.onnx")  # fmt: skip
    for name, (weights, activations) in TRAINED.items():
        steps[f"qat-{name}"] = run.step(
            f"qat-{name}", "qat", "float.onnx", "--data", "data", "--weights", weights, "--activations", activations, *augment,
            "--epochs", arguments.qat_epochs, "--checkpoint", f"qat-{name}.checkpoint", *everywhere,
            output=f"qat-{name}.onnx")  # fmt: skip
    for name in TRAINED:
        steps[f"qaft-{name}"] = run.step(
            f"qaft-{name}", "finetune", f"ptq-{name}.onnx", "--data", "data", *augment, "--epochs", arguments.finetune_epochs,
            "--checkpoint", f"qaft-{name}.checkpoint", *everywhere, output=f"qaft-{name}.onnx")  # fmt: skip

    # Judging. The differences: all from float, and what training did to the 4-bit network.
    files = [f"{name}.onnx" for name in steps]
    judged = {
        "from float": run.step("eval", "eval", *files, "--data", "data", *everywhere, again=True),
        "from ptq-w4a4": run.step(
            "eval-w4a4", "eval", "ptq-w4a4.onnx", "qat-w4a4.onnx", "qaft-w4a4.onnx", "--data", "data", *everywhere, again=True),
    }  # fmt: skip
    speed = run.step("bench", "bench", *files, "--threads", "1,2", "--seconds", 5, again=True)
    version = subprocess.run([run.nibble, "--version"], capture_output=True, text=True, check=True).stdout.splitlines()[0]
    results = {
        "about": "Made by tutorial/cats_and_dogs.py; chapter 10 of the tutorial reads it.",
        "provenance": {
            "version": version,
            "date": datetime.date.today().isoformat(),
            "cpu": cpu(),
            "cores": os.cpu_count(),
            "system": f"{platform.system()} {platform.machine()}",
            "seed": arguments.seed,
            "data": {part: {kind.name: sum(1 for _ in kind.iterdir()) for kind in sorted((run.folder / "data" / part).iterdir())}
                     for part in ("train", "test")},
        },
        "steps": steps,
        "judged": judged,
        "speed": speed,
    }  # fmt: skip
    arguments.results.write_text(json.dumps(results, indent=1) + "\n")
    print(f"{arguments.results}: written")
    for model in judged["from float"]["answer"]["models"]:
        low, high = model["interval_95"]
        print(f"{model['model']:14} {100 * model['accuracy']:5.1f} % [{100 * low:.1f}, {100 * high:.1f}] of {model['samples']}")


if __name__ == "__main__":
    main()
