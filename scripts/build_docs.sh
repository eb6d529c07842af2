#!/usr/bin/env bash
# Builds the site into build-docs/ (open build-docs/index.html); arguments go to mkdocs. A link that leads nowhere is an error.
# `scripts/build_docs.sh --serve` shows it on a local port and follows changes.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --docs
export NO_MKDOCS_2_WARNING=1
if [[ "${1:-}" == "--serve" ]]; then
  exec .venv/bin/python -B -m mkdocs serve "${@:2}"
fi
# Not --quiet, under which mkdocs does not count what it warns of.
log=$(.venv/bin/python -B -m mkdocs build "$@" 2>&1) || { echo "$log" >&2; exit 1; }
