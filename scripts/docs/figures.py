#!/usr/bin/env python3
"""Draws the pictures of README and docs/concepts.md into docs/figures/, and writes README's table of results. Usage: figures.py [--measure NIBBLE | --check]

With --measure the numbers behind them (docs/figures/measured.json) are measured anew by the program: the demo, and the
ranges of its float network. Everything else in the pictures is computed here. --check draws nothing: is README's table of these numbers?

The pictures bring their own background, light or dark as the reader's system is, so that they can be read on any page.
Their text is text.
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
FOLDER, README = ROOT / "docs/figures", ROOT / "README.md"
MEASURED = FOLDER / "measured.json"
# Stand-ins for colours that depend on the reader's system: (here, light, dark).
PAPER, INK, FAINT = "#fefefd", "#010102", "#7f7f7d"
THEMED = {PAPER: ("--paper", "#ffffff", "#1f2430"), INK: ("--ink", "#22303c", "#e6e9ee"), FAINT: ("--faint", "#b9c2ca", "#57606f")}
TEAL, ORANGE, BLUE = "#0f9d8a", "#e07b28", "#4a86d8"

plt.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "nibble", "font.family": "sans-serif",
    "font.sans-serif": ["system-ui", "Segoe UI", "Roboto", "Helvetica Neue", "Arial", "sans-serif"], "font.size": 11,
    "text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK, "axes.edgecolor": FAINT,
    "figure.facecolor": PAPER, "axes.facecolor": PAPER, "axes.spines.top": False, "axes.spines.right": False,
    "axes.titlesize": 11.5, "axes.titlelocation": "left", "legend.frameon": False, "figure.constrained_layout.use": True,
})
matplotlib.set_loglevel("error")  # the fonts named are the reader's, not this machine's


def save(figure, name: str, description: str) -> None:
    path = FOLDER / f"{name}.svg"
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    plt.close(figure)
    text = path.read_text()
    text = re.sub(r"<\?xml.*?\?>\s*|<!DOCTYPE.*?>\s*|<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    for stand_in, (variable, _, _) in THEMED.items():
        text = text.replace(stand_in, f"var({variable})")
    light = "".join(f"{variable}:{value};" for variable, value, _ in THEMED.values())
    dark = "".join(f"{variable}:{value};" for variable, _, value in THEMED.values())
    style = f"<style>svg{{{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}text{{white-space:pre}}</style>"
    head = f"<title>{description}</title>\n {style}\n <defs>"
    text = re.sub(r"<text style=\"", '<text style="fill: var(--ink); ', text.replace("<defs>", head, 1))
    text = re.sub(r"fill: var\(--ink\); ([^\"]*fill: )", r"\1", text)
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n")


def quantize(x, scale, zero_point, low, high):
    codes = np.clip(np.round(x / scale) + zero_point, low, high)
    return codes, (codes - zero_point) * scale


def mapping() -> None:
    """Real numbers, codes, and the error between them: 4 bits over [-1, 2]."""
    scale, zero_point = 3 / 15, 5
    x = np.linspace(-1.5, 2.5, 2001)
    codes, y = quantize(x, scale, zero_point, 0, 15)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), width_ratios=[3, 2])
    left.plot(x, x, color=FAINT, lw=1.2)
    left.plot(x, y, color=TEAL, lw=2)
    left.set(xlabel="real number x", ylabel="what the code stands for", title="16 codes for the reals from −1 to 2")
    left.set_xticks([-1, 0, 1, 2])
    left.set_yticks([-1, 0, 1, 2])
    codes_axis = left.secondary_yaxis("right", functions=(lambda v: v / scale + zero_point, lambda q: (q - zero_point) * scale))
    codes_axis.set_yticks([0, 5, 10, 15])
    codes_axis.set_ylabel("code q")
    left.annotate("zero point: code 5\nis exactly 0", (0, 0), (0.55, -0.95), arrowprops={"arrowstyle": "->", "color": INK})
    left.annotate("clipped", (2.35, 2), (1.45, 2.25), arrowprops={"arrowstyle": "->", "color": INK})
    right.plot(x, y - x, color=ORANGE, lw=1.5)
    right.axhspan(-scale / 2, scale / 2, color=FAINT, alpha=0.25, lw=0)
    right.set(xlabel="real number x", title="the error, y − x", ylim=(-0.55, 0.55))
    right.set_yticks([-0.1, 0, 0.1], ["−½ scale", "0", "½ scale"])
    save(figure, "mapping", "A staircase of 16 codes over real numbers, and its error, which is at most half a step inside the range")


def clipping() -> None:
    """What an observer decides: where to clip. Few long tails, 4 bits."""
    values = np.random.default_rng(7).laplace(0, 0.25, 200_000)
    bounds = np.linspace(0.3, np.abs(values).max(), 150)
    rounding, clipped = [], []
    for bound in bounds:
        _, real = quantize(values, bound / 7, 0, -7, 7)
        inside = np.abs(values) <= bound
        rounding.append(np.sum((real - values)[inside] ** 2) / values.size)
        clipped.append(np.sum((real - values)[~inside] ** 2) / values.size)
    total = np.add(rounding, clipped)
    best = bounds[np.argmin(total)]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    left.hist(values, bins=160, color=BLUE, alpha=0.75)
    left.set_yscale("log")
    left.set(xlabel="value", title="how often each value comes (log scale)")
    left.minorticks_off()
    left.set_yticks([])
    for bound, height, color, name in ((bounds[-1], 5e6, ORANGE, "min-max"), (best, 1.5e5, TEAL, "mse")):
        for side in (-bound, bound):
            left.plot([side, side], [0.5, height], color=color, lw=2)
        left.text(0, height, f"{name} clips at ±{bound:.2f}", color=color, ha="center", va="bottom", fontsize=10)
        left.plot([-bound, bound], [height, height], color=color, lw=1)
    left.set_xlim(-bounds[-1] * 1.08, bounds[-1] * 1.08)
    left.set_ylim(0.7, 4e7)
    right.plot(bounds, total, color=INK, lw=2)
    right.plot(bounds, rounding, color=ORANGE, lw=1.4)
    right.plot(bounds, clipped, color=BLUE, lw=1.4)
    right.plot(best, total.min(), "o", color=TEAL, ms=8)
    right.set_ylim(0, rounding[-1] * 1.1)
    right.set(xlabel="clipped at ±", title="mean squared error at 4 bits")
    right.set_yticks([])
    right.text(bounds[-1] * 0.86, rounding[-1] * 0.80, "of rounding", color=ORANGE, ha="right")
    right.text(bounds[-1] * 0.55, rounding[-1] * 0.42, "both", ha="right")
    right.text(bounds[26], rounding[-1] * 0.75, "of clipping", color=BLUE, ha="left")
    right.text(best + 0.1, total.min() * 0.55, "least: here mse clips", color=TEAL, va="top")
    save(figure, "clipping", "Values with long tails; the squared error of rounding grows with the range, that of clipping falls, and mse takes the least sum")


def granularity() -> None:
    """One scale, one for each channel, one for each block: the steps that each channel gets at 4 bits."""
    rng = np.random.default_rng(3)
    channels, length, block = 3, 48, 16
    weights = rng.normal(0, 1, (channels, length)) * np.array([[0.1], [0.9], [0.35]])
    weights[:, 20:24] *= 2
    widest = np.abs(weights).max()
    reaches = {
        "one scale for all": np.full((channels, length // block), widest),
        "one for each channel": np.abs(weights).max(1, keepdims=True).repeat(length // block, 1),
        f"one for each {block} weights": np.abs(weights).reshape(channels, -1, block).max(2),
    }
    figure, axes = plt.subplots(1, 3, figsize=(9, 3.3))
    for axis, (name, reach) in zip(axes, reaches.items()):
        _, real = quantize(weights, reach.repeat(block, 1) / 7, 0, -7, 7)
        errors = [10 * np.log10(np.sum(w**2) / np.sum((w - r) ** 2)) for w, r in zip(weights, real)]
        for row in range(channels):
            middle = 1.1 * (channels - 1 - row)
            for part in range(length // block):
                levels = middle + np.arange(-7, 8) * reach[row, part] / 7 / (2 * widest)
                axis.hlines(levels, part * block - 0.4, part * block + block - 0.6, color=TEAL, lw=0.6, alpha=0.9)
            axis.plot(np.arange(length), middle + weights[row] / (2 * widest), ".", color=ORANGE, ms=4)
            axis.text(length + 0.6, middle, f"{errors[row]:.0f} dB", va="center", fontsize=10)
        axis.set(title=name, xticks=[], yticks=[], xlim=(-1.5, length + 10))
        for side in ("left", "bottom"):
            axis.spines[side].set_visible(False)
    save(figure, "granularity", "The same weights under 15 levels: with one scale for all, small channels get next to no levels; one for each channel or block serves them")


def bits(measured: dict) -> None:
    """Predicted signal to noise of every tensor of the demo's network, by bits."""
    figure, axis = plt.subplots(figsize=(6.4, 3.4))
    widths = np.array([2, 3, 4, 6, 8])
    for kind, color in (("activation", BLUE), ("weight", TEAL)):
        rows = np.array([[tensor["sqnr_db"][str(width)] for width in widths] for tensor in measured["tensors"] if tensor["kind"] == kind])
        axis.plot(widths, rows.T, color=color, lw=0.8, alpha=0.55)
        axis.plot(widths, np.median(rows, axis=0), color=color, lw=2.6, marker="o")
        axis.text(8.12, np.median(rows[:, -1]), f"{kind}s", color=color, va="center" if kind == "weight" else "bottom")
    axis.plot(widths, 6.02 * (widths - 2) + 2, color=FAINT, lw=1.4, ls="--")
    axis.text(6.6, 6.02 * 4.6 - 2.2, "6 dB a bit", color=INK, ha="left", va="top")
    axis.set(xlabel="bits", ylabel="signal to quantization noise, dB", xticks=widths, xlim=(1.9, 9.3), title="every tensor of the digits network, and the medians")
    save(figure, "bits", "Signal to quantization noise rises by about six decibels a bit")


