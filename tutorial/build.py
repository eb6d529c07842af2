"""Makes Quantization_Tutorial.ipynb out of chapters/*.py, executes it, and checks it.

    build.py            assemble, execute, check, write the notebook with its outputs
    build.py --check    assemble, execute, check; and compare the committed notebook's text with the chapters, and the pictures of
                        docs/concepts.md with the notebook's
    build.py --figures  write these pictures (docs/figures/tutorial/CELL.png) anew out of the committed notebook, as all do
    build.py --only 3   assemble and execute up to chapter 3, into the folder for temporary files (for writing)

The chapters are text in jupytext's percent format: a cell begins with "# %%" or "# %% [markdown]". Two tags mean something:
- "solution": code that solves the exercise before it. It is executed, in a copy of the names so far, so that nothing later can
  need it; the notebook shows code and printed output folded away in a <details> block.
- "hidden": code whose text Jupyter folds away (pictures, mostly); its output is shown.
"""

import argparse
import base64
import contextlib
import re
import resource
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from traitlets.config import Config

HERE = Path(__file__).resolve().parent
NOTEBOOK = HERE / "Quantization_Tutorial.ipynb"
DOCS = HERE.parent / "docs"
# Of the whole notebook. It counts the seconds that its processes computed, on all cores together: they say what it takes on a
# machine that does nothing else, whatever this one does besides.
LIMIT_S = 300


def is_solution(cell):
    return "solution" in cell.metadata.get("tags", [])


def assemble(last_chapter=99):
    """The notebook without outputs, its solutions still cells of code."""
    book = nbformat.v4.new_notebook()
    for path in sorted((HERE / "chapters").glob("[0-9][0-9]_*.py")):
        if int(path.name[:2]) > last_chapter:
            continue
        for number, cell in enumerate(jupytext.read(path, fmt="py:percent").cells):
            tags = cell.metadata.get("tags", [])
            metadata = {"tags": tags} if tags else {}
            if "hidden" in tags:
                metadata["jupyter"] = {"source_hidden": True}
            # Identifiers that do not change from one assembly to the next keep differences readable.
            make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
            book.cells.append(make(cell.source, metadata=metadata, id=f"{path.stem.replace('_', '-')}-{number}"))
    book.metadata["kernelspec"] = {"display_name": "Python 3", "language": "python", "name": "python3"}
    book.metadata["language_info"] = {"name": "python"}
    return book


def execute(book):
    """Runs all cells in one kernel, in the folder of the notebook. Returns the seconds it computed, and those that passed."""
    sources = {}
    for cell in book.cells:
        if is_solution(cell):
            sources[cell.id] = cell.source
            cell.source = f"exec(compile({cell.source!r}, 'solution', 'exec'), dict(globals()))"
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        with tempfile.TemporaryDirectory() as sockets:
            # Sockets of this machine, not TCP, where others could listen.
            config = Config({"KernelManager": {"transport": "ipc", "ip": f"{sockets}/kernel"}})
            resources = {"metadata": {"path": str(HERE)}}
            # A cell may wait long for other work on the machine.
            NotebookClient(book, timeout=4 * LIMIT_S, kernel_name="python3", resources=resources, config=config).execute()
    finally:
        for cell in book.cells:
            cell.source = sources.get(cell.id, cell.source)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.monotonic() - started


def fold_solution(cell):
    """The markdown cell that shows a solution and what it printed."""
    printed = "".join(output.get("text", "") for output in cell.get("outputs", []) if output.output_type == "stream")
    text = f"<details><summary><b>Solution</b> (click to open)</summary>\n\n```python\n{cell.source}\n```\n"
    if printed:
        text += f"\nprints\n\n```\n{printed.rstrip()}\n```\n"
    return nbformat.v4.new_markdown_cell(text + "\n</details>", metadata={"tags": ["solution"]}, id=cell.id)


def finish(book):
    """Folds the solutions, and leaves out what differs from run to run without meaning anything."""
    book.cells = [fold_solution(cell) if is_solution(cell) else cell for cell in book.cells]
    count = 0
    for cell in book.cells:
        cell.metadata.pop("execution", None)  # the times of day
        if cell.cell_type != "code":
            continue
        count += 1
        cell.execution_count = count if cell.source.strip() else None
        for output in cell.outputs:
            if output.output_type == "execute_result":
                output.execution_count = cell.execution_count
    return book


