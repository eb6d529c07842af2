"""The notebook of the project template runs from top to bottom on the project as it is."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
RUN = """
import json
import matplotlib
matplotlib.use("Agg")
scope = {"__name__": "__main__"}
for cell in json.load(open("notebook.ipynb"))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), scope)
rows = list(scope["nibble"].evaluate([scope["float_model"], scope["small"], scope["four"]], **scope["data"]))
print(json.dumps([row.value for row in rows] + [scope["small"].size / scope["float_model"].size]))
"""


def test_the_templates_notebook_runs(tmp_path):
    program = REPOSITORY / "build/bin"
    if not (program / "nibble").exists() or not list((REPOSITORY / "build/lib").glob("libnibble_train*")):
        pytest.skip("needs the program nibble, with training")
    project = tmp_path / "project"
    shutil.copytree(REPOSITORY / "template", project, ignore=shutil.ignore_patterns("*.onnx", "__pycache__"))
    environment = {**os.environ, "PATH": f"{program}:{os.environ['PATH']}"}
    run = subprocess.run([sys.executable, "-c", RUN], cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    *accuracies, size = json.loads(run.stdout.splitlines()[-1])
    assert min(accuracies) > 0.95 and size < 0.35


def test_the_notebook_is_committed_without_outputs():
    cells = json.loads((REPOSITORY / "template/notebook.ipynb").read_text())["cells"]
    assert not any(cell.get("outputs") for cell in cells)
