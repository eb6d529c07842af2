"""The examples of docs/python.md and of the README, run in the order in which they stand."""

import re
from pathlib import Path

import pytest

import nibble

ROOT = Path(__file__).resolve().parents[2]


def blocks_of(document):
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / document).read_text(), re.S | re.M)


@pytest.mark.parametrize("document", ["docs/python.md", "README.md"])
def test_the_examples_of_a_document_run(document, proto, tmp_path, monkeypatch, capsys):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(proto.SerializeToString())
    names = {}
    blocks = blocks_of(document)
    assert blocks
    for block in blocks:
        try:
            exec(compile(block, f"{document}: {block[:60]!r}", "exec"), names)  # noqa: S102
        except nibble.Error as error:
            if "libtorch" not in str(error):
                raise
    matplotlib.pyplot.close("all")
    printed = capsys.readouterr().out
    assert "98.60 % [97.14, 99.44]" in printed
