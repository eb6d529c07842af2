"""Training: from scratch, with quantization in the loop, and on from a quantized model. Needs an installed libtorch."""

from __future__ import annotations

from typing import Any

from . import _core
from .html import number, percent
from .model import Model, load
from .options import documented, quantize_rows, split, to_json, train_rows
from .progress import reporting
from .ptq import _layer_bits, _stem
from .results import Result
from .sources import DataOptions, make_source


class Training(Result):
    """A trained model, and how it came to be.

    Attributes:
        model: of the epoch with the best validation accuracy.
        history: for each epoch {"train_loss", "validation_loss", "validation_accuracy", "validation_samples",
            "learning_rate"}.
        best_epoch: from 1.
    """

    def __init__(self, model: Model, report: dict):
        self.model, self._report = model, report
        self.history: list[dict] = report["epochs"]
        self.best_epoch: int = report["best_epoch"]

    @property
    def validation_accuracy(self) -> float:
        """Of the best epoch, in [0, 1]."""
        return self._report["validation_accuracy"]

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of it (Clopper-Pearson)."""
        low, high = self._report["interval_95"]
        return low, high

    def to_dict(self) -> dict:
        return self._report

    def plot(self, axes=None):
        """Loss and validation accuracy by epoch. Returns the matplotlib figure."""
        from .plots import plot_training

        return plot_training(self, axes)

    def _records(self):
        return [{"epoch": i + 1, **epoch} for i, epoch in enumerate(self.history)]

    def _table(self):
        head = ["epoch", "training loss", "validation loss", "validation accuracy", "learning rate", ""]
        rows = [
            [
                str(i + 1),
                number(epoch["train_loss"]),
                number(epoch["validation_loss"]),
                percent(epoch["validation_accuracy"]),
                number(epoch["learning_rate"], 3),
                "best" if i + 1 == self.best_epoch else "",
            ]
            for i, epoch in enumerate(self.history)
        ]
        return head, rows

    def _title(self) -> str:
        low, high = self.interval
        return (
            f"{self.model.name}: validation accuracy {percent(self.validation_accuracy)} [{percent(low)}, {percent(high)}] on "
            f"{self._report['validation_samples']:,} samples, epoch {self.best_epoch} of {len(self.history)}"
        )


@documented(train_rows, without=("distill",))
def train(
    arch: str,
    data: Any,
    *,
    inputs: dict | None = None,
    carry: dict | None = None,
    frame: int = 0,
    hop: int = 0,
    preprocess: dict | str | None = None,
    threads: int = 0,
    seed: int = 0,
    progress=None,
    **options: Any,
) -> Training:
    """Trains a float network from scratch.

    Args:
        arch: one of `nibble.architectures()`.
        data: with labels; its training part is trained on, its validation part chooses the best epoch.
        inputs, carry, frame, hop, preprocess, threads, seed, progress: see `nibble.quantize`. The same seed and number of
            threads give the same result.

    Options, those of `nibble train`:
        {options}

    Returns:
        Training: `.model`, `.history`, `.plot()`.

    Raises:
        nibble.Error: no libtorch is installed (code "unsupported"), there are no labels, the loss is not finite.
    """
    source = make_source(data, DataOptions(inputs, carry, frame, hop, preprocess), seed=seed, parts=True)
    with reporting(progress) as callback:
        run = _core.Run(threads, seed, callback)
        core, report = _core.train(arch, source, to_json(options, train_rows()), run)
    return Training(Model(core, arch), report)


@documented(quantize_rows, train_rows)
def qat(
    model: Any,
    data: Any,
    *,
    bits: Any = None,
    inputs: dict | None = None,
    carry: dict | None = None,
    frame: int = 0,
    hop: int = 0,
    preprocess: dict | str | None = None,
    threads: int = 0,
    seed: int = 0,
    progress=None,
    **options: Any,
) -> Training:
    """Quantization-aware training: quantizes a float model as `nibble.quantize` does, then trains it so.

    Args:
        model, data, bits, inputs, carry, frame, hop, preprocess, threads, seed, progress: see `nibble.quantize`; the data need
            labels.

    Options, those of `nibble qat`; what training takes by default depends on the bits:
        {options}

    Returns:
        Training: `.model` is quantized.

    Raises:
        nibble.Error: no libtorch is installed, an operator cannot be trained, there are no labels.
    """
    loaded = load(model)
    quantization, training = split(options, quantize_rows(), train_rows())
    if bits is not None:
        quantization["layers"] = _layer_bits(bits)
    source = make_source(data, DataOptions(inputs, carry, frame, hop, preprocess), model=loaded._core, seed=seed, parts=True)
    with reporting(progress) as callback:
        core, report = _core.qat(
            loaded._core,
            source,
            to_json(quantization, quantize_rows()),
            to_json(training, train_rows()),
            _core.Run(threads, seed, callback),
        )
    target = options.get("target") or "onnxruntime"
    return Training(Model(core, f"{_stem(loaded.name)} trained quantized", target=target), report)


@documented(train_rows, without=("distill",))
def finetune(
    model: Any,
    data: Any,
    *,
    target: str | None = None,
    inputs: dict | None = None,
    carry: dict | None = None,
    frame: int = 0,
    hop: int = 0,
    preprocess: dict | str | None = None,
    threads: int = 0,
    seed: int = 0,
    progress=None,
    **options: Any,
) -> Training:
    """Fine-tunes a model that is quantized already, whoever quantized it.

    Args:
        model: quantized (QDQ).
        target: the runtime that the result is meant for; None: that of the model.
        data, inputs, carry, frame, hop, preprocess, threads, seed, progress: see `nibble.quantize`; the data need labels.

    Options, those of `nibble finetune`:
        {options}

    Returns:
        Training: `.model` is quantized as the given one.

    Raises:
        nibble.Error: no libtorch is installed, the model is not quantized, an operator cannot be trained, no labels.
    """
    loaded = load(model)
    source = make_source(data, DataOptions(inputs, carry, frame, hop, preprocess), model=loaded._core, seed=seed, parts=True)
    wanted = target or loaded.target
    with reporting(progress) as callback:
        run = _core.Run(threads, seed, callback)
        arguments = (loaded._core, loaded.name, wanted, source, to_json(options, train_rows()), run)
        core, report = _core.finetune(*arguments)
    return Training(Model(core, f"{_stem(loaded.name)} fine-tuned", target=wanted), report)
