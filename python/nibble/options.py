"""Keyword arguments that are the keys of the library's tables of options: a new row of a table is a new keyword here."""

from __future__ import annotations

import inspect
import json
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _core

_TYPES = {"toggle": "bool", "integer": "int", "number": "float", "choice": "str", "text": "str", "list": "list[str]"}


def _annotation(row: dict) -> str:
    kind = "int" if isinstance(_default(row), int) and row["kind"] == "choice" else _TYPES[row["kind"]]
    optional = row["default"] is None or "none" in [choice["name"] for choice in row.get("choices", [])]
    return kind + " | None" if optional else kind



def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (tuple, set)):
        return list(value)
    if hasattr(value, "__fspath__"):
        return value.__fspath__()
    return value


def to_json(options: dict[str, Any], rows: list[dict]) -> str:
    """The options that are given, for the library to check. None is the default, or "none" where that is a choice."""
    known = {row["key"]: row for row in rows}
    given = {}
    for key, value in options.items():
        value = _plain(value)
        row = known.get(key)
        if value is None:
            if row is None or "none" not in [choice["name"] for choice in row.get("choices", [])]:
                continue
            value = "none"
        if row is not None and row["kind"] == "list" and isinstance(value, str):
            value = [value]
        given[key] = value
    return json.dumps(given)


def split(options: dict[str, Any], *tables: list[dict]) -> list[dict[str, Any]]:
    """The options by the table that has them; what none has goes to the last, which refuses it."""
    parts: list[dict[str, Any]] = [{} for _ in tables]
    for key, value in options.items():
        at = next((i for i, rows in enumerate(tables) if key in [row["key"] for row in rows]), len(tables) - 1)
        parts[at][key] = value
    return parts


def _explained(row: dict) -> str:
    help_text = row["help"]
    if row["kind"] == "toggle" and row["flag_value"] is False:  # the command line says what the flag switches off
        help_text = "False: " + help_text[0].lower() + help_text[1:]
    return textwrap.fill(f"{row['key']}: {help_text}.", 116, subsequent_indent="    ", break_long_words=False)


def _default(row: dict) -> Any:
    value = row["default"]
    return int(value) if row["kind"] == "choice" and str(value).isdigit() else value


def documented(*tables: Callable[[], list[dict]], without: tuple[str, ...] = ()) -> Callable:
    """A decorator: the options of the tables stand in the signature and, for {options}, in the docstring."""
    rows = [row for table in tables for row in table() if row["key"] not in without]

    def decorate(function: Callable) -> Callable:
        text = "\n".join(textwrap.indent(_explained(row), "        ") for row in rows).strip()
        function.__doc__ = (function.__doc__ or "").replace("{options}", text)
        signature = inspect.signature(function)
        kept = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
        names = {parameter.name for parameter in kept}
        added = [
            inspect.Parameter(
                row["key"], inspect.Parameter.KEYWORD_ONLY, default=_default(row), annotation=_annotation(row)
            )
            for row in rows
            if row["key"] not in names
        ]
        function.__signature__ = signature.replace(parameters=kept + added)
        return function

    return decorate


quantize_rows = _core.quantize_options
goal_rows = _core.goal_options
train_rows = _core.train_options
