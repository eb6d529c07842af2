#!/usr/bin/env bash
# Makes tutorial/Quantization_Tutorial.ipynb out of tutorial/chapters: assembles, executes (a few minutes), checks, writes.
#   build_tutorial.sh            write the notebook
#   build_tutorial.sh --check    what the tests do: execute, and compare the committed notebook with the chapters
#   build_tutorial.sh --figures  the pictures of docs/concepts.md alone, out of the committed notebook
#   build_tutorial.sh --only 3   the chapters up to 3 alone, into the folder for temporary files
# Needs the Python package in build/python (scripts/build.sh -DNIBBLE_PYTHON=ON) and .venv, made by setup.sh --tests.
set -euo pipefail
cd "$(dirname "$0")/.."
[[ -x .venv/bin/python ]] || { echo "build_tutorial: there is no .venv; scripts/setup.sh --tests makes it" >&2; exit 1; }
if [[ -d build/python/nibble ]]; then
  export PYTHONPATH=$PWD/build/python${PYTHONPATH:+:$PYTHONPATH}
fi
exec .venv/bin/python -B tutorial/build.py "$@"
