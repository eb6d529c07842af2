"""Plots by matplotlib, which is imported when one is asked for."""

from __future__ import annotations

import math

import numpy as np

from .html import size
from .results import require

# Told apart by people who see colors differently (Okabe and Ito), and by their dashes.
_COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]
_GREY = "#9aa0a6"
_DASHES = ["-", "--", ":", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1))]


def _pyplot():
    return require("matplotlib.pyplot", "a plot")


def _axes(ax, width: float = 6.4, height: float = 4.0):
    if ax is not None:
        return ax
    return _pyplot().subplots(figsize=(width, height), layout="constrained")[1]


def _plain(ax):
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _shortened(text: str, length: int = 40) -> str:
    return text if len(text) <= length else text[: length // 2 - 1] + "…" + text[-length // 2 :]


def _histogram(ax, one, bins: int = 120) -> None:
    counts, edges = one.counts, one.edges
    used = np.flatnonzero(counts)
    if not len(used):
        return
    counts, edges = counts[used[0] : used[-1] + 1], edges[used[0] : used[-1] + 2]
    merge = max(1, math.ceil(len(counts) / bins))
    short = -len(counts) % merge
    merged = np.pad(counts, (0, short)).reshape(-1, merge).sum(1)
    at = np.append(edges[:-1:merge], edges[-1])
    ax.stairs(merged, at, fill=True, color=_GREY, alpha=0.6)
    ax.set_yscale("log")
    ax.set_ylim(0.8, merged.max() * 3)


def plot_range(one, bits=8, observers=None, ax=None, legend=True):
    """The histogram of a tensor, with what each observer would keep of it."""
    ax = _plain(_axes(ax))
    if one.unusable:
        ax.text(0.5, 0.5, one.unusable, ha="center", va="center", transform=ax.transAxes, wrap=True)
        return ax
    _histogram(ax, one)
    grids = one.grids(bits)
    for i, (name, grid) in enumerate((n, g) for n, g in grids.items() if observers is None or n in observers):
        color, dashes = _COLORS[i % len(_COLORS)], _DASHES[i % len(_DASHES)]
        ax.axvline(grid.low, color=color, ls=dashes, lw=1.5, label=f"{name}: {grid.low:.3g} to {grid.high:.3g}")
        ax.axvline(grid.high, color=color, ls=dashes, lw=1.5)
    ax.set_title(_shortened(one.name), fontsize="medium")
    ax.set_xlabel("value")
    ax.set_ylabel("elements per bin")
    if legend and grids:
        ax.legend(title=f"kept at {bits} bits", fontsize="small", frameon=False)
    return ax


def plot_ranges(ranges, bits=8, columns=3, kind="activation"):
    """A small histogram for each tensor."""
    shown = [one for one in ranges if kind is None or one.kind == kind]
    columns = max(1, min(columns, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    figure, axes = _pyplot().subplots(rows, columns, figsize=(3.4 * columns, 2.3 * rows + 0.4), layout="constrained", squeeze=False)
    labelled = {}
    for ax, one in zip(axes.flat, shown):
        plot_range(one, bits, ax=ax, legend=False)
        ax.set_xlabel("")
        ax.set_ylabel("")
        ax.tick_params(labelsize="small")
        for line in ax.get_lines():
            label = line.get_label()
            if not label.startswith("_"):
                labelled.setdefault(label.split(":")[0], line)
    for ax in axes.flat[len(shown) :]:
        ax.set_visible(False)
    if labelled:
        figure.legend(
            labelled.values(), labelled.keys(), loc="outside lower center", ncols=len(labelled), frameon=False,
            title=f"ends of what each observer keeps at {bits} bits", fontsize="small", title_fontsize="small",
        )  # fmt: skip
    return figure


# By what a budget counts: how the axis is called, and how a value is written.
_BUDGETS = {
    "average_weight_bits": ("bits on average over all weights", lambda value: f"{value:.2f} bits"),
    "file_bytes": ("size of the file, bytes", size),
    "bit_operations": ("bit operations", lambda value: f"{value / 1e9:.3g} G"),
    "latency_s": ("latency as predicted, s", lambda value: f"{value * 1e3:.3g} ms"),
}


def plot_front(choice, ax=None):
    """Output SQNR over what the budget counts: the best that can be had, and what was chosen."""
    ax = _plain(_axes(ax))
    report = choice.to_dict()
    (unit,) = report["budget"]
    label, text = _BUDGETS[unit]
    # Where all layers are in float nothing is lost, which has no place on the axis.
    points = [(p[unit], p["sqnr_db"]) for p in report["front"] if p["sqnr_db"] is not None and math.isfinite(p["sqnr_db"])]
    ax.plot(*zip(*points), "-o", color=_GREY, ms=4, lw=1.5, label="best for this budget")
    chosen = report["chosen"]
    ax.plot([chosen[unit]], [chosen["sqnr_db"]], "o", ms=10, color=_COLORS[1], label=f"chosen: {text(chosen[unit])}")
    ax.set_xlabel(label)
    ax.set_ylabel("predicted output SQNR, dB")
    ax.grid(alpha=0.3)
    ax.legend(frameon=False)
    return ax


def plot_comparison(comparison, count=25, ax=None):
    """SQNR of the worst layers, worst on top."""
    layers = comparison.layers[:count]
    ax = _plain(_axes(ax, 7, max(2.0, 0.28 * len(layers) + 1.2)))
    known = [one.sqnr_db for one in comparison.layers if math.isfinite(one.sqnr_db)]
    most = max(known, default=60.0)
    widths = [min(one.sqnr_db, most) for one in layers]
    places = range(len(layers))
    ax.barh(places, widths, color=[_COLORS[0] if math.isfinite(one.sqnr_db) else _GREY for one in layers], height=0.7)
    for place, one, width in zip(places, layers, widths):
        text = f"{one.sqnr_db:.1f}" if math.isfinite(one.sqnr_db) else "equal"
        ax.annotate(text, (max(width, 0), place), xytext=(3, 0), textcoords="offset points", va="center", fontsize="small")
    ax.set_yticks(list(places), [f"{_shortened(one.value, 32)} ({one.op})" for one in layers], fontsize="small")
    ax.invert_yaxis()
    ax.set_xlabel("SQNR, dB (6 dB are one bit)")
    left = len(comparison.layers) - len(layers)
    rest = f"; {left} more are nearer" if left > 0 else ""
    ax.set_title(f"Nearness to the float network over {comparison.samples} samples, worst first{rest}", fontsize="medium")
    ax.margins(x=0.1)
    return ax


def plot_evaluation(evaluation, ax=None):
    """Values with their intervals, a panel for each metric and output."""
    panels = list(dict.fromkeys((row.metric, row.output) for row in evaluation))
    if ax is None:
        models = len({row.model for row in evaluation})
        height = 0.45 * models + 1.1
        figure, grid = _pyplot().subplots(len(panels), 1, figsize=(6.4, height * len(panels)), layout="constrained", squeeze=False)
        axes = list(grid.flat)
    else:
        axes = list(np.atleast_1d(ax).flat)
    for one, (metric, output) in zip(axes, panels):
        rows = [row for row in evaluation if (row.metric, row.output) == (metric, output)]
        factor = 100 if rows[0].unit == "share" else 1
        _plain(one)
        for place, row in enumerate(rows):
            value = factor * row.value
            if not math.isfinite(value):
                one.annotate("infinite" if math.isinf(value) else "not defined", (0.02, place), xycoords=("axes fraction", "data"))
                continue
            ends = [factor * end for end in (row.low, row.high)]
            if all(math.isfinite(end) for end in ends):
                one.plot(ends, [place, place], color=_COLORS[0], lw=2, solid_capstyle="butt")
            one.plot([value], [place], "o", color=_COLORS[0])
        one.set_yticks(range(len(rows)), [_shortened(row.model) for row in rows])
        one.set_ylim(len(rows) - 0.5, -0.5)
        unit = "%" if rows[0].unit == "share" else rows[0].unit
        several = len({row.output for row in evaluation}) > 1
        name = f"{metric} of {output}" if several else metric
        one.set_xlabel(f"{name}{', ' + unit if unit else ''} (95 % interval, {rows[0].n:,} samples)")
        one.grid(axis="x", alpha=0.3)
    return axes[0] if len(axes) == 1 else axes


def plot_training(training, axes=None):
    """Loss and validation accuracy (without labels: SQNR) by epoch."""
    if axes is None:
        figure, axes = _pyplot().subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    loss, accuracy = axes
    epochs = range(1, len(training.history) + 1)
    _plain(loss).plot(epochs, [one["train_loss"] for one in training.history], color=_COLORS[0], label="training")
    loss.plot(epochs, [one["validation_loss"] for one in training.history], "--", color=_COLORS[1], label="validation")
    loss.set_xlabel("epoch")
    loss.set_ylabel("loss")
    loss.legend(frameon=False)
    labelled = training.validation_accuracy is not None
    unit = "%" if labelled else "dB"
    shares = [100 * one["validation_accuracy"] if labelled else one["validation_sqnr_db"] for one in training.history]
    _plain(accuracy).plot(epochs, shares, color=_COLORS[1])
    best = training.best_epoch
    if best > 0:
        accuracy.plot([best], [shares[best - 1]], "o", color=_COLORS[1])
        accuracy.set_title(f"best: {shares[best - 1]:.1f} {unit} in epoch {best}", fontsize="medium")
    else:
        accuracy.set_title("no epoch was better than the start", fontsize="medium")
    accuracy.set_xlabel("epoch")
    accuracy.set_ylabel(f"validation {'accuracy' if labelled else 'SQNR'}, {unit}")
    for ax in axes:
        ax.grid(alpha=0.3)
        ax.xaxis.get_major_locator().set_params(integer=True)
    return loss.figure


def plot_bench(bench, ax=None):
    """Median latency of each model, a group for each number of threads."""
    models = list(dict.fromkeys(row["model"] for row in bench.rows))
    threads = list(dict.fromkeys(row["threads"] for row in bench.rows))
    ax = _plain(_axes(ax, 6.4, 0.5 * len(models) * len(threads) + 1.2))
    scale, unit = _time_unit(max(row["median_s"] for row in bench.rows))
    height = 0.8 / len(threads)
    for t, count in enumerate(threads):
        rows = [row for row in bench.rows if row["threads"] == count]
        places = [i + t * height for i in range(len(rows))]
        label = "all cores" if count == 0 else f"{count} thread{'s' if count > 1 else ''}"
        ax.barh(places, [row["median_s"] * scale for row in rows], height * 0.9, color=_COLORS[t % len(_COLORS)], label=label)
        for place, row in zip(places, rows):
            text = f"{row['speed']:.2f}x, {size(row['file_bytes'])}"
            ax.annotate(text, (row["median_s"] * scale, place), xytext=(3, 0), textcoords="offset points", va="center", fontsize="small")
    ax.set_yticks([i + 0.4 - height / 2 for i in range(len(models))], [_shortened(model) for model in models])
    ax.invert_yaxis()
    ax.set_xlabel(f"median latency, {unit}")
    ax.margins(x=0.25)
    if len(threads) > 1:
        ax.legend(frameon=False)
    return ax


def _time_unit(longest: float) -> tuple[float, str]:
    for scale, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if longest * scale < 1000:
            return scale, unit
    return 1.0, "s"
