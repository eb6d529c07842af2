"""Models side by side: latency, throughput, memory and size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import _core
from .html import seconds, size
from .model import load_all
from .progress import reporting
from .results import Result


class Bench(Result):
    """Latencies; a row for each model and number of threads.

    Each row: {"model", "threads", "batch", "runs", "median_s", "p95_s", "samples_per_second", "memory_bytes", "file_bytes",
    "speed"}: seconds, bytes, and the ratio of medians to the first model at the same number of threads.

    Attributes:
        why_not_faster: by model, of those that are quantized and no faster than the first, which is not: one sentence.
    """

    def __init__(self, rows: list[dict], why_not_faster: dict[str, str] | None = None):
        self.rows = rows
        self.why_not_faster = why_not_faster or {}

    def to_dict(self) -> dict:
        return {"rows": self.rows, "why_not_faster": self.why_not_faster}

    def plot(self, ax=None):
        """Median latencies. Returns the matplotlib axes."""
        from .plots import plot_bench

        return plot_bench(self, ax)

    def _records(self):
        return self.rows

    def _table(self):
        head = ["model", "threads", "batch", "median", "p95", "samples/s", "speed", "memory", "file"]
        rows = [
            [
                row["model"], str(row["threads"]), str(row["batch"]), seconds(row["median_s"]), seconds(row["p95_s"]),
                f"{row['samples_per_second']:,.0f}", f"{row['speed']:.2f}x", size(row["memory_bytes"]), size(row["file_bytes"]),
            ]
            for row in self.rows
        ]  # fmt: skip
        return head, rows

    def _below(self):
        return ["speed: ratio of medians to the first model at the same number of threads, runs interleaved"] + [
            f"{name} is not faster: {why}" for name, why in self.why_not_faster.items()
        ]


def bench(
    models: Any,
    threads: int | Sequence[int] = (1,),
    *,
    batch: int = 1,
    shapes: dict[str, Sequence[int]] | None = None,
    seconds: float = 1.0,
    seed: int = 0,
    progress=None,
) -> Bench:
    """Latency and throughput on random inputs; models run in turns, so that what disturbs the machine disturbs them alike.

    Args:
        models: see `nibble.evaluate`; speeds are relative to the first.
        threads: numbers of threads to measure; 0 is one per core.
        batch: for inputs whose first extent is unknown.
        shapes: by name, of inputs with other unknown extents.
        seconds: per model and number of threads, after a warm-up.
        seed: of the inputs.

    Raises:
        nibble.Error: an input has an unknown extent that `shapes` does not say.
    """
    loaded, names = load_all(models)
    counts = [threads] if isinstance(threads, int) else list(threads)
    given = {name: list(shape) for name, shape in (shapes or {}).items()}
    with reporting(progress) as callback:
        run = _core.Run(0, seed, callback)
        measured, reasons = _core.bench([model._core for model in loaded], counts, batch, given, seconds, run)
    rows = []
    for model, name, latencies in zip(loaded, names, measured):
        for latency, first in zip(latencies, measured[0]):
            speed = first["median_s"] / latency["median_s"]
            rows.append({"model": name, **latency, "file_bytes": model.size, "speed": speed})
    return Bench(rows, {name: why for name, why in zip(names, reasons) if why is not None})
