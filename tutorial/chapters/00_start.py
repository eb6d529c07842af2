# %% [markdown]
# # Quantization, by hand and with Nibble
#
# A trained neural network is mostly a large pile of 32-bit numbers. **Quantization** writes them, and the numbers that
# flow between the layers, with 8, 4 or even 2 bits. The network becomes smaller and faster; the question is what it
# forgets on the way. After this lecture you can answer that question for your own network, and you know what every tool
# for the job does inside, because you will have done each step yourself in a few lines of NumPy.
#
# | chapter | you learn |
# |---|---|
# | [1](#1) | why fewer bits: memory, bandwidth, energy, arithmetic |
# | [2](#2) | mapping reals to integers: scale, zero point, rounding, clipping; per tensor, channel and block |
# | [3](#3) | dynamic range analysis: what flows through a network, outliers, observers |
# | [4](#4) | choosing the bit-width: sensitivity, size, the Pareto front |
# | [5](#5) | quantizing to 8 and 4 bits; what the file looks like inside; integer arithmetic redone by hand |
# | [6](#6) | what breaks at 4 bits, layer by layer, and the remedies |
# | [7](#7) | quantization-aware training: the straight-through estimator, learned steps |
# | [8](#8) | fine-tuning a quantized network |
# | [9](#9) | deploying: other runtimes, latency and size, C++ |
# | [10](#10) | your own data and your own model |
#
# **How to read it.** Every chapter has the same five parts: an *idea*, a *picture*, the code *by hand* in NumPy, the same
# *with Nibble*, and an *exercise* with a folded solution. You need to know what a neural network is and to read Python;
# you need no knowledge of quantization. Run the cells from top to bottom; the whole notebook takes a few minutes on two
# cores, training included. Cells that only draw are folded; open them if you like. You need Nibble's Python package
# ([how to get it](../docs/python.md)) and the packages of [requirements.txt](requirements.txt).
#
# **What you can rely on.** What was measured is printed by cells, never typed. Where the text says that two things are
# equal bit for bit, a cell asserts it, and the notebook is executed in the tests of the project. An accuracy comes with
# its number of samples and a 95 % interval. Times are of the machine that executed the notebook last; yours will differ.

# %% tags=["hidden"]
# Imports, and three small helpers: say() prints a sentence, table() prints rows, new_picture() opens a figure.
import json, math, os, platform, struct, sys, time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, display

import nibble

FILES = Path("nibble-tutorial")  # everything the notebook writes goes here
FILES.mkdir(exist_ok=True)

# Colours that colour-blind readers can tell apart (Okabe and Ito), on a light card that is legible in dark mode too.
BLUE, ORANGE, GREEN, RED, PINK, SKY, GREY, INK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#8a8a8a", "#222222")
plt.rcParams.update({
    "figure.facecolor": "#fcfcfa", "axes.facecolor": "#fcfcfa", "savefig.facecolor": "#fcfcfa",
    "figure.dpi": 100, "savefig.dpi": 100, "font.size": 10.5, "axes.titlesize": 11.5, "axes.titleweight": "bold",
    "axes.titlelocation": "left", "axes.edgecolor": GREY, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True, "grid.color": "#e4e4e0", "axes.axisbelow": True, "legend.frameon": False,
    "figure.constrained_layout.use": True,
    "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, RED, PINK, SKY])})


def say(text):
    """Prints a sentence in which a cell has put its numbers."""
    display(Markdown(text))


def table(rows, caption=""):
    """Prints a list of dicts as a table; numbers stand to the right."""
    names = list(rows[0])
    right = [not isinstance(rows[-1][name], str) or rows[-1][name][:1] in "+-0123456789" for name in names]
    lines = ["| " + " | ".join(names) + " |", "|" + "|".join("--:" if r else ":--" for r in right) + "|"]
    lines += ["| " + " | ".join(str(row.get(name, "")) for name in names) + " |" for row in rows]
    display(Markdown((f"**{caption}**\n\n" if caption else "") + "\n".join(lines)))


def new_picture(width=9.0, height=3.4, rows=1, columns=1, **options):
    return plt.subplots(rows, columns, figsize=(width, height), **options)


def cpu_name():
    try:
        return next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


say(f"This notebook was last executed on: {cpu_name()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
    f"NumPy {np.__version__}, Nibble {nibble.__version__}.")
