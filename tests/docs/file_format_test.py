"""docs/file-format.md names every key of nibble.json and ranges.json, and docs/data.md those of the preprocessing; none that is not.

Usage: file_format_test.py NIBBLE
"""
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NIBBLE = str(Path(sys.argv[1]).absolute())


def nibble(folder: str, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run([NIBBLE, *words], cwd=folder, capture_output=True, text=True)


def known_keys(folder: str, flag: str) -> set[str]:
    """What the program says that it knows when it is given a key that there is not."""
    (Path(folder) / "wrong.json").write_text('{"no_such_key": 1}')
    message = nibble(folder, "quantize", "digits.onnx", "--data", "digits", flag, "wrong.json", "-o", "none.onnx").stderr
    return set(re.search(r"known are:? (.*)", message)[1].split(", "))


def keys_in_table(text: str, heading: str) -> set[str]:
    """The code words of the first column of the table below a heading."""
    section = text.partition(heading)[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (.*?) \|", section, re.M)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


def main() -> int:
    text = (ROOT / "docs/file-format.md").read_text()
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        nibble(folder, "train", "--arch", "digits-cnn", "--data", "digits", "--epochs", "1", "-o", "digits.onnx")
        settings = known_keys(folder, "--config")
        if settings != keys_in_table(text, "## nibble.json"):
            wrong.append(f"nibble.json has {sorted(settings)}, docs/file-format.md {sorted(keys_in_table(text, '## nibble.json'))}")
        preprocess = known_keys(folder, "--preprocess")
        section = (ROOT / "docs/data.md").read_text().partition("## Preprocessing")[2].partition("\n## ")[0]
        if missing := preprocess - set(re.findall(r"\w+", section)):
            wrong.append(f"docs/data.md does not say what {sorted(missing)} of the preprocessing are")
        nibble(folder, "analyze", "digits.onnx", "--data", "digits", "--samples", "8", "-o", "ranges.json")
        ranges = set(json.loads((Path(folder) / "ranges.json").read_text())["tensors"][0]) | {"unusable"}
        if ranges != keys_in_table(text, "## ranges.json"):
            wrong.append(f"ranges.json has {sorted(ranges)}, docs/file-format.md {sorted(keys_in_table(text, '## ranges.json'))}")
    print("\n".join(wrong), end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
