"""Samples: whatever Python holds them in, as the library takes them."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import _core
from .arrays import as_numpy, entry, is_array
from .errors import fail
from .pictures import hold_pictures, is_of_pictures

_NAME = "the data"


class DataOptions:
    """How samples become inputs: the keywords that all verbs with data share."""

    def __init__(self, inputs=None, carry=None, frame=0, hop=0, preprocess=None):
        self.inputs, self.carry, self.frame, self.hop = inputs or {}, carry or {}, frame, hop
        self.preprocess = preprocess

    def divided(self) -> tuple[DataOptions, dict]:
        """Without the inputs that are arrays, and these."""
        own = {name: what for name, what in self.inputs.items() if not isinstance(what, (str, os.PathLike, int, float))}
        files = {name: what for name, what in self.inputs.items() if name not in own}
        return DataOptions(files, self.carry, self.frame, self.hop, self.preprocess), own

    def empty_source(self, spec: str = "") -> _core.Source:
        """Of a spec, or of nothing yet."""
        sources = {name: str(what) for name, what in self.inputs.items()}
        states = {state: output for output, state in self.carry.items()}
        return _core.Source(spec, sources, states, self.frame, self.hop, _preprocess_text(self.preprocess))


def _preprocess_text(preprocess) -> str:
    if preprocess is None:
        return ""
    if isinstance(preprocess, (str, Path)):
        return Path(preprocess).read_text()
    return json.dumps(dict(preprocess), default=float)


def make_source(
    data: Any, options: DataOptions, *, model=None, limit: int = 0, share: float = 1.0, seed: int = 0, parts: bool = False
):
    """The source of samples that `data` stands for.

    `limit`: no more samples are needed than that (0: all), of a part that is this share of them; of what has no end or
    is read one by one, no more are read. `parts`: the verb looks at several parts, also of a Dataset, which is one.
    """
    from .samples import Dataset

    options, own = options.divided()
    if own and data is not None and not isinstance(data, Mapping):
        fail(f"inputs holds arrays ({', '.join(own)}): give all arrays as data, in one dict by the names of the inputs")
    if own:
        data = {**(data or {}), **own}
    if data is None:
        return options.empty_source()
    if isinstance(data, Dataset):
        source = make_source(data._data, data._options, model=model, limit=limit, share=share, seed=seed)
        if not parts:
            source.look_only_at(data.split)
        return source
    if isinstance(data, (str, os.PathLike)):
        return options.empty_source(os.fspath(data))
    source = options.empty_source()
    wanted = 0 if limit <= 0 else math.ceil(limit / share) + 1
    data = _gathered_pictures(data, wanted)
    if _is_sequence(data) and len(data) > 0 and is_of_pictures(data[0]):
        hold_pictures(source, _NAME, data, _chosen(len(data), wanted, seed))
        return source
    arrays = _whole_arrays(data, model)
    if arrays is None and _is_sequence(data) and not isinstance(data, (list, tuple)):
        _hold_map(source, data, model, wanted, seed)
        return source
    if arrays is None:
        if not isinstance(data, Iterable):
            fail(
                f"data is {type(data).__name__}: expected the name of a data set, a file or folder, an array, (X, Y), a "
                "dict of arrays, or an iterable of batches"
            )
        arrays = _read_batches(data, model, wanted)
    if isinstance(arrays, list):
        source.hold_arrays(_NAME, [entry(name, array) for name, array in arrays])
    else:
        source.hold_samples(_NAME, len(arrays.rows), arrays.read)
    return source


def _is_sequence(data: Any) -> bool:
    """Samples or batches by their numbers; arrays and tables are something else."""
    if isinstance(data, Mapping) or is_array(data) and not hasattr(data, "column_names"):
        return False
    return hasattr(data, "__getitem__") and hasattr(data, "__len__") and not hasattr(data, "to_numpy")


def _gathered_pictures(data: Any, wanted: int) -> Any:
    """An iterable of pictures as a list, as far as they are wanted; anything else as it is, nothing of it lost."""
    if not isinstance(data, Iterable) or hasattr(data, "__getitem__"):
        return data
    items = iter(data)
    first = list(itertools.islice(items, 1))
    items = itertools.chain(first, items)
    return list(itertools.islice(items, wanted or None)) if first and is_of_pictures(first[0]) else items


def _chosen(count: int, wanted: int, seed: int) -> list[int]:
    """In order, and by chance where fewer are wanted."""
    return sorted(random.Random(seed).sample(range(count), wanted)) if 0 < wanted < count else list(range(count))


def _is_label(array: np.ndarray) -> bool:
    return array.dtype.kind in "iu" and (array.ndim <= 1 or (array.ndim == 2 and array.shape[1] == 1))


def _whole_arrays(data: Any, model=None) -> list[tuple[str, np.ndarray]] | None:
    """Arrays with a row for each sample; None if `data` is something else."""
    if hasattr(data, "to_numpy") and hasattr(data, "columns"):  # a data frame: as a CSV file
        names = {value["name"] for value in model.inputs} if model is not None else set()
        columns = [column for column in data.columns if column != "label"]
        labels = [("label", as_numpy(data["label"].to_numpy()))] if "label" in data.columns else []
        if set(columns) <= names:
            return [(column, as_numpy(data[column].to_numpy(), column)) for column in columns] + labels
        return [("", as_numpy(data[columns].to_numpy()))] + labels
    if is_array(data) and not hasattr(data, "column_names"):
        return [("", as_numpy(data))]
    if isinstance(data, Mapping):
        return [(str(name), as_numpy(array, str(name))) for name, array in data.items()]
    if isinstance(data, tuple) and len(data) == 2 and all(is_array(part) or isinstance(part, Mapping) for part in data):
        samples, answers = data
        first = _whole_arrays(samples)
        return first + _answers(answers)
    return None


def _answers(answers: Any) -> list[tuple[str, np.ndarray]]:
    if isinstance(answers, Mapping):
        return [(f"target:{name}", as_numpy(array, str(name))) for name, array in answers.items()]
    array = as_numpy(answers)
    return [("label" if _is_label(array) else "target", array)]


def _parts(item: Any, model) -> list[tuple[str, np.ndarray]]:
    """The named arrays of a batch, or of a sample."""
    if isinstance(item, Mapping):  # texts are passed over, as in JSON lines
        kept = {name: array for name, array in item.items() if array is not None and not isinstance(array, str)}
        return [(str(name), as_numpy(array, str(name))) for name, array in kept.items()]
    if isinstance(item, (tuple, list)) and item and (len(item) > 1 or is_array(item[0]) or isinstance(item[0], Mapping)):
        names = [value["name"] for value in model.inputs] if model is not None else [""]
        first = item[0]
        if isinstance(first, Mapping):
            named = [(str(name), as_numpy(array, str(name))) for name, array in first.items()]
            return named + (_answers(item[1]) if len(item) > 1 else [])
        if len(names) == 1:
            names = [""]
        if len(item) not in (len(names), len(names) + 1):
            fail(
                f"a batch has {len(item)} arrays, the model {len(names)} input{'s' if len(names) > 1 else ''}: expected one "
                "for each, and the labels or targets",
                "invalid_data",
            )
        named = [(name, as_numpy(array, name)) for name, array in zip(names, item)]
        return named + (_answers(item[-1]) if len(item) > len(names) else [])
    return [("", as_numpy(item))]


def _is_sample(parts: list[tuple[str, np.ndarray]], model, otherwise: bool) -> bool:
    """One sample rather than a batch of them: its arrays have a dimension less than the inputs."""
    if any(name == "label" and array.ndim == 0 for name, array in parts):  # a batch has one for each row
        return True
    if model is None:
        return otherwise
    ranks = {value["name"]: len(value["shape"]) for value in model.inputs if value["shape"] is not None}
    for name, array in parts:
        rank = ranks.get(name, next(iter(ranks.values())) if name == "" and len(ranks) == 1 else None)
        if rank is not None and array.ndim in (rank, rank - 1):
            return array.ndim == rank - 1
    return otherwise


def _for_the_only_input(parts: list[tuple[str, np.ndarray]], model) -> list[tuple[str, np.ndarray]]:
    """Whatever it is called in the data, the one array that is no answer is for the one input."""
    samples = [name for name, _ in parts if name != "label" and not name.startswith("target")]
    if model is None or len(model.inputs) != 1 or len(samples) != 1:
        return parts
    return [("" if name == samples[0] else name, array) for name, array in parts]


class _Rows:
    """Samples of batches whose shapes differ, kept batch by batch."""

    def __init__(self, batches: list[list[tuple[str, np.ndarray]]]):
        self.batches = batches
        self.rows = [(b, r) for b, batch in enumerate(batches) for r in range(len(batch[0][1]))]

    def read(self, index: int):
        batch, row = self.rows[index]
        return [entry(name, array[row]) for name, array in self.batches[batch]]


def _read_batches(data: Iterable, model, wanted: int):
    """As arrays where all batches agree in shape, else as rows."""
    batches, count = [], 0
    for item in data:
        parts = _for_the_only_input(_parts(item, model), model)
        if _is_sample(parts, model, otherwise=parts[0][1].ndim == 0):
            parts = [(name, array[None]) for name, array in parts]
        rows = {len(array) if array.ndim else 0 for _, array in parts}
        if len(rows) != 1:
            fail(f"batch {len(batches)}: its arrays have {', '.join(map(str, sorted(rows)))} rows", "invalid_data")
        batches.append(parts)
        count += rows.pop()
        if wanted and count >= wanted:
            break
    if not batches:
        fail("the data set is empty: the iterable gave nothing", "invalid_data")
    names = [name for name, _ in batches[0]]
    alike = all(
        [name for name, _ in batch] == names
        and all(a.shape[1:] == b.shape[1:] and a.dtype == b.dtype for (_, a), (_, b) in zip(batch, batches[0]))
        for batch in batches
    )
    if not alike:
        return _Rows(batches)
    if len(batches) == 1:
        return batches[0]
    return [(name, np.concatenate([batch[i][1] for batch in batches])) for i, name in enumerate(names)]


def _hold_map(source, data, model, wanted: int, seed: int) -> None:
    """A data set with random access: samples are read when they are needed."""
    count = len(data)
    if count == 0:
        fail("the data set is empty: its length is 0", "invalid_data")
    if not _is_sample(_parts(data[0], model), model, otherwise=True):
        batches = _read_batches((data[i] for i in range(count)), model, wanted)
        if isinstance(batches, list):
            source.hold_arrays(_NAME, [entry(name, array) for name, array in batches])
        else:
            source.hold_samples(_NAME, len(batches.rows), batches.read)
        return
    chosen = _chosen(count, wanted, seed)

    def read(index: int):
        return [entry(name, array) for name, array in _parts(data[chosen[index]], model)]

    source.hold_samples(_NAME, len(chosen), read)
