"""What is in a model, and what the operators are."""

from __future__ import annotations

from typing import Any

from . import _core
from .html import number, percent, size
from .model import load
from .results import Result


class Inspection(Result):
    """What is in a model, and what `nibble.quantize` does with it by default.

    Attributes:
        parameters: float constants. macs: multiply-accumulates per sample; quantizable_macs: in layers that can be quantized.
        operators: how many nodes there are of each.
        unsupported: operators that Nibble does not have.
        nodes: {"node", "op", "parameters", "macs", "quantizable", "reason"} of each.
    """

    def __init__(self, report: dict):
        self._report = report
        self.parameters: int = report["parameters"]
        self.macs: int = report["macs"]
        self.quantizable_macs: int = report["quantizable_macs"]
        self.operators: dict[str, int] = report["operators"]
        self.unsupported: list[str] = report["unsupported"]
        self.nodes: list[dict] = report["nodes"]

    def to_dict(self) -> dict:
        return self._report

    def _records(self):
        return self.nodes

    def _table(self):
        head = ["node", "operator", "parameters", "MACs", "quantizable"]
        shown = [node for node in self.nodes if node["parameters"] or node["macs"] or not node["quantizable"]]
        rows = [
            [
                node["node"],
                node["op"],
                number(node["parameters"]),
                number(node["macs"]),
                "yes" if node["quantizable"] else "no: " + node["reason"],
            ]
            for node in shown
        ]
        return head, rows

    def _title(self) -> str:
        share = percent(self.quantizable_macs / self.macs, 1) if self.macs else "none"
        return (
            f"{self._report['model']}: {size(self._report['file_bytes'])}, opset {self._report['opset']}, "
            f"{self.parameters:,} parameters, {self.macs:,} MACs per sample, {share} of them in layers that can be quantized"
        )

    def _below(self):
        lines = ["operators: " + ", ".join(f"{count} {op}" for op, count in self.operators.items())]
        if self.unsupported:
            lines.append("not supported: " + ", ".join(self.unsupported))
        return lines


def inspect(model: Any) -> Inspection:
    """What is in a model: operators, parameters, multiply-accumulates, and what can be quantized, and why not.

    Args:
        model: whatever `nibble.load` takes.
    """
    loaded = load(model)
    report = loaded._core.inspect()
    report["file_bytes"] = loaded.size
    return Inspection({"model": loaded.name, **report})


class Check(Result):
    """What is wrong with a model for a runtime, or slower or less exact than it need be.

    Attributes:
        clean: nothing was found.
        findings: {"check", "where", "sentence"} of each; `where` is a node or a value.
        checks: what was looked at: by name, what is right.
        target: the runtime.
    """

    def __init__(self, report: dict):
        self._report = report
        self.clean: bool = report["clean"]
        self.findings: list[dict] = report["findings"]
        self.checks: dict[str, str] = {row["check"]: row["summary"] for row in report["checks"]}
        self.target: str = report["target"]

    def to_dict(self) -> dict:
        return self._report

    def _records(self):
        return self.findings

    def _table(self):
        return ["check", "finding"], [[one["check"], one["sentence"]] for one in self.findings]

    def _title(self) -> str:
        found = f"{len(self.findings)} findings" if self.findings else f"{len(self.checks)} checks find nothing"
        return f"{self._report['model']} for {self.target}: {found}"


def check(model: Any, target: str | None = None) -> Check:
    """Whether a model, whoever quantized it, is right and fast in a runtime; nothing is run.

    Args:
        model: whatever `nibble.load` takes.
        target: of `nibble.targets()`; None: that of the model.

    Returns:
        Check: `.clean`, `.findings`; `nibble check --help` lists the checks.

    Raises:
        nibble.Error: there is no such target.
    """
    loaded = load(model)
    return Check({"model": loaded.name, **loaded._core.check(target or loaded.target)})


class Operators(Result):
    """The operators that Nibble has; a list of {"op", "domain", "inputs", "outputs", "quantized", "quantized_how", "trained"}."""

    def __init__(self, report: dict):
        self._report = report
        self.operators: list[dict] = report["operators"]
        self.read_as_parts: list[dict] = report["read_as_parts"]

    def to_dict(self) -> dict:
        return self._report

    def __len__(self) -> int:
        return len(self.operators)

    def __iter__(self):
        return iter(self.operators)

    def _records(self):
        return self.operators

    def _table(self):
        def name(one):
            return f"{one['domain']}.{one['op']}" if one["domain"] else one["op"]

        rows = [
            [name(one), "yes" if one["trained"] else "no", ("yes: " if one["quantized"] else "no: ") + one["quantized_how"]]
            for one in self.operators
        ]
        rows += [[name(one), "", f"read as its parts: {one['becomes']}"] for one in self.read_as_parts]
        return ["operator", "trained", "quantized"], rows


def ops(name: str = "") -> Operators:
    """The operators that Nibble has, and which of them can be quantized and trained.

    Args:
        name: one of them; "": all.

    Raises:
        nibble.Error: there is none of this name; the sentence has those that are like it.
    """
    return Operators(_core.ops(name))
