"""Tab completion in bash, zsh and fish offers commands, options and values. Usage: completions_test.py [FOLDER]

A shell that is not installed is left out, by name.
"""
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2] / "completions").resolve()

# What is typed, what must be offered, what must not be.
CASES = [
    (["nibble", "qu"], ["quantize"], ["eval"]),
    (["nibble", "quantize", "--weigh"], ["--weights", "--weight-observer"], ["--weight-decay", "--epochs"]),
    (["nibble", "quantize", "m.onnx", "--weights", ""], ["8", "4", "2"], ["none", "quantize"]),
    (["nibble", "eval", "--split", "v"], ["validation"], ["test"]),
    (["nibble", "train", "--arch", "re"], ["resnet20"], ["digits-cnn"]),
]

BASH = """
compopt() { :; }
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_nibble
printf '%s\\n' "${COMPREPLY[@]}"
"""
# What the real _arguments and _describe do with it is zsh's; here they print what they are given.
ZSH = """
_arguments() { print -rl -- "$@" }
_describe() { print -rl -- ${(P)2} }
source "$1" 2>/dev/null; shift
words=("$@"); CURRENT=$#
_nibble
"""


def bash(words: list[str]) -> list[str]:
    return run("bash", "-c", BASH, "bash", str(FOLDER / "nibble.bash"), *words).split()


def fish(words: list[str]) -> list[str]:
    line = run("fish", "--no-config", "-c", f"source {FOLDER / 'nibble.fish'}; complete -C '{' '.join(words)}'")
    return [entry.split("\t")[0] for entry in line.splitlines()]


def zsh(words: list[str]) -> list[str]:
    lines = run("zsh", "-f", "-c", ZSH, "zsh", str(FOLDER / "_nibble"), *words).splitlines()
    if len(words) == 2:
        return [name for name in (line.split(":")[0] for line in lines) if name.startswith(words[-1])]
    rows = {line.lstrip("*").split("[")[0]: line for line in lines}
    if words[-2] in rows:  # "*--weights[...]:NAME:(8 6 4)"
        values = rows[words[-2]].rpartition(":(")[2].rstrip(")").split()
        return [value for value in values if value.startswith(words[-1])]
    return [name for name in rows if name.startswith(words[-1])]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode not in (0, 1) or (done.stderr and command[0] != "zsh"):
        sys.exit(f"{command[0]}: {done.stderr}")
    return done.stdout


def main() -> int:
    wrong = 0
    for shell in (bash, zsh, fish):
        if not shutil.which(shell.__name__):
            print(f"{shell.__name__} is not installed")
            continue
        for words, wanted, unwanted in CASES:
            offered = shell(words)
            if not set(wanted) <= set(offered) or set(unwanted) & set(offered):
                wrong += 1
                print(f"{shell.__name__} offers {offered} for '{' '.join(words)}', not {wanted} without {unwanted}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
