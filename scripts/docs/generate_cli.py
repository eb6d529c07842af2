"""Writes docs/cli.md, docs/nibble.1 and completions/ from what the program's help says, or checks that they say it.

Usage: generate_cli.py NIBBLE [--fix]
"""
import difflib
import pathlib
import sys

import cli_help
import cli_page
import completions
import man_page

ROOT = pathlib.Path(__file__).resolve().parents[2]


def files(program: str) -> dict[str, str]:
    commands = cli_help.read_program(program)
    return {
        "docs/cli.md": cli_page.page(commands),
        "docs/nibble.1": man_page.page(commands, cli_help.version_of(program)),
        "completions/nibble.bash": completions.bash(commands),
        "completions/_nibble": completions.zsh(commands),
        "completions/nibble.fish": completions.fish(commands),
    }


def main() -> int:
    program, fix = sys.argv[1], "--fix" in sys.argv[2:]
    stale = []
    for name, text in files(program).items():
        path = ROOT / name
        committed = path.read_text() if path.exists() else ""
        if committed == text:
            continue
        if fix:
            path.write_text(text)
            continue
        stale.append(name)
        sys.stdout.writelines(difflib.unified_diff(committed.splitlines(True), text.splitlines(True), name, "the program", n=1))
    if stale:
        print(f"{', '.join(stale)} differ from the program's help; scripts/check_cli_docs.sh --fix writes them anew")
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
