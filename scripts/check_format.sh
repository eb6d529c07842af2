#!/usr/bin/env bash
# Fails if clang-format would change a file; `scripts/check_format.sh --fix` changes it.
set -euo pipefail
cd "$(dirname "$0")/.."
mode=(--dry-run --Werror)
[[ "${1:-}" == "--fix" ]] && mode=(-i)
find include src python tests benchmarks docs examples fuzz \( -name '*.h' -o -name '*.cpp' \) -print0 2>/dev/null | xargs -0 clang-format-14 "${mode[@]}"
