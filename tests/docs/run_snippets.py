"""Tries what README and docs/ show, each document in a folder of its own. Usage: run_snippets.py NIBBLE [DOCUMENT...]

- sh: every command is run, in order, on models and data made for it; one that is not must be named in ELSEWHERE.
- python: run, if the document is in PYTHON, else compiled.
- json: must be JSON; one with a title (```json title="nibble.json") is written to that file.
- cpp, c, cmake: every line must stand in README.md, which tests/cli/readme_test.cpp compiles, or in examples/quickstart or
  examples/embed, which scripts/check_install.sh builds.
- text: the commands in it must have the options that they name.
"""
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
logging.disable(logging.WARNING)
import sample_files  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(sh|python|json|cpp|cmake|c|text)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.M | re.S)
# Beginnings of lines that need more than a folder with models, and what runs them.
ELSEWHERE = {
    "./scripts/": "scripts/test.sh itself, and the demo by tests/cli",
    "python3 -m venv": "tests/python",
    "env/bin/": "tests/python",
    "cmake --install": "scripts/check_install.sh",
    "export PATH=": "this program",
    "python3 -m venv env": "scripts/build_wheel.sh",
    "env/bin/": "tests/python",
    "cd my-project && ./run": "tests/cli/project_test.cpp",
}
PYTHON = ["docs/recipes.md"]
QUICK = {"train": "--epochs 1", "qat": "--epochs 1", "finetune": "--epochs 1", "bench": "--seconds 0.02", "profile": "--runs 3"}


def lines_of(block: str) -> list[str]:
    joined = re.sub(r"\\\n\s*", "", block)
    lines = (re.sub(r"\s+# .*", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def compiled_lines() -> set[str]:
    """The lines of C++ and CMake that other tests build, without white space and comments."""
    sources = [ROOT / "README.md", *(ROOT / "examples/quickstart").iterdir(), *(ROOT / "examples/embed").iterdir()]
    return {squeezed(line) for source in sources for line in source.read_text().splitlines()}


def squeezed(line: str) -> str:
    return re.sub(r"\s+", "", re.sub(r"\s(#\s|//).*", "", line))


def quick(line: str) -> str:
    """The command with as little training and measuring as there can be."""
    verb = re.match(r"(?:\w+=\S+ )*nibble (-*\w+)", line)[1]
    return f"{line} {QUICK[verb]}" if verb in QUICK else line


class Runner:
    folder: Path  # where commands run

    def __init__(self, nibble: str):
        self.count, self.wrong, self.nibble = 0, [], nibble
        self.compiled, self.helps = compiled_lines(), {}
        self.environment = {**os.environ, "PATH": f"{Path(nibble).parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"}

    def run(self, where: str, command: list[str], shown: str) -> None:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        self.count += 1
        if done.returncode:
            self.wrong.append(f"{where}: {shown}\n  exit code {done.returncode}: {done.stderr.strip()[-600:]}")

    def document(self, name: str) -> None:
        for language, title, block in BLOCK.findall((ROOT / name).read_text()):
            if title:
                (self.folder / title).write_text(block)
            if language == "json":
                self.attempt(name, block, json.loads)
            elif language == "python" and name in PYTHON:
                self.run(name, [sys.executable, "-c", block], block)
            elif language == "python":
                self.attempt(name, block, lambda code: compile(code, name, "exec"))
            elif language == "sh":
                self.lines(name, lines_of(block))
            elif language == "text":
                for line in re.findall(r"^(?:\w+=\S+ +)*nibble +(.*)$", block, re.M):
                    self.options_exist(name, line)
            else:
                strange = [line for line in block.splitlines() if squeezed(line) and squeezed(line) not in self.compiled]
                self.count += 1
                self.wrong += [f"{name}: no test builds '{line}'" for line in strange]

    def attempt(self, where: str, block: str, reader) -> None:
        self.count += 1
        try:
            reader(block)
        except (ValueError, SyntaxError) as error:
            self.wrong.append(f"{where}: {error} in\n{block}")

    def options_exist(self, where: str, line: str) -> None:
        """Of a command that is shown, but not run."""
        verb, *words = re.sub(r"\s#.*", "", line).split()
        if not verb.islower():
            return  # "nibble COMMAND"
        if verb not in self.helps:
            self.helps[verb] = subprocess.run([self.nibble, verb, "--help"], capture_output=True, text=True).stdout
        self.count += 1
        for word in words:
            if word.startswith("-") and not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", self.helps[verb]):
                self.wrong.append(f"{where}: nibble {verb} has no option {word}")

    def lines(self, name: str, lines: list[str]) -> None:
        for line in lines:
            if re.match(r"(\w+=\S+ )*nibble ", line):
                self.run(name, ["bash", "-c", quick(line)], line)
            elif not line.startswith(tuple(ELSEWHERE)):
                self.wrong.append(f"{name}: '{line}' is run nowhere")


def main() -> int:
    nibble = str(Path(sys.argv[1]).absolute())
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        given = Path(temporary) / "given"
        given.mkdir()
        sample_files.make(given, nibble, ROOT)
        runner = Runner(nibble)
        for name in sys.argv[2:] or DOCUMENTS:
            runner.folder = Path(shutil.copytree(given, Path(temporary) / Path(name).stem, symlinks=True))
            runner.document(name)
    print("\n".join(runner.wrong), end="\n" if runner.wrong else "")
    print(f"{runner.count} snippets, {len(runner.wrong)} wrong, {time.monotonic() - began:.0f} s")
    return bool(runner.wrong) or runner.count == 0


if __name__ == "__main__":
    sys.exit(main())
