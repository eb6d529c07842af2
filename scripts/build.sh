#!/usr/bin/env bash
# Configures and builds into build/. Further arguments go to cmake: scripts/build.sh -DNIBBLE_WERROR=ON
set -euo pipefail
cd "$(dirname "$0")/.."
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" >build.log 2>&1 || { cat build.log >&2; exit 1; }
rm -f build.log
ninja -C build