def complaints(book, seconds):
    """What is wrong with an executed and finished notebook, in sentences."""
    found = []
    if seconds > LIMIT_S:
        found.append(f"it computed for {seconds:.0f} s, more than {LIMIT_S} s")
    claim = re.compile(r"bit for bit|to the last bit", re.IGNORECASE)
    for index, cell in enumerate(book.cells):
        if cell.cell_type == "markdown" and "solution" not in cell.metadata.get("tags", []):
            # A claim of equality stands beside the cell that asserts it: one of the three around it.
            rule = cell.id.startswith("00-")  # says what such a claim means
            if claim.search(cell.source) and not rule and not any("assert " in near.source for near in book.cells[max(0, index - 2) : index + 4]):
                found.append(f"cell {cell.id} claims equality, and no cell beside it asserts that")
            continue
        if cell.cell_type != "code":
            continue
        for output in cell.outputs:
            if output.output_type == "error":
                found.append(f"cell {cell.id} failed: {output.ename}: {output.evalue}")
            text = output.get("text", "") + str({k: v for k, v in output.get("data", {}).items() if k.startswith("text/")})
            path = re.search(r"(?<![\w.])/(?:tmp|home|root|work|Users)/[^\s'\"]*", text)
            if path:
                found.append(f"cell {cell.id} shows a path of this machine: {path.group()}")
            if output.output_type == "stream" and output.name == "stderr":
                found.append(f"cell {cell.id} wrote to stderr: {output.text.strip()[:200]}")
    return found


def same_text(fresh, committed):
    """Whether two notebooks hold the same cells; outputs, and what solutions print, may differ."""

    def texts(book):
        for cell in book.cells:
            solution = "solution" in cell.metadata.get("tags", [])
            yield cell.cell_type, cell.source.split("\nprints\n")[0].split("\n</details>")[0] if solution else cell.source

    return list(texts(fresh)) == list(texts(committed))


def figures(book):
    """What docs/concepts.md shows of the notebook: {file: its bytes}."""
    pictures = {}
    for name in re.findall(r"\(figures/tutorial/([\w-]+)\.png\)", (DOCS / "concepts.md").read_text(encoding="utf-8")):
        outputs = next((cell.outputs for cell in book.cells if cell.id == name and cell.cell_type == "code"), [])
        found = [output.data["image/png"] for output in outputs if "image/png" in output.get("data", {})]
        pictures[DOCS / "figures/tutorial" / f"{name}.png"] = base64.b64decode(found[0]) if found else None
    return pictures


def write_figures(book):
    for path, content in figures(book).items():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--only", type=int, metavar="N")
    parser.add_argument("--figures", action="store_true")
    arguments = parser.parse_args()
    if arguments.figures:
        write_figures(nbformat.read(NOTEBOOK, as_version=4))
        return 0
    book = assemble(99 if arguments.only is None else arguments.only)
    target = NOTEBOOK if arguments.only is None else Path(tempfile.gettempdir()) / NOTEBOOK.name
    failure = None
    try:
        seconds, passed = execute(book)
    except CellExecutionError as error:
        failure, seconds, passed = error, 0, 0
    book = finish(book)
    problems = complaints(book, seconds)
    if failure:
        problems = [re.sub(r"\x1b\[[0-9;]*m", "", str(failure).split("\n------------------\n")[-1]).strip()]
    if not any(cell.cell_type == "code" and cell.outputs for cell in book.cells):
        problems.append("no cell has an output")
    if arguments.check:
        committed = nbformat.read(NOTEBOOK, as_version=4)
        if not same_text(book, committed):
            problems.append("the notebook is not what the chapters say: run scripts/build_tutorial.sh and commit it")
        for path, content in figures(committed).items():
            if content is None or not path.exists() or path.read_bytes() != content:
                problems.append(f"{path.relative_to(DOCS)} is not the notebook's: run scripts/build_tutorial.sh --figures and commit it")
    elif not problems or arguments.only is not None:
        with contextlib.closing(open(target, "w", encoding="utf-8")) as file:
            nbformat.write(book, file)
        if target == NOTEBOOK:
            write_figures(book)
    for problem in problems:
        print(f"tutorial: {problem}", file=sys.stderr)
    cells = sum(cell.cell_type == "code" for cell in book.cells)
    print(f"tutorial: {cells} cells of code, {seconds:.0f} s of computing in {passed:.0f} s" + ("" if arguments.check else f", {target.name}"))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
