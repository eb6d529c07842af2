#!/usr/bin/env bash
# Installs what building, testing and training need, by name; does nothing where it is all there.
# Needs Debian 12 (or a relative) and root or sudo. Usage: scripts/setup.sh [--tests] [--checks] [--docs] [--packages]
# --tests: what scripts/test.sh needs. --checks: what scripts/check.sh needs besides. --docs: what scripts/build_docs.sh needs.
# --packages: what makes and tries packages.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  g++ cmake ninja-build ccache
  libdnnl-dev                                     # f32 convolution and matmul
  libtorch-dev libgloo-dev                        # training, and several processes that share it
  libcli11-dev nlohmann-json3-dev libfmt-dev
  libjpeg62-turbo-dev libpng-dev zlib1g-dev       # images and compressed data
)
tests=false docs=false checks=false
for flag in "$@"; do
  case $flag in
    --tests)
      tests=true docs=true
      packages+=(zsh fish groff-base)  # the shells whose completions are tried, and what reads the man page
      packages+=(libonnx-dev libprotobuf-dev protobuf-compiler)  # what the reader and the writer of ONNX are compared with
      packages+=(libgtest-dev libbenchmark-dev clang-format-14 binutils python3-venv python3-dev tar gzip)
      ;;
    --packages) packages+=(dpkg-dev debootstrap) ;;
    --docs)
      docs=true
      packages+=(python3-venv)
      ;;
    --checks)
      checks=true
      packages+=(clang-16 libclang-rt-16-dev clang-tidy-16 libstdc++-11-dev chromium python3-venv)
      # Node.js from elsewhere brings npm along, and Debian's package then conflicts with it.
      command -v npm >/dev/null || packages+=(npm)
      ;;
    *)
      echo "setup: '$flag' is none of --tests, --checks, --docs and --packages" >&2
      exit 2
      ;;
  esac
done

missing=()
for package in "${packages[@]}"; do
  if [[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]]; then
    missing+=("$package")
  fi
done
if ((${#missing[@]} > 0)); then
  sudo=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || { echo "setup: run this as root, or install sudo" >&2; exit 1; }
    sudo=(sudo)
  fi
  echo "setup: installing ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >/tmp/nibble-setup.log 2>&1 || { tail -n 20 /tmp/nibble-setup.log >&2; exit 1; }
fi

# python_packages MODULES WITHOUT PACKAGE...: into .venv, unless all the modules are there; WITHOUT says what is left out if
# they cannot be had.
python_packages() {
  local modules=$1 without=$2
  shift 2
  .venv/bin/python -c "import $modules" 2>/dev/null && return
  if [[ ! -x .venv/bin/python ]]; then
    rm -rf .venv.new
    python3 -m venv .venv.new && mv .venv.new .venv
  fi
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "$@" ||
    echo "setup: $* could not be installed; $without will be skipped" >&2
}
if $tests; then  # to check that what Nibble writes runs elsewhere
  python_packages "onnxruntime, onnx, numpy, PIL" "the tests against ONNX Runtime" onnxruntime onnx numpy pillow
  python_packages "nanobind, scikit_build_core, pytest, matplotlib, pandas, tqdm" "the Python package" \
    nanobind scikit-build-core pytest matplotlib pandas tqdm
  python_packages "jupytext, nbclient, ipykernel, matplotlib, onnxruntime, onnx, PIL" "the tutorial" \
    jupytext nbclient ipykernel matplotlib onnxruntime onnx pillow
fi
if $docs; then  # the site of docs/ and its figures
  python_packages "material, matplotlib, numpy, latex2mathml" "the site" mkdocs-material matplotlib numpy latex2mathml
fi

# The report page in a browser (scripts/check.sh page): playwright drives Debian's Chromium, axe-core judges the page.
if $checks && [[ ! -e .venv-page/node_modules/axe-core/axe.min.js ]]; then
  rm -rf .venv-page
  python3 -m venv .venv-page
  .venv-page/bin/python -m pip install --quiet --disable-pip-version-check playwright
  npm install --silent --no-audit --no-fund --prefix .venv-page axe-core
fi
