"""Quantization after training: ranges, bits, quantized models."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import _core
from .html import number
from .model import Model, load
from .options import documented, goal_rows, quantize_rows, split, to_json
from .progress import reporting
from .results import Result
from .sources import DataOptions, make_source

_TRAINING_SHARE = 0.9  # of what is not divided by itself


@dataclass(frozen=True)
class TensorRange:
    """What was seen of one tensor.

    Attributes:
        name: of the value in the graph. node: that reads the weight or computes the activation.
        kind: "weight" or "activation".
        shape: of the value; None for what is unknown.
        count, min, max, mean, std: of all its elements over all samples. zero_share, outlier_share: the share of zeros, and of
            elements more than 4 standard deviations from the mean, in [0, 1].
        sqnr_db: by bits, the signal to quantization noise ratio predicted at 8, 6, 4, 3 and 2 bits, in dB.
        unusable: why it has no range that could be quantized (it is infinite for some sample); then no number means anything.
    """

    name: str
    node: str
    kind: str
    shape: list | None
    count: int
    min: float
    max: float
    mean: float
    std: float
    zero_share: float
    outlier_share: float
    channel_axis: int
    sqnr_db: dict[int, float]
    unusable: str | None
    _ranges: Any = field(repr=False, compare=False)
    _index: int = field(repr=False, compare=False)

    @property
    def counts(self) -> np.ndarray:
        """int64[k]: elements in each bin of the histogram."""
        return self._ranges.counts(self._index)

    @property
    def edges(self) -> np.ndarray:
        """float64[k + 1]: the edges of the bins."""
        return self._ranges.edges(self._index)

    @property
    def channel_min(self) -> np.ndarray:
        """float32[channels], along `channel_axis`."""
        return self._ranges.channel_min(self._index)

    @property
    def channel_max(self) -> np.ndarray:
        """float32[channels], along `channel_axis`."""
        return self._ranges.channel_max(self._index)

    def grids(self, bits: int = 8, symmetric: bool = False) -> dict[str, "Grid"]:
        """What each observer makes of the range of an activation: scale, zero point, and the reals that its codes reach.

        Empty for weights, whose scales need the weights and stand per channel: those are in the quantized model
        (`model.constant(layer.weight).scale`).

        Raises:
            nibble.Error: `bits` is not 2 to 8.
        """
        grids = self._ranges.grids(self._index, bits, symmetric)
        return {observer: Grid(*numbers) for observer, numbers in grids.items()}

    def plot(self, bits: int = 8, observers: list[str] | None = None, ax=None):
        """The histogram, with what each observer would keep of it at `bits` bits. Returns the matplotlib axes."""
        from .plots import plot_range

        return plot_range(self, bits, observers, ax)


@dataclass(frozen=True)
class Grid:
    """`real = scale * (code - zero_point)`; the codes reach from `low` to `high`."""

    scale: float
    zero_point: int
    low: float
    high: float


class Ranges(Result):
    """The range of every weight and activation, in the order in which they are computed; `ranges["conv1_out"]` is one."""

    def __init__(self, core):
        self._core = core

    @property
    def samples(self) -> int:
        """How many samples were run."""
        return self._core.samples

    @property
    def notes(self) -> list[str]:
        """What the user should know, in sentences."""
        return self._core.notes

    def __len__(self) -> int:
        return len(self._core)

    def __iter__(self) -> Iterator[TensorRange]:
        return (self._at(i) for i in range(len(self)))

    def __getitem__(self, which: int | str) -> TensorRange:
        if isinstance(which, str):
            for one in self:
                if one.name == which:
                    return one
            raise KeyError(which)
        return self._at(which + len(self) if which < 0 else which)

    def _at(self, index: int) -> TensorRange:
        return TensorRange(**self._core.summary(index), _ranges=self._core, _index=index)

    def to_dict(self) -> dict:
        """Everything, histograms included: what `nibble analyze -o ranges.json` writes."""
        import json

        return json.loads(self._core.json())

    @staticmethod
    def load(path: str | os.PathLike) -> "Ranges":
        """What `save`, or `nibble analyze -o`, wrote."""
        with open(path, encoding="utf-8") as file:
            return Ranges(_core.Ranges.from_json(file.read()))

    def save(self, path: str | os.PathLike) -> "Ranges":
        """Writes to_dict() as a JSON file."""
        self._core.save(os.fspath(path))
        return self

    def plot(self, bits: int = 8, columns: int = 3, kind: str | None = "activation"):
        """A small histogram for each tensor, with what the observers keep of it at `bits` bits.

        `kind`: "activation", "weight" or None (both). Returns the matplotlib figure.
        """
        from .plots import plot_ranges

        return plot_ranges(self, bits, columns, kind)

    def _records(self):
        return [
            {
                "name": one.name,
                "node": one.node,
                "kind": one.kind,
                "min": one.min,
                "max": one.max,
                "mean": one.mean,
                "std": one.std,
                "zero_share": one.zero_share,
                "outlier_share": one.outlier_share,
                **{f"sqnr_db_{bits}": value for bits, value in one.sqnr_db.items()},
            }
            for one in self
        ]

    def _table(self):
        head = ["tensor", "kind", "min", "max", "std", "outliers %", "8 bits dB", "4 bits dB"]
        rows = []
        for one in self:
            if one.unusable:
                rows.append([one.name, one.kind, "", "", "", "", "", one.unusable])
                continue
            errors = [number(one.sqnr_db.get(bits), 3) for bits in (8, 4)]
            values = [number(float(x), 3) for x in (one.min, one.max, one.std, 100 * one.outlier_share)]
            rows.append([one.name, one.kind, *values, *errors])
        return head, rows

    def _title(self) -> str:
        return f"{len(self)} tensors over {self.samples} samples"

    def _below(self):
        return [note + "." for note in self.notes]


def analyze(
    model: Any,
    data: Any,
    *,
    samples: int = 512,
    inputs: dict | None = None,
    carry: dict | None = None,
    frame: int = 0,
    hop: int = 0,
    preprocess: dict | str | None = None,
    threads: int = 0,
    seed: int = 0,
    progress=None,
) -> Ranges:
    """Dynamic range analysis: runs training samples and gathers the range of every weight and every activation.

    One pass, and memory that does not grow with the number of samples. The result does not depend on `threads`.

    Args:
        model: whatever `nibble.load` takes.
        data, inputs, carry, frame, hop, preprocess, threads, seed, progress: see `nibble.quantize`.
        samples: how many to run, drawn by `seed` from the training part.

    Returns:
        Ranges: iterable; `.plot()`, `.to_pandas()`, `.save(path)`; `nibble.quantize(..., ranges=...)` takes it.

    Raises:
        nibble.Error: the samples do not fit the model, the data set is empty, a file is damaged.
    """
    loaded = load(model)
    source = make_source(
        data,
        DataOptions(inputs, carry, frame, hop, preprocess),
        model=loaded._core,
        limit=samples,
        share=_TRAINING_SHARE,
        seed=seed,
    )
    with reporting(progress) as callback:
        return Ranges(_core.analyze(loaded._core, source, samples, _core.Run(threads, seed, callback)))


def _layer_bits(bits: Any) -> dict[str, dict]:
    """The settings of layers: {"conv1": {"weights": 8, "activations": 8}}."""
    if isinstance(bits, Choice):
        bits = bits.bits
    layers = {}
    for node, one in dict(bits).items():
        if isinstance(one, Mapping):
            layers[node] = dict(one)
        elif isinstance(one, (tuple, list)):
            weights, activations = ("none" if bits in (None, 0) else bits for bits in one)
            layers[node] = {"weights": weights, "activations": activations}
        else:
            layers[node] = {"weights": one}
    return layers


@documented(quantize_rows, goal_rows)
def quantize(
    model: Any,
    data: Any = None,
    *,
    ranges: Ranges | str | os.PathLike | None = None,
    bits: Any = None,
    inputs: dict | None = None,
    carry: dict | None = None,
    frame: int = 0,
    hop: int = 0,
    preprocess: dict | str | None = None,
    force: bool = False,
    threads: int = 0,
    seed: int = 0,
    progress=None,
    **options: Any,
) -> Model:
    """Post-training quantization: calibrates on training samples, chooses bits where asked to, quantizes.

    Args:
        model: whatever `nibble.load` takes: a path, bytes, an onnx.ModelProto, a Model.
        data: the samples, whose training part is calibrated on. "digits", a file or folder (docs/data.md), an array
            [N, ...], (X, Y), a dict of arrays by the names of the inputs, an iterable of batches (a torch DataLoader, tf.data,
            a list), a set with random access (Hugging Face, torch). None where nothing is measured: for weights alone
            (activations=None) and where ranges are found at run time (dynamic=True).
        ranges: of `nibble.analyze` on this model, or the file that it was saved in, instead of measuring them again: one serves
            every target.
        bits: by layer, what it gets: {"conv1": 8, "fc": (4, 8)} (weights, activations), or a `Choice` of `choose_bits`.
        inputs: by input of the model, what it gets where `data` does not say so by itself: the name of an array of the data,
            a file (.npy, .pb), a number that is the same for every sample, or an array.
        carry: states, {output: input}: the output of one sample is the input for the next.
        frame, hop: sound is cut into frames of so many points, `hop` apart.
        preprocess: how images become inputs, {"mean": [...], "std": [...], "resize_shorter": 256, ...} (docs/data.md), over
            what the model stores or is usual; or the path of such a JSON file.
        force: give a model even if nothing could be quantized, or nothing keeps to the goal.
        threads: 0 is one per core; results do not depend on it.
        seed: of everything random.
        progress: None shows a bar in a notebook or terminal when it takes long (needs tqdm), False none; a function is
            called with (stage, done, total). What it raises stops the work, as Ctrl-C does.

    Options, those of `nibble quantize`:
        {options}

    Returns:
        Model: its tensors typed int8, int4, ...; `.save(path)`; `.notes` and `.left_in_float` say what stays in float and why;
            with max_drop or min_sqnr `.report["ladder"]` tells what was tried.

    Raises:
        nibble.Error: an option makes no sense, the samples do not fit, nothing can be quantized or keeps to the goal (unless
            `force`).
    """
    loaded = load(model)
    if bits is not None:
        options["layers"] = _layer_bits(bits)
    if isinstance(ranges, (str, os.PathLike)):
        ranges = Ranges.load(ranges)
    goal, settings = split(options, goal_rows(), quantize_rows())
    decides = goal.get("max_drop") is not None or goal.get("min_sqnr") is not None
    limit = 0 if decides else int(options.get("calibration") or 512)
    data_options = DataOptions(inputs, carry, frame, hop, preprocess)
    source = make_source(data, data_options, model=loaded._core, limit=limit, share=_TRAINING_SHARE, seed=seed)
    with reporting(progress) as callback:
        core, report, target = _core.quantize(
            loaded._core,
            source,
            to_json(settings, quantize_rows()),
            to_json(goal, goal_rows()),
            None if ranges is None else ranges._core,
            force,
            _core.Run(threads, seed, callback),
        )
    return Model(core, f"{_stem(loaded.name)} quantized", target=target, report=report)


def _stem(name: str) -> str:
    return os.path.splitext(os.path.basename(name))[0] if name.endswith(".onnx") else name


class Choice(Result):
    """Bits for each layer, for a budget.

    Attributes:
        bits: by layer, (bits of the weights, bits of the activations); 0 bits of activations: they stay in float; 0 of both:
            the layer does.
        average_bits: over all weights of layers that are not in float.
        latency: of max_latency_s: what was predicted and measured, with interval, runs and machine. None of other budgets.
        sensitivities: {"node", "bits", "sqnr_db", "weights"}: what the network's output loses if this layer's weights alone
            have so many bits.
    """

    def __init__(self, report: dict):
        self._report = report
        self.average_bits: float = report["average_weight_bits"]
        self.latency: dict | None = report.get("latency")
        self.sensitivities: list[dict] = report["sensitivities"]
        layers = report["plan"]["layers"]
        self.bits = {node: (one["weights"], one["activations"] if one["weights"] else 0) for node, one in layers.items()}

    def to_dict(self) -> dict:
        return self._report

    def _records(self):
        return self.sensitivities

    def front(self) -> list[tuple[float, float]]:
        """(average bits, output SQNR in dB) from the cheapest to the most exact: the choices that no other beats in both the
        budget's unit and noise, by what was measured of each layer alone; `to_dict()["front"]` has their layers."""
        return [(point["average_weight_bits"], point["sqnr_db"]) for point in self._report["front"]]

    def plot_front(self, ax=None):
        """The front, with this choice in it. Returns the matplotlib axes."""
        from .plots import plot_front

        return plot_front(self, ax)

    def _table(self):
        weights = {one["node"]: one["weights"] for one in self.sensitivities}
        by_bits = sorted({one["bits"] for one in self.sensitivities}, reverse=True)
        losses = {(one["node"], one["bits"]): one["sqnr_db"] for one in self.sensitivities}
        head = ["layer", "weights", "bits"] + [f"output dB at {bits}" for bits in by_bits]
        rows = [
            [node, number(weights.get(node)), str(w)] + [number(losses.get((node, bits)), 3) for bits in by_bits]
            for node, (w, _) in self.bits.items()
        ]
        return head, rows

    def _title(self) -> str:
        return f"{self.average_bits:.2f} bits on average over all weights"