def ways() -> None:
    """PTQ, QAT, QAFT: which path leads where."""
    figure, axis = plt.subplots(figsize=(9, 2.9))
    axis.set(xlim=(0, 18), ylim=(0, 5.8))
    axis.axis("off")

    def box(x, y, text, color, width=3.7):
        axis.add_patch(plt.matplotlib.patches.FancyBboxPatch((x, y), width, 1.3, boxstyle="round,pad=0.08", fc=PAPER, ec=color, lw=1.8))
        axis.text(x + width / 2, y + 0.65, text, ha="center", va="center", fontsize=10.5)

    def arrow(begin, end, text, above=0.16, color=INK):
        axis.annotate("", end, begin, arrowprops={"arrowstyle": "-|>", "color": color, "lw": 1.5})
        middle = (np.array(begin) + end) / 2
        axis.text(middle[0], middle[1] + above, text, ha="center", va="bottom", fontsize=10)

    box(0.2, 2.2, "float network\n32 bits", BLUE)
    box(7.0, 4.1, "quantized network", TEAL)
    box(7.0, 0.3, "quantized network", TEAL)
    box(13.9, 4.1, "quantized network", TEAL)
    arrow((4.0, 3.2), (6.9, 4.7), "")
    arrow((4.0, 2.5), (6.9, 1.0), "")
    axis.text(5.1, 4.35, "PTQ: ranges,\nno training", ha="right", va="bottom", fontsize=10)
    axis.text(5.1, 1.35, "QAT: trained with\nrounding in the loop", ha="right", va="top", fontsize=10)
    arrow((10.8, 4.75), (13.8, 4.75), "QAFT: trained on")
    axis.text(8.85, 3.55, "minutes, some hundred samples", ha="center", fontsize=9.5)
    axis.text(8.85, 1.9, "best under 4 bits, needs training data", ha="center", fontsize=9.5)
    axis.text(15.75, 3.55, "also of other people's files", ha="center", fontsize=9.5)
    save(figure, "ways", "PTQ quantizes a trained network from its ranges, QAT trains with rounding in the loop, QAFT trains a quantized network on")


