"""`python -m nibble`: the command line, in this process."""

from __future__ import annotations

import sys

# The module without the package: what is measured in a process of its own (memory, by `bench`) holds no NumPy.
_ALONE = """
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.ExtensionFileLoader("_core", {path!r})
core = importlib.util.module_from_spec(importlib.util.spec_from_loader("_core", loader))
loader.exec_module(core)
sys.exit(core.run_program(sys.argv[1:], []))
"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line, whose output goes to that of the process; the exit code: 0 success, 1 bad input, 2 wrong usage, 3 a mistake in Nibble, 130 stopped."""
    from . import _core

    sys.stdout.flush()
    again = [sys.executable, "-c", _ALONE.format(path=_core.__file__)]
    return _core.run_program(sys.argv[1:] if arguments is None else list(arguments), again)


if __name__ == "__main__":
    sys.exit(main())
