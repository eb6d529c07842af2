#!/usr/bin/env bash
# docs/numeric-contract.md is what build/bin/numeric_contract prints, and the library computes the same numbers.
# `scripts/check_numeric_contract.sh --fix` writes the page.
set -euo pipefail
cd "$(dirname "$0")/.."
page=$(build/bin/numeric_contract)
if [[ "${1:-}" == "--fix" ]]; then
  echo "$page" >docs/numeric-contract.md
else
  diff docs/numeric-contract.md <(echo "$page")
fi
