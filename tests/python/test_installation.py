"""What an installed package brings along."""

import sys
from importlib import metadata
from pathlib import Path

import pytest

import nibble
from nibble import torch_of_pypi


@pytest.fixture
def installed(monkeypatch, tmp_path):
    """Pretends that Nibble and torch are installed as packages: installed(torch=VERSION, library=whether the wheel has its own)."""

    def pretend(torch, library):
        def version(name):
            if name == "torch" and torch is not None:
                return torch
            raise metadata.PackageNotFoundError(name)

        monkeypatch.setattr(metadata, "requires", lambda name: ["numpy", 'torch==2.15.0; extra == "train"'])
        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(torch_of_pypi, "__file__", str(tmp_path / "torch_of_pypi.py"))
        if library:
            (tmp_path / "lib").mkdir()
            (tmp_path / "lib/libnibble_train_pypi.so").touch()

    return pretend


def test_the_types_of_the_module_are_beside_it():
    stub = Path(nibble._core.__file__).parent / "_core.pyi"
    text = stub.read_text()
    missing = [name for name in vars(nibble._core) if not name.startswith("_") and name not in text]
    assert not missing


def test_the_torch_that_is_wanted_is_the_one_that_the_extra_pins(installed):
    installed(torch=None, library=False)
    assert torch_of_pypi.wanted() == "2.15.0"


@pytest.mark.parametrize(("torch", "library"), [(None, True), ("2.14.1", True), ("2.15.0", False)])
def test_training_does_without_a_torch_that_does_not_fit(installed, torch, library):
    installed(torch, library)
    assert torch_of_pypi.find() == ""


def test_the_torch_that_fits_is_imported_first(installed, monkeypatch, tmp_path):
    installed("2.15.0+cpu", library=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    (tmp_path / "torch.py").write_text("raise OSError('libcudart is missing')")
    with pytest.raises(OSError, match="libcudart"):
        torch_of_pypi.find()
    (tmp_path / "torch.py").write_text("")
    assert torch_of_pypi.find() == str(tmp_path / "lib/libnibble_train_pypi.so")
    sys.modules.pop("torch")
