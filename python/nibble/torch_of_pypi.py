"""The torch of the extra `train`: the wheel's second libnibble_train was built for it."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path


def wanted() -> str | None:
    """The version that the extra `train` pins; None where Nibble was not installed as a package."""
    try:
        requirements = metadata.requires("nibble") or []
    except metadata.PackageNotFoundError:
        return None
    found = (re.match(r"torch==([0-9.]+)", requirement) for requirement in requirements)
    return next((match[1] for match in found if match), None)


def find() -> str:
    """The path of the libnibble_train for this Python's torch, which is loaded by then; "" where there is no such library, or
    torch is not installed, or is of another version."""
    path = Path(__file__).parent / "lib" / "libnibble_train_pypi.so"
    try:
        fits = path.exists() and metadata.version("torch").split("+")[0] == wanted()
    except metadata.PackageNotFoundError:
        return ""
    if not fits:
        return ""
    import torch  # noqa: F401  (its libraries are found by name from here on)

    return str(path)