@documented(quantize_rows)
def choose_bits(
    model: Any,
    data: Any,
    *,
    inputs: dict | None = None,
    carry: dict | None = None,
    frame: int = 0,
    hop: int = 0,
    preprocess: dict | str | None = None,
    threads: int = 0,
    seed: int = 0,
    progress=None,
    **options: Any,
) -> Choice:
    """Chooses the bits of each layer's weights for a budget, by what the network's output loses with each.

    Args:
        model, data, inputs, carry, frame, hop, preprocess, threads, seed, progress: see `nibble.quantize`.

    Options; one of average_bits, max_bytes, max_bops and max_latency_s must be given (the last two as numbers or texts: "1.2G",
    "2ms"):
        {options}

    Returns:
        Choice: `.bits`, which `nibble.quantize(..., bits=choice)` takes; `.plot_front()`.

    Raises:
        nibble.Error: there is no budget, or it cannot be met; the sentence says what can.
    """
    loaded = load(model)
    calibration = int(options.get("calibration") or 512)
    data_options = DataOptions(inputs, carry, frame, hop, preprocess)
    source = make_source(
        data, data_options, model=loaded._core, limit=calibration, share=_TRAINING_SHARE, seed=seed
    )
    with reporting(progress) as callback:
        run = _core.Run(threads, seed, callback)
        return Choice(_core.choose_bits(loaded._core, source, to_json(options, quantize_rows()), run))
