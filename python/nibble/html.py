"""Tables for notebooks and terminals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

_STYLE = (
    "<style>table.nibble{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.5em 0}"
    "div.nibble{font-weight:600;margin-top:.5em}"
    "table.nibble th,table.nibble td{padding:.2em .8em;text-align:left;border-bottom:1px solid rgba(128,128,128,.3)}"
    "table.nibble td.n,table.nibble th.n{text-align:right;white-space:nowrap}</style>"
)


def number(value: Any, digits: int = 4) -> str:
    """Short: 0.9812, 1.2e-07, 1,797; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if math.isnan(value):
        return "undefined"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    size = abs(value)
    if size and (size < 10 ** -digits or size >= 1e6):
        return f"{value:.{digits - 1}e}"
    return f"{value:.{digits}g}" if size < 1000 else f"{value:,.0f}"


def percent(value: float | None, digits: int = 2) -> str:
    """98.40 %"""
    return "" if value is None else f"{100 * value:.{digits}f} %"


def size(count: int) -> str:
    """8.87 MB"""
    units = ["bytes", "KB", "MB", "GB", "TB"]
    amount, unit = float(count), 0
    while amount >= 1000 and unit < len(units) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{count} bytes" if unit == 0 else f"{amount:.3g} {units[unit]}"


def seconds(value: float) -> str:
    """1.23 ms"""
    for factor, unit in ((1e9, "ns"), (1e6, "µs"), (1e3, "ms")):
        if value * factor < 1000:
            return f"{value * factor:.3g} {unit}"
    return f"{value:.3g} s"


def _numeric(rows: Sequence[Sequence[str]], column: int) -> bool:
    cells = [row[column] for row in rows if row[column]]
    return bool(cells) and all(cell[0].isdigit() or cell[0] in "+-∞" for cell in cells)


def table_html(head: Sequence[str], rows: Sequence[Sequence[str]], caption: str = "", notes: Sequence[str] = ()) -> str:
    """An HTML table; cells are texts."""
    right = [_numeric(rows, i) for i in range(len(head))]

    def line(cells, tag):
        return "".join(f'<{tag}{" class=n" if right[i] else ""}>{escape(cell)}</{tag}>' for i, cell in enumerate(cells))

    body = "".join(f"<tr>{line(row, 'td')}</tr>" for row in rows)
    title = f"<div class=nibble>{escape(caption)}</div>" if caption else ""
    below = "".join(f"<div>{escape(note)}</div>" for note in notes)
    return f"{_STYLE}{title}<table class=nibble><thead><tr>{line(head, 'th')}</tr></thead><tbody>{body}</tbody></table>{below}"


def table_text(head: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str] = ()) -> str:
    """A table for a terminal; cells are texts."""
    right = [_numeric(rows, i) for i in range(len(head))]
    widths = [max(len(cell) for cell in column) for column in zip(head, *rows)]

    def line(cells):
        parts = (cell.rjust(width) if r else cell.ljust(width) for cell, width, r in zip(cells, widths, right))
        return "  ".join(parts).rstrip()

    lines = [line(head), "  ".join("-" * width for width in widths)] + [line(row) for row in rows]
    return "\n".join(lines + list(notes))
