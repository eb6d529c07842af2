#!/usr/bin/env bash
# Installs the wheel of build-wheel/dist (scripts/build_wheel.sh makes it) into a bare Debian 12 that has python3-venv, with NumPy and
# nothing else, and uses it; then with libtorch, which training needs. Needs root; takes minutes and the network. Usage:
#   scripts/check_wheel.sh            # in a bare Debian
#   scripts/check_wheel.sh --train    # in an environment with the extra `train`: PyPI's torch, some 5 GB
set -euo pipefail
cd "$(dirname "$0")/.."
compgen -G "build-wheel/dist/nibble-*.whl" >/dev/null || scripts/build_wheel.sh
if [[ ${1:-} == --train ]]; then
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  .venv/bin/python -m venv "$folder/env"
  "$folder/env/bin/pip" install --quiet --disable-pip-version-check "$(ls "$PWD"/build-wheel/dist/nibble-*.whl)[train]"
  cp tests/python/{conftest,test_training,test_models}.py "$folder/"
  "$folder/env/bin/pip" install --quiet --disable-pip-version-check pytest pandas matplotlib onnx onnxscript
  cd "$folder"
  version=$(env/bin/python -c 'import importlib.metadata as m; print(m.version("torch").split("+")[0])')
  env -u PYTHONPATH env/bin/python -c "import nibble, sys; found = nibble.about()['training']; print(found); sys.exit('$version' not in found)"
  env -u PYTHONPATH env/bin/nibble --version
  env -u PYTHONPATH env/bin/python -m pytest -q -rs .
  exit
fi
root=$(mktemp -d)
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf "$root"' EXIT
scripts/bare_root.sh "$root"
mount -t proc proc "$root/proc"
mkdir "$root/tmp/wheels"
cp build-wheel/dist/nibble-*.whl "$root/tmp/wheels/"
# What the wheel needs, fetched outside: the root's pip asks nobody.
.venv/bin/python -m pip download --quiet --disable-pip-version-check --only-binary :all: --python-version 3.11 --dest "$root/tmp/wheels" numpy

inside() {  # inside COMMAND: in the root's /tmp
  chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -c "cd /tmp && $1"
}
inside "apt-get update -qq && apt-get install -y -qq --no-install-recommends python3-venv >install.log 2>&1 || { tail -n 20 install.log; exit 1; }"
inside "python3 -m venv env && env/bin/pip install --quiet --no-index --find-links wheels nibble"
inside "env/bin/pip list --disable-pip-version-check && env/bin/nibble --version && env/bin/python -m nibble new project"
# Without libtorch, training says so; everything else works.
cat >"$root/tmp/use.py" <<'PYTHON'
import sys
import nibble

try:
    nibble.train("digits-cnn", "digits", epochs=1)
    sys.exit("trained without libtorch")
except nibble.Error as error:
    print(error)
    assert error.code == "unsupported" and "libtorch" in str(error)
digits = nibble.dataset("digits").arrays()
print(len(digits["label"]), "digits;", len(nibble.ops()), "operators")
PYTHON
inside "env/bin/python use.py"
inside "apt-get install -y -qq --no-install-recommends libtorch1.13 >install.log 2>&1 || { tail -n 20 install.log; exit 1; }"
cat >"$root/tmp/train.py" <<'PYTHON'
import nibble

model = nibble.train("digits-cnn", "digits", epochs=3).model
small = nibble.quantize(model, "digits", weights=4)
small.save("small.onnx")
evaluation = nibble.evaluate({"float": model, "4 bits": "small.onnx"}, "digits")
print(evaluation)
assert evaluation["4 bits"].value > 0.9
digits = nibble.dataset("digits").arrays()
assert nibble.Session("small.onnx")(digits["input"]).shape == (500, 10)
PYTHON
inside "env/bin/python train.py"
echo "the wheel installs and runs in a bare Debian 12"
