"""What results have in common."""

from __future__ import annotations

import json
import math
from typing import Any

from .html import table_html, table_text


def require(module: str, what: str):
    """The module, imported now; a sentence that says what needs it if it is not installed."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{what} needs the package {module.split('.')[0]}: pip install {module.split('.')[0]}") from error


def _finite(thing: Any) -> Any:
    if isinstance(thing, dict):
        return {key: _finite(value) for key, value in thing.items()}
    if isinstance(thing, list):
        return [_finite(value) for value in thing]
    return None if isinstance(thing, float) and not math.isfinite(thing) else thing


class Result:
    """A result: prints as a table, shows as one in a notebook, and becomes a dict or a pandas.DataFrame."""

    def to_dict(self) -> dict:
        """Everything, in dicts, lists, strings and numbers: what `nibble ... --json` prints. Infinite numbers stay infinite."""
        raise NotImplementedError

    def to_json(self, indent: int | None = 2) -> str:
        """The same as JSON, which has no numbers that are infinite or undefined: they become null."""
        return json.dumps(_finite(self.to_dict()), indent=indent, allow_nan=False)

    def to_pandas(self):
        """The rows as a pandas.DataFrame; needs pandas."""
        return require("pandas", "to_pandas()").DataFrame(self._records())

    def _records(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _table(self) -> tuple[list[str], list[list[str]]]:
        raise NotImplementedError

    def _title(self) -> str:
        return ""

    def _below(self) -> list[str]:
        return []

    def __str__(self) -> str:
        title = [self._title()] if self._title() else []
        return "\n".join(title + [table_text(*self._table(), notes=self._below())])

    def __repr__(self) -> str:
        return f"<nibble.{type(self).__name__}>\n{self}"

    def _repr_html_(self) -> str:
        return table_html(*self._table(), caption=self._title(), notes=self._below())
