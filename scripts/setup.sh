#!/usr/bin/env bash
# Installs what building, testing and training need, by name; does nothing where it is all there.
# Needs Debian 12 (or a relative) and root or sudo. Usage: scripts/setup.sh [--tests] [--checks]
# --tests: what scripts/test.sh needs. --checks: what scripts/check.sh needs besides.
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(
  g++ cmake ninja-build ccache
  libonnx-dev libprotobuf-dev protobuf-compiler   # ONNX files
  libdnnl-dev                                     # f32 convolution and matmul
  libtorch-dev                                    # training
  libcli11-dev nlohmann-json3-dev libfmt-dev
  libjpeg62-turbo-dev libpng-dev zlib1g-dev       # images and compressed data
)
tests=false
for flag in "$@"; do
  case $flag in
    --tests)
      tests=true
      packages+=(libgtest-dev libbenchmark-dev clang-format-14 binutils python3-venv tar gzip)
      ;;
    --checks) packages+=(clang-16 libclang-rt-16-dev clang-tidy-16) ;;
    *)
      echo "setup: '$flag' is neither --tests nor --checks" >&2
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

# ONNX Runtime, to check that what Nibble writes runs elsewhere. Without it those tests are skipped.
if $tests && [[ ! -x .venv/bin/python ]]; then
  rm -rf .venv.new
  python3 -m venv .venv.new
  if .venv.new/bin/python -m pip install --quiet --disable-pip-version-check onnxruntime onnx numpy pillow; then
    mv .venv.new .venv
  else
    rm -rf .venv.new
    echo "setup: ONNX Runtime could not be installed; the tests against it will be skipped" >&2
  fi
fi
