#!/usr/bin/env bash
# Builds, and makes the Debian packages build/*.deb: libnibble-runtime, nibble, nibble-train (libtorch's part) and nibble-dev.
# `apt install ./build/libnibble-runtime_*.deb ./build/nibble_*.deb ./build/nibble-train_*.deb` installs them with what they need.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --packages
scripts/build.sh
rm -f build/*.deb
(cd build && cpack -G DEB) >build/package.log 2>&1 || { cat build/package.log >&2; exit 1; }
ls -l build/*.deb
