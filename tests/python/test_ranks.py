"""Scripts that are launched as several ranks: the same results as alone, on every rank."""

import json
import subprocess
import sys

import pytest

import nibble

SCRIPT = """
import json, sys
import nibble

model, folder = sys.argv[1:]
small = nibble.quantize(model, "digits", weights=4, calibration=100)
judged = nibble.evaluate([model, small], "digits", samples=200)
result = {"rank": nibble.rank(), "ranks": nibble.ranks(), "bytes": small.to_bytes().hex(), "judged": judged.to_dict()}
with open(f"{folder}/{nibble.ranks()}-{nibble.rank()}.json", "w") as file:
    json.dump(result, file)
"""


@pytest.fixture
def model(tmp_path):
    try:
        trained = nibble.train("digits-cnn", "digits", epochs=1, threads=1)
    except nibble.Error as error:
        pytest.skip(str(error))
    path = tmp_path / "float.onnx"
    trained.model.save(path)
    return path


def test_every_rank_gets_what_one_process_gets(model, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    alone = [sys.executable, str(script), str(model), str(tmp_path)]
    subprocess.run(alone, check=True)
    subprocess.run([sys.executable, "-m", "nibble", "launch", "-n", "2", *alone], check=True)
    wanted = json.loads((tmp_path / "1-0.json").read_text())
    for rank in range(2):
        got = json.loads((tmp_path / f"2-{rank}.json").read_text())
        assert (got["rank"], got["ranks"]) == (rank, 2)
        assert got["bytes"] == wanted["bytes"]
        assert got["judged"] == wanted["judged"]


def test_a_process_that_nobody_launched_is_alone():
    assert (nibble.rank(), nibble.ranks()) == (0, 1)
