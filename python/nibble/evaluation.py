"""Models side by side: accuracy and other metrics, with intervals, paired with the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from . import _core
from .errors import fail
from .html import number, percent
from .model import load_all
from .progress import reporting
from .results import Result
from .sources import DataOptions, make_source


@dataclass(frozen=True)
class Difference:
    """Of a model from the first, on the same samples.

    Attributes:
        value: this one minus the first. low, high: its 95 % interval.
        p_value: of McNemar's exact test, for shares of samples; else None.
    """

    value: float
    low: float
    high: float
    p_value: float | None = None


@dataclass(frozen=True)
class Row:
    """One metric on one output of one model.

    Attributes:
        model, metric, output: their names.
        unit: "share" (0.98 is 98 %), "dB" or "".
        n: samples judged. left_out: samples that could not be.
        value: NaN if it is not defined. low, high: its 95 % interval.
        method: how the interval was found: "exact" (Clopper-Pearson, Tango), "bootstrap-bca", "bootstrap-bc" or "none".
        difference: from the first model; None for that one.
        notes: what the user should know, in sentences.
        per_sample: float64[n] (uint8[n] for accuracy: 1 is right); None for a metric of the set as a whole.
        predicted: int32[n], the classes, for accuracy; else None.
    """

    model: str
    metric: str
    output: str
    unit: str
    n: int
    left_out: int
    value: float
    low: float
    high: float
    method: str
    difference: Difference | None
    notes: list[str]
    per_sample: np.ndarray | None = field(default=None, repr=False, compare=False)
    predicted: np.ndarray | None = field(default=None, repr=False, compare=False)


def _shown(value: float, unit: str) -> str:
    return percent(value) if unit == "share" else number(value) + (" dB" if unit == "dB" else "")


def with_interval(value: float, low: float, high: float, unit: str, sign: bool = False) -> str:
    plus = "+" if sign and value > 0 else ""
    if unit == "share" and sign:
        return f"{100 * value:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}] points"
    if unit == "share":
        return f"{100 * value:.2f} % [{100 * low:.2f}, {100 * high:.2f}]"
    return f"{plus}{_shown(value, unit)} [{number(low)}, {number(high)}]"


class Evaluation(Result, Sequence):
    """Rows, one for each metric, output and model; `evaluation[0].value`, `for row in evaluation`, `evaluation["int8"]`."""

    def __init__(self, rows: list[Row], report: dict):
        self._rows, self._report = rows, report

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, which):
        if isinstance(which, str):
            for row in self._rows:
                if row.model == which:
                    return row
            raise KeyError(which)
        return self._rows[which]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def to_dict(self) -> dict:
        return self._report

    def plot(self, ax=None):
        """Each model's value with its 95 % interval. Returns the matplotlib axes (one for each metric and output)."""
        from .plots import plot_evaluation

        return plot_evaluation(self, ax)

    def _records(self):
        records = []
        for row in self._rows:
            record = {key: value for key, value in vars(row).items() if key not in ("difference", "notes")}
            record.pop("per_sample"), record.pop("predicted")
            for key, value in asdict(row.difference).items() if row.difference else ():
                record["difference" if key == "value" else f"difference_{key}"] = value
            records.append(record)
        return records

    def _table(self):
        several = len({row.metric for row in self._rows}) > 1 or len({row.output for row in self._rows}) > 1
        head = ["model"] + (["output", "metric"] if several else [self._rows[0].metric + " [95 %]"])
        head += (["value [95 %]"] if several else []) + ["n"]
        paired = any(row.difference for row in self._rows)
        if paired:
            head += ["difference [95 %]", "p"]
        rows = []
        for row in self._rows:
            cells = [row.model] + ([row.output, row.metric] if several else [])
            cells += [with_interval(row.value, row.low, row.high, row.unit), f"{row.n:,}"]
            if paired and row.difference is None:
                cells += ["", ""]
            elif paired:
                d = row.difference
                cells += [with_interval(d.value, d.low, d.high, row.unit, sign=True)]
                cells += ["" if d.p_value is None else number(d.p_value, 2)]
            rows.append(cells)
        return head, rows

    def _below(self):
        notes = []
        for row in self._rows:
            for note in row.notes:
                line = f"{row.model}: {note}."
                if line not in notes:
                    notes.append(line)
        return notes


def _accuracy_rows(report: dict, per_sample: list) -> list[Row]:
    rows = []
    for entry, (right, predicted) in zip(report["models"], per_sample):
        paired = entry.get("paired")
        difference = None
        if paired:
            difference = Difference(paired["difference"], *paired["interval_95"], paired["p_value"])
        rows.append(
            Row(
                entry["model"], "top1", entry["output"], "share", entry["samples"], 0, entry["accuracy"],
                *entry["interval_95"], "exact", difference, entry["notes"], right, predicted,
            )
        )  # fmt: skip
    return rows


