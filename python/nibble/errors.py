"""What goes wrong: the sentences of the library, as Python exceptions."""

from __future__ import annotations

import re

# Options are named as in Python: "--max-size" is the keyword max_bytes.
_KEYWORDS = {
    "max-size": "max_bytes",
    "max-latency": "max_latency_s",
    "lr": "learning_rate",
    "no-8bit-ends": "first_and_last_8bit=False",
    "no-8bit-sums": "eight_bit_sums=False",
    "no-bias-correction": "bias_correction=False",
    "no-pair-safe": "pair_safe=False",
    "input": "inputs",
}


def _in_python(sentence: str) -> str:
    def keyword(found: re.Match) -> str:
        name = found.group(1)
        return _KEYWORDS.get(name, name.replace("-", "_"))

    sentence = sentence.replace("with --data (see --help)", "with data=")
    sentence = sentence.replace("`nibble ", "`nibble.")
    return re.sub(r"(?<![\w-])--([a-z][a-z0-9-]*)", keyword, sentence)


class Error(ValueError):
    """Bad input or an unsupported model; `str()` is one sentence that names the file, the node and the value.

    Attributes:
        code: "invalid_argument", "invalid_model", "unsupported", "invalid_data", "io" or "cancelled".
        message: the sentence without its context.
        context: what was being done, outermost first: ["evaluating model.onnx"].
    """

    code: str = "invalid_argument"
    message: str = ""
    context: list[str] = []


class InternalError(RuntimeError):
    """A mistake in Nibble, whatever the input: worth a report."""

    code = "internal"
    message: str = ""
    context: list[str] = []


def _fill(error, message: str, context: list[str], code: str):
    error.message, error.context, error.code = _in_python(message), context, code
    return error


def make_error(what: str, message: str, context: list[str], code: str) -> Error:
    """Called by the library: the exception of a failure."""
    return _fill(Error(_in_python(what)), message, context, code)


def make_internal_error(what: str, message: str, context: list[str], code: str) -> InternalError:
    """Called by the library: the exception of a mistake of its own."""
    error = InternalError(f"{what}; this is a mistake in Nibble: please report it")
    return _fill(error, message, context, code)


def fail(sentence: str, code: str = "invalid_argument"):
    """Raises Error with this sentence."""
    raise make_error(sentence, sentence, [], code)
