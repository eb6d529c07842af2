#!/usr/bin/env bash
# docs/cli.md, the man page docs/nibble.1 and completions/ are what `nibble COMMAND --help` says.
# `scripts/check_cli_docs.sh --fix` writes them.
set -euo pipefail
cd "$(dirname "$0")/.."
exec python3 -B scripts/docs/generate_cli.py build/bin/nibble "$@"
