"""Nibble makes trained neural networks small and fast: quantization of ONNX models, with decisions backed by statistics.

    import nibble

    small = nibble.quantize("model.onnx", "photos/", weights=4)
    small.save("small.onnx")
    print(nibble.evaluate(["model.onnx", small], "photos/"))

Every verb of the command line is a function here: `inspect`, `ops`, `analyze`, `quantize`, `choose_bits`, `train`, `qat`,
`finetune`, `evaluate`, `compare`, `bench`, `profile`; and `Session` runs models by ONNX Runtime's interface. Models may be paths, bytes,
onnx.ModelProto or what another verb gave; data may be whatever the command line knows, arrays, or iterables of batches.
What goes wrong is `nibble.Error`, one sentence. docs/python.md has an example of each.
"""

import atexit

from . import _core
from .comparison import Comparison, LayerError, compare
from .errors import Error, InternalError
from .evaluation import Difference, Evaluation, Row, evaluate
from .inspection import Check, Inspection, Operators, check, inspect, ops
from .latency import Bench, bench
from .model import Constant, Layer, Model, Value, load
from .profiling import Profile, profile
from .ptq import Choice, Grid, Ranges, TensorRange, analyze, choose_bits, quantize
from .samples import Dataset, dataset
from .session import NodeArg, Session
from .training import Training, finetune, qat, train

__version__: str = _core.version
atexit.register(_core.leave_job)


def about() -> dict[str, str | int]:
    """What is installed here: "version", "instruction_set" of the integer kernels, "cpu", "threads" used unless said otherwise, and
    "training", the libtorch found, or why there is none. The first call loads libtorch."""
    return _core.about()


def metrics() -> dict[str, str]:
    """The metrics that `evaluate` knows by name, and what each measures."""
    return _core.metrics()


def targets() -> dict[str, str]:
    """The runtimes that files are written for, by name."""
    return _core.targets()


def architectures() -> dict[str, str]:
    """The networks that `train` knows by name."""
    return _core.architectures()


def rank() -> int:
    """Of this process among those that a launcher (torchrun, nibble launch) started for one job, from 0; alone: 0. Every rank gets
    the same results, so one may write them: `if nibble.rank() == 0: small.save("small.onnx")`."""
    return _core.rank()


def ranks() -> int:
    """How many processes a launcher started for this job; alone: 1."""
    return _core.ranks()


__all__ = [
    "Bench", "Check", "Choice", "Comparison", "Constant", "Dataset", "Difference", "Error", "Evaluation", "Grid", "Inspection",
    "InternalError", "Layer", "LayerError", "Model", "NodeArg", "Operators", "Profile", "Ranges", "Row", "Session", "TensorRange",
    "Training", "Value", "about", "analyze", "architectures", "bench", "check", "choose_bits", "compare", "dataset", "evaluate",
    "finetune", "inspect", "load", "metrics", "ops", "profile", "qat", "quantize", "rank", "ranks", "targets", "train",
]  # fmt: skip
