#!/usr/bin/env bash
# Builds the site into build-docs/ (open build-docs/index.html); arguments go to mkdocs. A link that leads nowhere is an error.
# `scripts/build_docs.sh --serve` shows it on a local port and follows changes.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --docs
command=build
if [[ "${1:-}" == "--serve" ]]; then
  command=serve
  shift
fi
NO_MKDOCS_2_WARNING=1 exec .venv/bin/python -B -m mkdocs "$command" --quiet "$@"
