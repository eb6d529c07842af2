#!/usr/bin/env bash
# Do this tree and another revision quantize and run models to the same integers? Builds both.
# Usage: scripts/compare_revisions.sh REVISION MODEL.onnx...
set -euo pipefail
cd "$(dirname "$0")/.."
(($# >= 2)) || { sed -n '2,3p' "$0" >&2; exit 2; }
revision=$(git rev-parse --verify "$1^{commit}")
shift
other=build/revisions/$revision
if [[ ! -x $other/build/bin/nibble ]]; then
  rm -rf "$other"
  git worktree prune
  git worktree add --detach "$other" "$revision" >/dev/null
  (cd "$other" && cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=Release -DNIBBLE_TESTS=OFF >/dev/null && ninja -C build nibble_cli)
fi
scripts/build.sh
.venv/bin/python tests/interop/same_integers.py "$other/build/bin/nibble" build/bin/nibble "$@"
