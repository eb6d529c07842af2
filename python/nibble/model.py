"""Models: loaded, made by a verb, saved."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core
from .errors import fail
from .html import number, size, table_html, table_text


@dataclass(frozen=True)
class Value:
    """An input or output of a model.

    Attributes:
        name: in the file.
        dtype: of the elements: "f32", "i64", "u8", "bool", ...
        shape: an int for each extent that is known, else the name that the file gives it, or None. None if not even the
            rank is known.
        type: all of it, as messages have it: "f32[?,1,8,8] as u8".
    """

    name: str
    dtype: str
    shape: list[int | str | None] | None
    type: str


@dataclass(frozen=True)
class Layer:
    """A weight of a layer, and how it and the layer's data are stored; 32 bits are reals.

    Attributes:
        node, op: of the layer.
        weight: the name of the constant; `model.constant(layer.weight)` has it.
        shape, parameters: of the constant.
        weight_bits, activation_bits: of the weight and of the data that the layer reads.
        weight_type: "f32[8,1,3,3] as i8 per channel(0)".
        data_type: of the data that the layer reads.
    """

    node: str
    op: str
    weight: str
    shape: list[int]
    parameters: int
    weight_bits: int
    activation_bits: int
    weight_type: str
    data_type: str


@dataclass(frozen=True)
class Constant:
    """A constant of a model.

    Attributes:
        data: as it is stored: reals, or codes. It borrows the model's memory and cannot be written to.
        scale, zero_point: of a quantized one: `real = scale * (code - zero_point)`; float32[k] and int32[k], k being 1, the
            extent of `axis`, or the number of blocks. None for reals.
        bits: that the codes need; None for reals.
        granularity: "per_tensor", "per_channel" or "per_block"; None for reals.
        axis, block_size: along which scales stand, and how many share one.
    """

    data: np.ndarray
    scale: np.ndarray | None = None
    zero_point: np.ndarray | None = None
    bits: int | None = None
    granularity: str | None = None
    axis: int = 0
    block_size: int = 0

    @property
    def values(self) -> np.ndarray:
        """The reals that the constant stands for, float32 where it is quantized."""
        if self.scale is None:
            return self.data
        scale, zero = self.scale, self.zero_point
        if self.granularity == "per_channel":
            shape = [1] * self.data.ndim
            shape[self.axis] = -1
            scale, zero = scale.reshape(shape), zero.reshape(shape)
        elif self.granularity == "per_block":
            blocks = list(self.data.shape)
            extent = blocks[self.axis]
            blocks[self.axis] = -(-extent // self.block_size)
            spread = [np.repeat(part.reshape(blocks), self.block_size, self.axis) for part in (scale, zero)]
            scale, zero = (part.take(range(extent), self.axis) for part in spread)
        return (scale * (self.data.astype(np.float32) - zero.astype(np.float32))).astype(np.float32)


class Model:
    """A network that nobody changes: verbs give new ones. Made by `nibble.load` and by the verbs.

    Attributes:
        name: what tables and messages call it: the path it was loaded from, say.
        target: the runtime that it is made for: what `save` writes if nothing else is said.
        notes: of a quantized model: what the user should know, in sentences.
        left_in_float: of a quantized model: {"node", "op", "parameters", "reason"} of each layer that was not quantized.
    """

    def __init__(self, core, name: str, path: str | None = None, target: str = "onnxruntime", report: dict | None = None):
        self._core, self._path, self.name, self.target = core, path, name, target
        self._report = report or {}
        self._size: int | None = None

    @property
    def notes(self) -> list[str]:
        return list(self._report.get("notes", []))

    @property
    def left_in_float(self) -> list[dict]:
        return list(self._report.get("skipped", []))

    @property
    def report(self) -> dict:
        """What the verb that made the model says of it, as `--json` prints it; empty for a model that was loaded."""
        return self._report

    @property
    def inputs(self) -> list[Value]:
        return [Value(**value) for value in self._core.inputs]

    @property
    def outputs(self) -> list[Value]:
        return [Value(**value) for value in self._core.outputs]

    @property
    def layers(self) -> list[Layer]:
        """Layers with weights, in the order in which they run; those in bodies of If, Loop and Scan come last, by their paths."""
        return [Layer(**layer) for layer in self._core.layers()]

    @property
    def quantized(self) -> bool:
        """Some value of it is represented by integers."""
        return self._core.quantized

    @property
    def metadata(self) -> dict[str, str]:
        """What the file says in metadata_props; "nibble.preprocess" is how images become inputs."""
        return self._core.metadata

    @property
    def provenance(self) -> list[dict]:
        """The steps that made the model, as its file tells them: the options, seed and data of each.

        docs/file-format.md names the keys. Empty for models that Nibble did not quantize.
        `python -m nibble reproduce` makes a quantized one again.
        """
        stored = self.metadata.get("nibble.provenance")
        return json.loads(stored)["steps"] if stored else []

    @property
    def opset(self) -> int:
        return self._core.opset

    @property
    def size(self) -> int:
        """Bytes of the file, and of those that hold its constants; of a model that is no file yet, of the one that `save` would write."""
        if self._size is None:
            on_disk = _core.file_size(self._path) if self._path is not None else None
            self._size = len(self.to_bytes()) if on_disk is None else on_disk
        return self._size

    def constants(self) -> dict[str, Constant]:
        """All constants by name."""
        return {name: self.constant(name) for name in self._core.constants()}

    def constant(self, name: str) -> Constant:
        """One constant. Raises nibble.Error if there is none of this name."""
        data, quant = self._core.constant(name)
        if quant is None:
            return Constant(data)
        return Constant(
            data,
            np.array(quant["scale"], np.float32),
            np.array(quant["zero_point"], np.int32),
            quant["bits"],
            quant["granularity"],
            quant["axis"],
            quant["block_size"],
        )

    def save(self, path: str | os.PathLike, target: str | None = None) -> "Model":
        """Writes an ONNX file in QDQ form; it is complete or untouched. A model of more than 2 GB gets its constants in a
        second file, PATH.data.

        Args:
            path: of the file.
            target: the runtime it is meant for, one of `nibble.targets()`; None: that of the model.

        Returns:
            This model.

        Raises:
            nibble.Error: the target does not have a type or an operator, or the file cannot be written.
        """
        self._core.save(os.fspath(path), target or self.target)
        return self

    def to_bytes(self, target: str | None = None) -> bytes:
        """The same as bytes."""
        return self._core.serialize(target or self.target)

    def to_onnx(self, target: str | None = None):
        """The same as onnx.ModelProto; needs the package onnx."""
        import onnx

        return onnx.load_model_from_string(self.to_bytes(target))

    def __reduce__(self):  # pickled, and so given to other processes, as the bytes of a file
        return _restored, (self.to_bytes(), self.name, self.target, self._report)

    def profile(self, **options):
        """Where the time of an inference goes: `nibble.profile` of this model, with its keyword arguments."""
        from .profiling import profile

        return profile(self, **options)

    def text(self) -> str:
        """The graph, a line for each node."""
        return self._core.text()

    def _table(self):
        head = ["layer", "operator", "parameters", "weights", "data"]
        rows = [
            [one.node, one.op, number(one.parameters), _bits(one.weight_bits), _bits(one.activation_bits)]
            for one in self.layers
        ]
        return head, rows

    def _title(self) -> str:
        sides = " -> ".join(", ".join(f"{value.name} {value.type}" for value in side) for side in (self.inputs, self.outputs))
        return f"{self.name}: {size(self.size)}, {sides}"

    def _below(self) -> list[str]:
        left = [f"left in float: {one['node']} ({one['op']}): {one['reason']}" for one in self.left_in_float]
        return left + [note + "." for note in self.notes]

    def __repr__(self) -> str:
        return f"<nibble.Model {self._title()}>"

    def __str__(self) -> str:
        return self._title() + "\n" + table_text(*self._table(), notes=self._below())

    def _repr_html_(self) -> str:
        return table_html(*self._table(), caption=self._title(), notes=self._below())


def _restored(data: bytes, name: str, target: str, report: dict) -> Model:
    return Model(_core.Model.parse(data, ""), name, target=target, report=report)


def _bits(bits: int) -> str:
    return "float" if bits >= 32 else f"{bits} bits"


def load(source: Any, *, example_inputs: Any = None, name: str | None = None) -> Model:
    """Reads a model.

    Args:
        source: the path of an ONNX file (external data beside it), its bytes, an onnx.ModelProto, or a torch.nn.Module,
            which is exported (needs torch with its ONNX exporter). A Model is returned as it is.
        example_inputs: for a torch.nn.Module: a tensor, or a tuple of them, as it takes them; the first dimension is that of
            the batch and stays open.
        name: what tables and messages call it; None: the path.

    Raises:
        nibble.Error: the file cannot be read, is damaged, or holds what Nibble does not have; the sentence names it.
    """
    if isinstance(source, Model):
        return source
    if isinstance(source, (str, os.PathLike)):
        path = os.fspath(source)
        return Model(_core.Model.load(path), name or path, path)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return Model(_core.Model.parse(bytes(source), ""), name or "the model")
    if hasattr(source, "SerializeToString") and hasattr(source, "graph"):  # onnx.ModelProto
        graph = source.graph.name or "the model"
        return Model(_core.Model.parse(source.SerializeToString(), ""), name or graph)
    if hasattr(source, "state_dict") and hasattr(source, "forward"):  # torch.nn.Module
        return Model(_core.Model.parse(_exported(source, example_inputs), ""), name or type(source).__name__)
    fail(f"a model is a path, bytes, an onnx.ModelProto, a torch.nn.Module or a nibble.Model, not {type(source).__name__}")


def _exported(module, example_inputs) -> bytes:
    import torch

    if example_inputs is None:
        fail("a torch.nn.Module needs example_inputs: a tensor, or a tuple of them, as it takes them")
    examples = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    names = [f"input{i}" if len(examples) > 1 else "input" for i in range(len(examples))]
    was_training = module.training
    module.eval()
    file = io.BytesIO()
    arguments: dict[str, Any] = {
        "input_names": names,
        "dynamic_axes": {name: {0: "N"} for name in names},
    }
    try:
        try:
            torch.onnx.export(module, examples, file, dynamo=False, **arguments)
        except TypeError:  # before torch 2.5 there was one exporter
            torch.onnx.export(module, examples, file, **arguments)
    finally:
        module.train(was_training)
    return file.getvalue()


def load_all(models: Any) -> tuple[list[Model], list[str]]:
    """Models of a list, a dict by name, or one alone; and their names, each once."""
    if isinstance(models, dict):
        return [load(model, name=name) for name, model in models.items()], list(models)
    alone = not isinstance(models, Sequence) or isinstance(models, (str, bytes, bytearray))
    loaded = [load(model) for model in ([models] if alone else models)]
    names: list[str] = []
    for model in loaded:
        stem, count = model.name, 1
        while (stem if count == 1 else f"{stem} ({count})") in names:
            count += 1
        names.append(stem if count == 1 else f"{stem} ({count})")
    return loaded, names


