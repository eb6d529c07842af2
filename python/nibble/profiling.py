"""Where the time of an inference goes, step by step."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any

from . import _core
from .html import percent, seconds, size
from .model import load
from .progress import reporting
from .results import Result


class Profile(Result):
    """What each step of a compiled model costs.

    Attributes:
        steps: in the order in which they run; of each {"node", "op", "kind", "arithmetic", "kernel", "result", "executions",
            "median_s", "share", "macs", "operations_per_second", "of_peak", "weight_bytes", "read_bytes", "written_bytes",
            "bytes_per_second"}, and of a step in float "why_float" and "remedy": what keeps it so, and what would help.
        kinds: the same for all steps of a kind together, the longest first.
        peak: what this machine can do: operations per second by arithmetic, and bytes per second of copies.
        steps_s, whole_s: the sum of the steps, and a whole inference timed without looking at steps.
        trace: one run in the Trace Event Format of chrome://tracing and Perfetto.
    """

    def __init__(self, name: str, report: dict, trace: dict):
        self._report, self._name = report, name
        self.steps: list[dict] = report["steps"]
        self.kinds: list[dict] = report["kinds"]
        self.peak: dict[str, float] = report["peak"]
        self.steps_s: float = report["steps_s"]
        self.whole_s: float = report["whole_s"]
        self.trace: dict = trace

    def top(self, count: int = 10) -> list[dict]:
        """The steps that take longest, longest first."""
        return sorted(self.steps, key=lambda step: -step["median_s"])[:count]

    def save_trace(self, path: str | os.PathLike) -> None:
        """Writes `trace` as JSON: open it in chrome://tracing or ui.perfetto.dev."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.trace, file)

    def to_dict(self) -> dict:
        return {"model": self._name, **self._report}

    def _records(self):
        return self.steps

    def _table(self):
        head = ["step", "operator", "kernel", "time", "share", "GOP/s", "of peak", "moved"]
        rows = [
            [
                step["node"], step["op"], _kernel(step), seconds(step["median_s"]), percent(step["share"], 1),
                "" if step["operations_per_second"] is None else f"{step['operations_per_second'] / 1e9:.3g}",
                percent(step["of_peak"], 1), _moved(step),
            ]
            for step in self.steps
        ]  # fmt: skip
        return head, rows

    def _title(self) -> str:
        return f"{self._name}: {seconds(self.whole_s)} an inference, {seconds(self.steps_s)} in its {len(self.steps)} steps"

    def _below(self) -> list[str]:
        reasons: dict[tuple[str, str], list[dict]] = {}
        for step in self.steps:
            if "why_float" in step:
                reasons.setdefault((step["why_float"], step["remedy"]), []).append(step)
        return [
            f"in float, {percent(sum(step['share'] for step in steps), 1)}: {', '.join(step['node'] for step in steps[:4])}"
            f"{', ...' if len(steps) > 4 else ''}: {why}; what helps: {remedy}"
            for (why, remedy), steps in reasons.items()
        ]


def _kernel(step: dict) -> str:
    return "plain loops" if step["kernel"] == "eval" else step["kernel"]


def _moved(step: dict) -> str:
    parts = [step[key] for key in ("weight_bytes", "read_bytes", "written_bytes")]
    return "" if None in parts else size(sum(parts))


def profile(
    model: Any,
    *,
    threads: int = 1,
    batch: int = 1,
    shapes: dict[str, Sequence[int]] | None = None,
    runs: int = 0,
    seed: int = 0,
    progress=None,
) -> Profile:
    """Times each step of a model on random inputs, runs with a clock in turns with runs without.

    Args:
        model: a path, bytes, onnx.ModelProto or Model.
        threads: 0 is one per core.
        batch: for inputs whose first extent is unknown.
        shapes: by name, of inputs with other unknown extents.
        runs: that are timed; 0: as many as take about a second.
        seed: of the inputs.

    Raises:
        nibble.Error: an input has an unknown extent that `shapes` does not say.
    """
    loaded = load(model)
    given = {name: list(shape) for name, shape in (shapes or {}).items()}
    with reporting(progress) as callback:
        run = _core.Run(0, seed, callback)
        report, trace = _core.profile(loaded._core, loaded.name, threads, batch, given, runs, run)
    return Profile(loaded.name, report, trace)