def metric_rows(reports: list[dict], per_sample: list | None = None) -> list[Row]:
    rows = []
    for report in reports:
        for i, entry in enumerate(report["models"]):
            given = entry.get("difference")
            difference = None
            if given:
                difference = Difference(given["value"], *given["interval_95"], given.get("p_value"))
            rows.append(
                Row(
                    entry["model"], report["metric"], report.get("output", ""), report["unit"], entry["samples"],
                    entry["left_out"], entry["value"], *entry["interval_95"], entry["interval_method"], difference,
                    entry["notes"], per_sample[i] if per_sample else None,
                )
            )  # fmt: skip
    # By model, as tables of the command line are.
    names = list(dict.fromkeys(row.model for row in rows))
    return sorted(rows, key=lambda row: names.index(row.model))


def _sample_function(metric: Any, models: list) -> Callable | None:
    """What the library calls for a sample: (outputs in order, label or -1, targets in order) -> float."""
    if metric is None or isinstance(metric, str):
        return None
    names = [value.name for value in models[0].outputs]

    def judge(outputs: list[np.ndarray], label: int, targets: list[np.ndarray]) -> float:
        given = outputs[0] if len(outputs) == 1 else dict(zip(names, outputs))
        target: Any = targets[0] if len(targets) == 1 else targets or None
        if label >= 0:
            target = label if target is None else (label, target)
        return float(metric(given, target))

    return judge


def evaluate(
    models: Any,
    data: Any,
    metric: str | Callable | None = None,
    *,
    split: str = "test",
    samples: int = 0,
    output: str = "",
    threshold: float | None = None,
    score: str = "",
    arithmetic: str = "integer",
    batch: int = 32,
    resamples: int = 2000,
    inputs: dict | None = None,
    carry: dict | None = None,
    frame: int = 0,
    hop: int = 0,
    preprocess: dict | str | None = None,
    threads: int = 0,
    seed: int = 0,
    progress=None,
) -> Evaluation:
    """Judges models on the same samples; each value has its sample count and a 95 % interval, and is paired with the first.

    Args:
        models: one, a list, or a dict by the names that the table shows; each whatever `nibble.load` takes. The others are
            compared with the first.
        data: see `nibble.quantize`.
        metric: the name of one of `nibble.metrics()`, or a function `(outputs, target) -> float` of one sample: `outputs` is
            the array that the model gives, [1, ...], or a dict of them by name if it has several; `target` is the label, or what
            the model should answer, or None. The value is its mean. None: top1 where there are labels, mse and mae or miou
            where there are targets, else how near each output is to the first model's.
        split: "train", "validation" or "test".
        samples: judge a random draw of so many; 0: all.
        output: the output to judge; "": the one that fits, or all.
        threshold: where a single score becomes class 1.
        score: a program of your own that judges the outputs (docs/judging.md).
        arithmetic: how quantized models are run: "integer", "fake-quantize", "f32", or "saturating16": as other runtimes run
            them on x86 CPUs without VNNI (docs/targets.md).
        batch: samples per run. resamples: of the bootstrap.
        inputs, carry, frame, hop, preprocess, threads, seed, progress: see `nibble.quantize`.

    Returns:
        Evaluation: rows with .model, .metric, .n, .value, .low, .high, .difference.

    Raises:
        nibble.Error: the samples do not fit a model, or there are no labels for the metric; the sentence says what to do.
    """
    loaded, names = load_all(models)
    if metric is not None and not isinstance(metric, str) and not callable(metric):
        fail(f"metric is {type(metric).__name__}: expected the name of one, or a function (outputs, target) -> float")
    options = DataOptions(inputs, carry, frame, hop, preprocess)
    source = make_source(data, options, model=loaded[0]._core if loaded else None, limit=samples, seed=seed)
    settings = {
        "split": split,
        "samples": samples,
        "score": score,
        "metric": metric if isinstance(metric, str) else "",
        "function_name": getattr(metric, "__name__", "metric"),
        "output": output,
        "threshold": threshold,
        "arithmetic": arithmetic,
        "batch": batch,
        "resamples": resamples,
    }
    with reporting(progress) as callback:
        run = _core.Run(threads, seed, callback)
        cores = [model._core for model in loaded]
        report, per_sample = _core.evaluate(cores, names, source, settings, _sample_function(metric, loaded), run)
    report = {"split": split, **report}
    if callable(metric):  # nobody said which way is better
        for one in report["metrics"]:
            one.pop("larger_is_better", None)
    rows = _accuracy_rows(report, per_sample) if "models" in report else metric_rows(report["metrics"])
    return Evaluation(rows, report)
