"""Anything that holds numbers as a NumPy array that the library can borrow."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import fail


def is_array(thing: Any) -> bool:
    """An array of NumPy, or a tensor of torch, TensorFlow, JAX and the like."""
    return isinstance(thing, np.ndarray) or (hasattr(thing, "dtype") and hasattr(thing, "shape"))


def as_numpy(thing: Any, name: str = "") -> np.ndarray:
    """C-contiguous and in the byte order of the machine; the memory is shared where that is possible."""
    if not isinstance(thing, np.ndarray):
        if hasattr(thing, "detach"):  # torch
            thing = thing.detach().cpu()
            if str(thing.dtype) == "torch.bfloat16":
                thing = thing.float()
            thing = thing.numpy()
        elif hasattr(thing, "numpy"):  # TensorFlow
            thing = thing.numpy()
        else:
            try:
                thing = np.asarray(thing)
            except ValueError as error:
                fail(f"{_called(name)} is no array: {error}", "invalid_data")
    if thing.dtype.hasobject or thing.dtype.kind in "USMmVc" and thing.dtype.name != "bfloat16":
        fail(f"{_called(name)} has elements of the type {thing.dtype}, which no tensor has", "invalid_data")
    if thing.dtype.byteorder == ">":
        thing = thing.astype(thing.dtype.newbyteorder("="))
    # Not np.ascontiguousarray, which turns a scalar into a row.
    return np.require(thing, requirements="C")


def _called(name: str) -> str:
    return f"'{name}'" if name else "the array"


def entry(name: str, thing: Any) -> tuple[str, np.ndarray, str]:
    """An array as the library takes it: its name, its memory, and what its elements are if NumPy cannot say so."""
    array = as_numpy(thing, name)
    if array.dtype.name == "bfloat16":  # of ml_dtypes, which has no buffer
        return name, array.view(np.uint16), "bf16"
    return name, array, ""
