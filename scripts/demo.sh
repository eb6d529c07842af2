#!/usr/bin/env bash
# From nothing to the demo: installs what is missing, builds, and runs `nibble demo`. Arguments go to the demo.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
scripts/build.sh -DNIBBLE_TESTS=OFF
exec build/bin/nibble demo "$@"