def results(measured: dict) -> None:
    """The demo, in one picture: size, latency, accuracy with its interval."""
    rows = measured["demo"]
    names = [f"{row['method']}  {row['bits']}" for row in rows]
    colors = [FAINT] + [TEAL if "PTQ" in row["method"] else BLUE if row["method"] == "QAT" else ORANGE for row in rows[1:]]
    places = np.arange(len(rows))[::-1]
    figure, (size, latency, accuracy) = plt.subplots(1, 3, figsize=(10, 3.6), sharey=True, width_ratios=[1, 1, 1.3])
    for axis, values, unit, title in (
        (size, [row["file_bytes"] / 1000 for row in rows], "kB", "file, kB"),
        (latency, [row["median_s"] * 1e6 for row in rows], "µs", "latency, µs"),
    ):
        axis.barh(places, values, color=colors, height=0.62)
        for place, value in zip(places, values):
            axis.text(value + max(values) * 0.025, place, f"{value:.0f}" if unit == "kB" else f"{value:.1f}", va="center", fontsize=10)
        axis.set(title=title, xticks=[], xlim=(0, max(values) * 1.2))
        axis.spines["bottom"].set_visible(False)
    for place, row, color in zip(places, rows, colors):
        low, high = row["interval_95"]
        accuracy.plot([100 * low, 100 * high], [place, place], color=color if color != FAINT else INK, lw=2.4, solid_capstyle="round")
        accuracy.plot(100 * row["accuracy"], place, "o", color=color if color != FAINT else INK, ms=6)
    accuracy.set(title=f"accuracy, 95 % intervals, n = {rows[0]['samples']}", xlim=(96.8, 100.2))
    accuracy.set_xticks([97, 98, 99, 100], ["97 %", "98 %", "99 %", "100 %"])
    accuracy.grid(axis="x", color=FAINT, lw=0.5, alpha=0.6)
    size.set_yticks(places, names)
    for axis in (size, latency, accuracy):
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
    save(figure, "results", "Handwritten digits: size, latency and accuracy of the float network and of its quantized forms")


