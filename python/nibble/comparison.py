"""The error of a quantized model against the float one: of its outputs, value by value, and what each layer adds to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from . import _core
from .evaluation import metric_rows, with_interval
from .html import number
from .model import load_all
from .progress import reporting
from .results import Result
from .sources import DataOptions, make_source


@dataclass(frozen=True)
class LayerError:
    """How far one value of the quantized network is from the float one's, over all samples.

    Attributes:
        value, node, op: of the graph.
        sqnr_db: signal to quantization noise ratio, 10 log10(sum x^2 / sum (y - x)^2); 6 dB are one bit; infinite if equal.
        cosine: of the angle between the two. max_abs_error: the largest difference.
    """

    value: str
    node: str
    op: str
    sqnr_db: float
    cosine: float
    max_abs_error: float


class Explanation:
    """What remedies gave that the costliest layers name, each tried alone and all of them together.

    Attributes:
        tried: {"nodes", "remedy", "settings", "bytes"} of each; `settings` as nibble.json has them, none of all together.
        bytes: of the model's file as it is.
        outputs: a Row for each output of the model as it is, and as each remedy made it: `difference` is that between them.
    """

    def __init__(self, report: dict):
        self.tried: list[dict] = report["tried"]
        self.bytes: int = report["bytes"]
        self.outputs = metric_rows(report["outputs"])

    def lines(self) -> list[str]:
        return [
            f"tried {row.model}: output {row.output}: {row.metric} {with_interval(row.value, row.low, row.high, row.unit)}"
            for row in self.outputs
            if row.difference
        ]


class Comparison(Result):
    """How far the outputs of a quantized model are from the float one's, and where the error comes from.

    Attributes:
        outputs: a Row for each output and metric (sqnr, cosine, max_error, agreement).
        layers: a LayerError for each value that both have, worst SQNR first.
        costs: what each layer adds to the error of the outputs, in the order in which they run: {"node", "op", "weight_bits",
            "sqnr_before_db", "sqnr_db", "share", ...}; of the costliest a sentence with the cause, if one is found, and a
            remedy to try.
        samples: that were run.
        explanation: what remedies gave, where they were asked for; else None.
    """

    def __init__(self, report: dict, names: list[str]):
        self._report, self._names = report, names
        self.samples: int = report["samples"]
        self.outputs = metric_rows(report["outputs"])
        self.layers = [LayerError(**layer) for layer in report["layers"]]
        self.costs: list[dict] = report["costs"]
        explained = report.get("explanation")
        self.explanation = Explanation(explained) if explained else None

    def to_dict(self) -> dict:
        return self._report

    def plot(self, count: int = 25, ax=None):
        """SQNR of each layer, in the order in which they run; at most `count`, the worst. Returns the matplotlib axes."""
        from .plots import plot_comparison

        return plot_comparison(self, count, ax)

    def _records(self):
        return [vars(layer) for layer in self.layers]

    def _table(self):
        head = ["value", "node", "operator", "SQNR dB", "cosine", "max |error|"]
        rows = [
            [one.value, one.node, one.op, number(one.sqnr_db, 3), f"{one.cosine:.5f}", number(one.max_abs_error)]
            for one in self.layers
        ]
        return head, rows

    def _title(self) -> str:
        return f"{self._names[1]} against {self._names[0]} over {self.samples} samples, worst first"

    def _below(self):
        outputs = [
            f"output {row.output}: {row.metric} {with_interval(row.value, row.low, row.high, row.unit)}" for row in self.outputs
        ]
        tried = self.explanation.lines() if self.explanation else []
        return outputs + ["SQNR is signal to quantization noise: 6 dB are one bit."] + self._costliest() + tried

    def _costliest(self, most: int = 2) -> list[str]:
        named = sorted((one for one in self.costs if "cost" in one), key=lambda one: -one["share"])
        lines = []
        for one in named[:most]:
            lines.append(f"{one['cost']}.")
            if "cause" in one:
                lines.append(f"{one['cause']}: {one['sentence']}. Try: {one['remedy']}")
        return lines


def compare(
    reference: Any,
    quantized: Any,
    data: Any,
    *,
    samples: int = 64,
    arithmetic: str = "integer",
    explain: bool = False,
    inputs: dict | None = None,
    carry: dict | None = None,
    frame: int = 0,
    hop: int = 0,
    preprocess: dict | str | None = None,
    threads: int = 0,
    seed: int = 0,
    progress=None,
) -> Comparison:
    """The error of the outputs of a quantized model, then value by value, worst first.

    Args:
        reference, quantized: two models of the same network; the first is run in float.
        data, inputs, carry, frame, hop, preprocess, threads, seed, progress: see `nibble.quantize`.
        samples: of the test part, drawn by `seed`.
        arithmetic: how the second is run; see `nibble.evaluate`.
        explain: try the remedies of the costliest layers: quantize again as the second model says that it was made, calibrated
            on the same data, but for them, and measure.

    Returns:
        Comparison: `.outputs`, `.layers`, `.explanation`, `.plot()`.

    Raises:
        nibble.Error: the samples do not fit, or the two have no value in common; to explain, the second model does not say how
            it was made, or was trained since.
    """
    (first, second), names = load_all([reference, quantized])
    options = DataOptions(inputs, carry, frame, hop, preprocess)
    source = make_source(data, options, model=second._core, limit=samples, seed=seed)
    with reporting(progress) as callback:
        run = _core.Run(threads, seed, callback)
        report = _core.compare(first._core, second._core, names, source, samples, arithmetic, explain, run)
        return Comparison(report, names)
