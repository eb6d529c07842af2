"""Pictures of PIL, as torchvision's data sets and Hugging Face's serve them: preprocessed as files of pictures are."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import fail

_GREY = ("1", "L", "LA", "La")


def is_picture(thing: Any) -> bool:
    """An image of PIL."""
    return all(hasattr(thing, name) for name in ("mode", "size", "convert", "getbands"))


def is_of_pictures(sample: Any) -> bool:
    """A picture, or one with its label: {"image": picture, "label": 3} or (picture, 3)."""
    return _divided(sample) is not None


def _divided(sample: Any) -> tuple[Any, Any] | None:
    """The picture of a sample, and its label or None."""
    if is_picture(sample):
        return sample, None
    if isinstance(sample, Mapping):
        names = [name for name, value in sample.items() if is_picture(value)]
        if len(names) > 1:
            fail(f"a sample has the pictures {', '.join(map(str, names))}: expected one", "invalid_data")
        return (sample[names[0]], sample.get("label", sample.get("labels"))) if names else None
    if isinstance(sample, (tuple, list)) and sample and is_picture(sample[0]):
        return sample[0], sample[1] if len(sample) > 1 else None
    return None


def _bytes(picture: Any) -> np.ndarray:
    """u8 [height, width] or [height, width, 3]."""
    if picture.mode.startswith(("I", "F")):
        fail(f"a picture has the mode {picture.mode}, whose values are no bytes: convert it, or give arrays", "invalid_data")
    return np.ascontiguousarray(np.asarray(picture.convert("L" if picture.mode in _GREY else "RGB"), dtype=np.uint8))


def _label(value: Any, index: int) -> int:
    try:
        return operator.index(value.item() if hasattr(value, "item") else value)
    except TypeError:
        fail(f"sample {index}: the label {value!r} is no integer", "invalid_data")


def _class_names(data: Any) -> list[str]:
    feature = (getattr(data, "features", None) or {}).get("label")
    names = getattr(feature, "names", None) or getattr(data, "classes", None) or []
    return [str(name) for name in names]


def _labels(data: Any, chosen: list[int]) -> list[int]:
    """Of the samples chosen; empty where there are none."""
    if "label" in (getattr(data, "column_names", None) or ()):  # without decoding the pictures
        column = data["label"]
        labels = [column[index] for index in chosen]
    else:
        labels = [_divided(data[index])[1] for index in chosen]
    if any(label is None for label in labels):
        missing = next(i for i, label in zip(chosen, labels) if label is None)
        if all(label is None for label in labels):
            return []
        fail(f"sample {missing} has no label, others have one", "invalid_data")
    numbers = [_label(label, index) for label, index in zip(labels, chosen)]
    return [] if all(number == -1 for number in numbers) else numbers  # how data sets say: not known


def hold_pictures(source, name: str, data: Any, chosen: list[int]) -> None:
    """Puts the samples `chosen` of a sequence of pictures into the source; they are decoded when they are read."""

    def read(index: int):
        divided = _divided(data[chosen[index]])
        if divided is None:
            fail(f"sample {chosen[index]} is no picture, as the first one is", "invalid_data")
        return [("", _bytes(divided[0]), "")]

    source.hold_pictures(name, len(chosen), _labels(data, chosen), _class_names(data), read)
