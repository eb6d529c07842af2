"""`python -m nibble`: the command line, in this process."""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; the exit code: 0 success, 1 bad input, 2 wrong usage, 3 a mistake in Nibble, 130 stopped."""
    from . import _core

    sys.stdout.flush()
    again = [sys.executable, "-m", "nibble"]
    return _core.run_program(sys.argv[1:] if arguments is None else list(arguments), again)


if __name__ == "__main__":
    sys.exit(main())