def results_table(measured: dict) -> str:
    """The rows of README's table; spaces inside of an interval do not break."""
    rows = []
    for row in measured["demo"]:
        low, high = (f"{100 * bound:.2f}" for bound in row["interval_95"])
        accuracy = f"{100 * row['accuracy']:.2f} % [{low}, {high}]".replace(" ", "\u00a0")
        low, high = (f"{100 * bound:+.2f}" for bound in row["difference_interval_95"])
        difference = f"{100 * row['difference']:+.2f} [{low}, {high}]".replace(" ", "\u00a0") if row["method"] != "float" else ""
        size, latency = f"{row['file_bytes'] / 1000:.0f} kB", f"{row['median_s'] * 1e6:.1f} µs"
        rows.append(f"| {row['method']} | {row['bits']} | {size} | {accuracy} | {difference} | {latency} |\n")
    return "".join(rows)


def write_table(measured: dict) -> None:
    text = README.read_text()
    README.write_text(re.sub(r"(?<=\|\n)\| float \| W32.*?\n(?=\n)", lambda _: results_table(measured), text, flags=re.S))


def measure(program: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        def nibble(*words: str) -> dict:
            done = subprocess.run([program, *words, "--json"], cwd=folder, check=True, capture_output=True, text=True)
            return json.loads(done.stdout)

        demo = nibble("demo")["rows"]
        nibble("analyze", "nibble-demo/float.onnx", "--data", "digits", "-o", "ranges.json")
        ranges = json.loads((Path(folder) / "ranges.json").read_text())
    tensors = [{key: tensor[key] for key in ("name", "kind", "sqnr_db")} for tensor in ranges["tensors"]]
    MEASURED.write_text(json.dumps({"demo": demo, "tensors": tensors}, indent=1) + "\n")


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    if sys.argv[1:2] == ["--measure"]:
        measure(str(Path(sys.argv[2]).resolve()))
    measured = json.loads(MEASURED.read_text())
    if sys.argv[1:2] == ["--check"]:
        if results_table(measured) not in README.read_text():
            sys.exit("README's table is not what docs/figures/measured.json holds; scripts/docs/figures.py writes it")
        return
    mapping()
    clipping()
    granularity()
    bits(measured)
    ways()
    results(measured)
    write_table(measured)


if __name__ == "__main__":
    main()
