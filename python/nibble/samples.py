"""Data sets, as objects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from . import _core
from .html import table_html
from .sources import DataOptions, make_source


class Dataset:
    """Samples: sets of named arrays, with a label or without. Decoded when they are read.

    `len(data)`, `data[i]` (a dict of arrays of sample i, without a batch; with "label" where there are labels) and
    iteration; `arrays()` reads all of it.
    """

    def __init__(self, data, split, options: DataOptions, model=None, seed: int = 0):
        self._data, self._options, self.split = data, options, split
        core_model = None if model is None else model._core
        source = make_source(data, options, model=core_model, seed=seed)
        self._core = source.open(split, core_model, seed)
        self._labels = self._core.labels()

    @property
    def classes(self) -> int:
        """How many classes the labels tell apart; 0: there are no labels."""
        return self._core.classes

    @property
    def class_names(self) -> list[str]:
        """Empty if the classes have no names."""
        return self._core.class_names

    @property
    def labels(self) -> np.ndarray | None:
        """int64[N], each in [0, classes); None where there are none."""
        return self._labels

    @property
    def fields(self) -> list[tuple[str, str, list | None]]:
        """Name, element type and shape of each array of a sample; a name is empty where there is but one input."""
        return self._core.fields

    @property
    def preprocess(self) -> dict | None:
        """How images become inputs; None if the samples are not images."""
        text = self._core.preprocess
        return None if text is None else json.loads(text)

    def __len__(self) -> int:
        return len(self._core)

    def _names(self) -> list[str]:
        return [name or "input" for name, _, _ in self.fields]

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        if isinstance(index, slice):
            raise TypeError("a data set takes one index; arrays() gives all samples")
        if index < 0:
            index += len(self)
        sample = dict(zip(self._names(), self._core.sample(index)))
        for (name, _, _), target in zip(self._core.target_fields, self._core.targets(index)):
            sample[f"target:{name}" if name else "target"] = target
        if self._labels is not None:
            sample["label"] = self._labels[index]
        return sample

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        return (self[i] for i in range(len(self)))

    def arrays(self, threads: int = 0) -> dict[str, np.ndarray]:
        """All samples: for each array of a sample one with a row per sample, [N, ...]; and "label", int64[N].

        Raises:
            nibble.Error: samples differ in shape.
        """
        arrays = dict(zip(self._names(), self._core.batch(0, len(self), threads)))
        targets = [self._core.targets(i) for i in range(len(self))] if self._core.target_fields else []
        for i, (name, _, _) in enumerate(self._core.target_fields):
            arrays[f"target:{name}" if name else "target"] = np.stack([target[i] for target in targets])
        if self._labels is not None:
            arrays["label"] = self._labels
        return arrays

    def __repr__(self) -> str:
        fields = ", ".join(f"{name + ' ' if name else ''}{dtype}{_extents(shape)}" for name, dtype, shape in self.fields)
        return f"<nibble.Dataset {self._core.describe()}; a sample is {fields}>"

    def _repr_html_(self) -> str:
        rows = [[name or "(the input)", dtype, _extents(shape)] for name, dtype, shape in self.fields]
        return table_html(["array of a sample", "type", "shape"], rows, caption=self._core.describe())


def _extents(shape) -> str:
    return "[...]" if shape is None else "[" + ",".join("?" if extent is None else str(extent) for extent in shape) + "]"


def dataset(
    data: Any,
    split: str = "test",
    *,
    model=None,
    inputs: dict | None = None,
    carry: dict | None = None,
    frame: int = 0,
    hop: int = 0,
    preprocess: dict | str | None = None,
    seed: int = 0,
) -> Dataset:
    """Opens a data set.

    Args:
        data: whatever the verbs take: "digits", a file or folder, an array [N, ...], (X, Y), a dict of arrays, an iterable
            of batches.
        split: "train", "validation" or "test". What is not divided by itself serves all of it as "test", and 90 and 10 % of
            it as "train" and "validation".
        model: for which the samples are meant; images then get its layout and channels.
        inputs, carry, frame, hop, preprocess: see `nibble.quantize`.
        seed: of the division.

    Raises:
        nibble.Error: no such file, an unknown form, damaged files; the sentence names the file.
    """
    from .model import load

    loaded = None if model is None else load(model)
    return Dataset(data, split, DataOptions(inputs, carry, frame, hop, preprocess), loaded, seed)
