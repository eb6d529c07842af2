"""Progress of long work: a bar in a notebook or a terminal, or a function of the caller's."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Callable

Callback = Callable[[str, int, int], None]

_BEFORE_SHOWING = 1.0  # seconds


class _Bar:
    """A bar of tqdm, once the work has lasted for a second; closed at the end of each stage."""

    def __init__(self, make):
        self._make, self._bar, self._stage, self._begin, self._started = make, None, None, 0, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage != self._stage:
            self.close()
            self._stage, self._begin, self._started = stage, done, time.monotonic()
        if self._bar is None and done < total and time.monotonic() - self._started >= _BEFORE_SHOWING:
            self._bar = self._make(total=total, initial=self._begin, desc=stage, leave=False)
        if self._bar is not None:
            self._bar.update(done - self._bar.n)
            if done >= total:
                self.close()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _in_notebook() -> bool:
    shell = sys.modules.get("IPython")
    instance = shell.get_ipython() if shell is not None else None
    return instance is not None and "IPKernelApp" in instance.config


@contextlib.contextmanager
def reporting(progress: bool | Callback | None):
    """What the library calls: nothing, the caller's function, or a bar, which is taken away in the end."""
    callback = _make(progress)
    try:
        yield callback
    finally:
        if isinstance(callback, _Bar):
            callback.close()


def _make(progress):
    if progress is False:
        return None
    if callable(progress):
        return progress
    if progress is None and not (_in_notebook() or sys.stderr.isatty()):
        return None
    try:
        return _Bar(_tqdm())
    except ImportError:
        return None


def _tqdm():
    """That of notebooks where it can draw: it needs ipywidgets, and warns where there are none."""
    if _in_notebook() and importlib.util.find_spec("ipywidgets") is not None:
        from tqdm.notebook import tqdm
    else:
        from tqdm import tqdm
    return tqdm
