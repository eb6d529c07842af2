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
        model: of the epoch with the best validation accuracy (or `metric`), without labels with the lowest validation loss.
        history: for each epoch {"train_loss", "validation_loss", "validation_accuracy", "validation_samples",
            "learning_rate"}; without labels "validation_sqnr_db" instead of the accuracy.
        best_epoch: from 1; 0 where no epoch was better than the start, which is kept then.
        start: the validation of the network before training, as in `history`.
        score: of the best epoch by the option `metric`: {"metric", "value", "interval_95", "samples"}, as every epoch of `history`
            then has one; None where no metric was asked for.
        stopped_early: `patience` ended it before the last epoch.
    """

    def __init__(self, model: Model, report: dict):
        self.model, self._report = model, report
        self.history: list[dict] = report["epochs"]
        self.best_epoch: int = report["best_epoch"]
        self.start: dict = report["start"]
        self.score: dict | None = report.get("score")
        self.stopped_early: bool = report["stopped_early"]

    @property
    def validation_accuracy(self) -> float | None:
        """Of the best epoch, in [0, 1]; None without labels."""
        return self._report.get("validation_accuracy")

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of it (Clopper-Pearson); None without labels."""
        if "interval_95" not in self._report:
            return None
        low, high = self._report["interval_95"]
        return low, high

    @property
    def validation_sqnr_db(self) -> float | None:
        """Without labels: of the outputs of the best epoch against the float model's, the mean over them; else None."""
        return self._report.get("validation_sqnr_db")

    @property
    def outputs(self) -> list[dict]:
        """Without labels: for each output {"output", "before", "after", "difference", "samples"}: its SQNR in dB against the
        float model on the validation samples, before and after training, each {"value", "interval_95"}."""
        rows = []
        for report in self._report.get("outputs", ()):
            before, after = report["models"]
            one = {key: {"value": entry["value"], "interval_95": entry["interval_95"]} for key, entry in
                   (("before", before), ("after", after), ("difference", after["difference"]))}
            rows.append({"output": report["output"], **one, "samples": after["samples"]})
        return rows

    def to_dict(self) -> dict:
        return self._report

    def plot(self, axes=None):
        """Loss and validation accuracy (without labels: SQNR) by epoch. Returns the matplotlib figure."""
        from .plots import plot_training

        return plot_training(self, axes)

    def _records(self):
        return [{"epoch": i + 1, **epoch} for i, epoch in enumerate(self.history)]

    def _table(self):
        labelled = self.validation_accuracy is not None
        judged = "validation accuracy" if labelled else "validation SQNR, dB"
        head = ["epoch", "training loss", "validation loss", judged, "learning rate", ""]
        rows = [
            [
                str(i + 1),
                number(epoch["train_loss"]),
                number(epoch["validation_loss"]),
                percent(epoch["validation_accuracy"]) if labelled else number(epoch["validation_sqnr_db"], 3),
                number(epoch["learning_rate"], 3),
                "best" if i + 1 == self.best_epoch else "",
            ]
            for i, epoch in enumerate(self.history)
        ]
        return head, rows

    def _title(self) -> str:
        count = len(self.history)
        when = f"epoch {self.best_epoch} of {count}" if self.best_epoch else f"as it was: no better after any of {count} epochs"
        if self.validation_accuracy is None:
            return (
                f"{self.model.name}: validation SQNR {number(self.validation_sqnr_db, 3)} dB against the float model on "
                f"{self._report['validation_samples']:,} samples, {when}"
            )
        low, high = self.interval
        return (
            f"{self.model.name}: validation accuracy {percent(self.validation_accuracy)} [{percent(low)}, {percent(high)}] on "
            f"{self._report['validation_samples']:,} samples, {when}"
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
        model, data, bits, inputs, carry, frame, hop, preprocess, threads, seed, progress: see `nibble.quantize`. Without labels
            the outputs of `model` are what is learned.

    Options, those of `nibble qat`; what training takes by default depends on the bits:
        {options}

    Returns:
        Training: `.model` is quantized.

    Raises:
        nibble.Error: no libtorch is installed, an operator cannot be trained.
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


@documented(train_rows)
def finetune(
    model: Any,
    data: Any,
    *,
    teacher: Any = None,
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
        model: quantized, by whatever tool.
        teacher: the float model that it was made from. Its outputs are what is learned where the data have no labels; with
            labels they are half of the loss (`distill`).
        target: the runtime that the result is meant for; None: that of the model.
        data, inputs, carry, frame, hop, preprocess, threads, seed, progress: see `nibble.quantize`; the data need labels, or
            there must be a teacher.

    Options, those of `nibble finetune`:
        {options}

    Returns:
        Training: `.model` is quantized as the given one.

    Raises:
        nibble.Error: no libtorch is installed, the model is not quantized, an operator cannot be trained, there are neither
            labels nor a teacher, the teacher does not fit.
    """
    loaded = load(model)
    source = make_source(data, DataOptions(inputs, carry, frame, hop, preprocess), model=loaded._core, seed=seed, parts=True)
    wanted = target or loaded.target
    with reporting(progress) as callback:
        run = _core.Run(threads, seed, callback)
        taught = load(teacher)._core if teacher is not None else None
        arguments = (loaded._core, loaded.name, wanted, taught, source, to_json(options, train_rows()), run)
        core, report = _core.finetune(*arguments)
    return Training(Model(core, f"{_stem(loaded.name)} fine-tuned", target=wanted), report)
