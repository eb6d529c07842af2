"""Running models, by ONNX Runtime's interface."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import _core
from .arrays import entry
from .errors import fail
from .model import Value, load

_ONNX_TYPES = {
    "f32": "float", "f64": "double", "f16": "float16", "bf16": "bfloat16", "i64": "int64", "i32": "int32", "i16": "int16",
    "i8": "int8", "i4": "int4", "i2": "int2", "u64": "uint64", "u32": "uint32", "u16": "uint16", "u8": "uint8", "u4": "uint4",
    "u2": "uint2", "boolean": "bool", "bool": "bool",
}  # fmt: skip


@dataclass(frozen=True)
class NodeArg:
    """An input or output, as ONNX Runtime describes it.

    Attributes:
        name: in the file.
        type: "tensor(float)".
        shape: ints; a name or None for an extent that is open.
    """

    name: str
    type: str
    shape: list[int | str | None] | None


def _node_arg(value: Value) -> NodeArg:
    return NodeArg(value.name, f"tensor({_ONNX_TYPES.get(value.dtype, value.dtype)})", value.shape)


class Session:
    """A model that can be run again and again, with the methods of onnxruntime.InferenceSession.

    The model is compiled when it meets shapes of inputs for the first time; the last four programs are kept. Threads may
    share a session: their runs wait for each other, without the GIL.

    Args:
        model: whatever `nibble.load` takes.
        threads: 0 is one per core.
        arithmetic: how quantized models are run: "integer" (integer kernels), "fake-quantize" (values rounded to their grid,
            arithmetic in float), "f32" (activations are not rounded) or "saturating16" (integers as other runtimes compute them
            on x86 CPUs without VNNI; docs/targets.md).

    Raises:
        nibble.Error: the file cannot be read, or holds what Nibble does not have.
    """

    def __init__(self, model: Any, threads: int = 1, *, arithmetic: str = "integer", sess_options: Any = None, providers: Any = None):
        if sess_options is not None:
            threads = getattr(sess_options, "intra_op_num_threads", threads) or threads
        if providers is not None and not any("CPU" in str(provider) for provider in providers):
            fail(f"providers is {providers!r}: Nibble runs on the CPU (CPUExecutionProvider)", "unsupported")
        self._model = load(model)
        self._core = _core.Session(self._model._core, arithmetic, threads)
        self._inputs = [_node_arg(value) for value in self._model.inputs]
        self._outputs = [_node_arg(value) for value in self._model.outputs]

    def get_inputs(self) -> list[NodeArg]:
        return list(self._inputs)

    def get_outputs(self) -> list[NodeArg]:
        return list(self._outputs)

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def run(self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: Any = None) -> list[np.ndarray]:
        """Runs the model.

        Args:
            output_names: which outputs, in which order; None: all.
            input_feed: an array for each input, of its element type and shape. Its memory is read where it lies.

        Returns:
            The outputs, arrays of their own.

        Raises:
            nibble.Error: an input is missing, surplus, or of a wrong type or shape; an output does not exist.
        """
        results = self._core.run([entry(name, array) for name, array in input_feed.items()])
        names = [output.name for output in self._outputs]
        if output_names is None:
            return results
        for name in output_names:
            if name not in names:
                fail(f"the model has no output '{name}'; it gives {', '.join(names)}")
        return [results[names.index(name)] for name in output_names]

    def __call__(self, *inputs: Any, **named: Any) -> np.ndarray | list[np.ndarray]:
        """`session(x)`: inputs in their order or by name; the output, or a list of several."""
        if len(inputs) > len(self._inputs):
            fail(f"{len(inputs)} inputs are given, the model takes {len(self._inputs)}")
        feed = {argument.name: array for argument, array in zip(self._inputs, inputs)}
        results = self.run(None, {**feed, **named})
        return results[0] if len(results) == 1 else results

    def __repr__(self) -> str:
        return f"<nibble.Session {self._model.name}>"
