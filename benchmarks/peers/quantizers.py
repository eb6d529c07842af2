#!/usr/bin/env python3
"""Post-training quantization side by side with other tools: accuracy, wall and CPU time, peak memory.

    benchmarks/peers/make_environment.sh onnxruntime    # and nncf, quark, aimet: one environment a peer
    PYTHONPATH=build/python .venv/bin/python benchmarks/peers/quantizers.py NIBBLE MODEL.onnx DATA --width W8A8 --keep FOLDER
        [--preprocess '{"mean": [...], "std": [...]}'] [--test DATA] [--agreement] [--draws 3] [--rounds 3]
        [--without "adaround;adaquant"]

MODEL is a classifier of pictures, DATA what `nibble eval` takes. All calibrate on the same samples, prepared once and given as an array,
each in a process of its own, in turns. One `nibble eval` then judges all files on the same test samples. What FOLDER already holds is not made
again, so that a run can go on where it was stopped. Needs numpy and onnx; rows.py lists what is compared.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

import rows
import samples

HERE = Path(__file__).resolve().parent


def commands(options, draw):
    """{method: (output, command)} for one draw of calibration samples."""
    shared = options.keep / f"draw-{draw}"
    folder = shared / options.width
    folder.mkdir(parents=True, exist_ok=True)
    weights, activations = rows.WIDTHS[options.width]
    width = ["--weights", str(weights), "--activations", str(activations), "--threads", str(options.threads)]
    made = {}
    for method, flags in rows.NIBBLE[options.width].items():
        output = str(folder / f"nibble-{method}.onnx")
        made[f"Nibble, {method}"] = (output, [options.nibble, "quantize", options.model, "--data", str(shared / "pictures.npy"), "--calibration",
                                              str(options.calibration), "--seed", str(draw), *width, *flags, "-o", output])
    for peer, methods in rows.METHODS[options.width].items():
        environment, program = rows.PEERS[peer]
        for method in methods:
            output = str(folder / f"{environment}-{method}.onnx".replace(", ", "-").replace(" ", "-"))
            made[f"{peer}, {method}"] = (output, [str(options.environments / environment / "bin" / "python"), str(HERE / program), method,
                                                  str(options.keep / "float.onnx"), str(shared / "calibration.npy"), output, *width])
    return {method: one for method, one in made.items() if not any(word in method for word in options.without)}


def measured(options, output, command):
    """[seconds, CPU seconds, MB]; or None where the command failed, which its log tells of."""
    done = subprocess.run([sys.executable, str(HERE / "measure.py"), output + ".log", str(options.memory_limit), *command], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 and os.path.exists(output) else None


def run(options, draw):
    """Makes the files of a draw that are not there yet, and gives them by method. Their figures are kept beside them, as FILE.json."""
    made = commands(options, draw)
    for turn in range(options.rounds):
        for method, (output, command) in made.items():
            kept = Path(output + ".json")
            figures = json.loads(kept.read_text()) if kept.exists() else []
            if len(figures) > turn or (turn > 0 and (not figures or rows.learned(method))):
                continue
            print(f"{options.width}, draw {draw}: {method}", file=sys.stderr, flush=True)
            one = measured(options, output, command)
            if one is None:
                print(f"  failed; see {output}.log", file=sys.stderr, flush=True)
                continue
            kept.write_text(json.dumps([*figures, one]))
    return {method: output for method, (output, _) in made.items() if Path(output + ".json").exists()}


def evaluate(options, files):
    """What `nibble eval` says of the float model and the files, and the predicted classes, [1 + files, samples]."""
    import numpy as np

    predictions = str(options.keep / f"predictions-{options.width}.npy")
    labels = str(options.keep / "labels.npy")
    if options.agreement:  # what the float model answers is right
        subprocess.run([options.nibble, "eval", options.model, "--data", f"{options.keep / 'test.npy'},{labels}", "--predictions", predictions], check=True,
                       stdout=subprocess.DEVNULL)
        labels = str(options.keep / "float-classes.npy")
        np.save(labels, np.load(predictions).reshape(-1).astype(np.int64))
    judged = subprocess.run([options.nibble, "eval", options.model, *files, "--data", f"{options.keep / 'test.npy'},{labels}", "--predictions", predictions,
                             "--json"], stdout=subprocess.PIPE, check=True).stdout
    return json.loads(judged)["models"], np.load(predictions) == np.load(labels)


def against(reference, right):
    """Mean over draws of what the second gains on the first, in points, with its 95 % interval over test samples (normal)."""
    import numpy as np

    gained = 100 * np.mean([theirs.astype(float) - ours for ours, theirs in zip(reference, right)], axis=0)
    half = 1.96 * gained.std(ddof=1) / len(gained) ** 0.5
    return f"{gained.mean():+.2f} [{gained.mean() - half:+.2f}, {gained.mean() + half:+.2f}]"


def table(options, draws):
    """A Markdown row for each method: figures of all rounds and draws, and what it loses."""
    methods = [method for method in draws[0] if all(method in files for files in draws)]
    names = [draw[method] for draw in draws for method in methods]
    models, right = evaluate(options, names)
    unit = "the float model's class" if options.agreement else "accuracy"
    low, high = models[0]["interval_95"]
    print(f"\n{options.width}: n = {models[0]['samples']}, {options.calibration} samples calibrate, {len(draws)} draw(s) of them; float: "
          f"{100 * models[0]['accuracy']:.2f} % [{100 * low:.2f}, {100 * high:.2f}]\n")
    print(f"| method | seconds | CPU s | peak MB | file | {unit}, first draw [95 %] | against float, each draw | against {methods[0]} [95 %] |\n"
          "|---|---|---|---|---|---|---|---|")
    place = {name: number for number, name in enumerate(names, 1)}
    for method in methods:
        files = [draw[method] for draw in draws]
        figures = [one for file in files for one in json.loads(Path(file + ".json").read_text())]
        seconds, cpu, memory = (statistics.median(column) for column in zip(*figures))
        first = models[place[files[0]]]
        low, high = first["interval_95"]
        lost = ", ".join(f"{100 * models[place[file]]['paired']['difference']:+.2f}" for file in files)
        pair = "" if method == methods[0] else against([right[place[draw[methods[0]]]] for draw in draws], [right[place[file]] for file in files])
        print(f"| {method} | {seconds:.1f} | {cpu:.1f} | {memory:.0f} | {os.path.getsize(files[0]) / 1000:.0f} kB | {100 * first['accuracy']:.2f} % "
              f"[{100 * low:.2f}, {100 * high:.2f}] | {lost} | {pair} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("nibble", "model", "data"):
        parser.add_argument(name)
    parser.add_argument("--keep", type=Path, required=True, help="folder for samples, files and figures")
    parser.add_argument("--width", choices=rows.WIDTHS, default="W8A8")
    parser.add_argument("--test", help="other data to judge on, of the same preprocessing")
    parser.add_argument("--preprocess", type=json.loads, help="as in docs/data.md, JSON")
    parser.add_argument("--agreement", action="store_true", help="judge by the float model's classes instead of labels")
    parser.add_argument("--calibration", type=int, default=512)
    parser.add_argument("--draws", type=int, default=1, help="of calibration samples")
    parser.add_argument("--rounds", type=int, default=1, help="times that each is timed, in turns (learned rounding: once)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--without", type=lambda text: text.split(";"), default=[], help="leave out methods with one of these words: A;B")
    parser.add_argument("--memory-limit", type=float, default=0, help="GB of address space that each may have; 0: all")
    parser.add_argument("--environments", type=Path, default=HERE.parents[1] / ".venv-peers")
    options = parser.parse_args()

    options.keep.mkdir(parents=True, exist_ok=True)
    for draw in range(options.draws):
        samples.calibration(options.keep / f"draw-{draw}", options.data, options.preprocess, options.calibration, draw)
    samples.test(options.keep, options.test or options.data, options.preprocess)
    if not (options.keep / "float.onnx").exists():
        samples.modernize(options.model, str(options.keep / "float.onnx"))
    table(options, [run(options, draw) for draw in range(options.draws)])


if __name__ == "__main__":
    main()
