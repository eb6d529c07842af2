"""What project.conf says, for Python: the notebook and the tests read it from here."""
import json
import shlex
import subprocess
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
SMALL = FOLDER / "models/small.onnx"
NAMES = ("MODEL", "DATA", "DATA_FLAGS", "MAX_DROP", "MIN_SQNR", "MAX_SIZE")


def settings():
    """The variables of project.conf, as the shell reads them."""
    script = ". ./project.conf; " + "; ".join(f'printf "%s\\0" "${name}"' for name in NAMES)
    words = subprocess.run(["sh", "-c", script], cwd=FOLDER, check=True, capture_output=True, text=True).stdout.split("\0")
    return dict(zip(NAMES, words))


def data_arguments(small):
    """DATA and DATA_FLAGS as arguments of nibble's functions. How pictures become inputs is what `small`, the quantized model, remembers."""
    arguments = {"data": settings()["DATA"]}
    words = shlex.split(settings()["DATA_FLAGS"])
    for flag, value in zip(words[::2], words[1::2]):
        name, _, rest = value.partition("=")
        if flag == "--input":
            arguments.setdefault("inputs", {})[name] = rest
        elif flag == "--carry":
            arguments.setdefault("carry", {})[name] = rest
        elif flag in ("--frame", "--hop"):
            arguments[flag[2:]] = int(value)
    remembered = small.metadata.get("nibble.preprocess")
    if remembered:
        arguments["preprocess"] = json.loads(remembered)
    return arguments
