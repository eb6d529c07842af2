#!/usr/bin/env bash
# Makes the environment of a peer, .venv-peers/PEER, from its requirements; does nothing where it is there. They are large (Quark and AIMET
# bring torch: 5 GB each), and neither set-up nor tests need them. Usage: benchmarks/peers/make_environment.sh PEER...
set -euo pipefail
cd "$(dirname "$0")/../.."
for peer in "$@"; do
  requirements=benchmarks/peers/requirements/$peer.txt
  [[ -e $requirements ]] || { echo "make_environment: '$peer' is none of $(cd benchmarks/peers/requirements && echo *)" >&2; exit 2; }
  cmp -s "$requirements" ".venv-peers/$peer/made-from.txt" && continue
  rm -rf ".venv-peers/$peer"
  python3 -m venv ".venv-peers/$peer"
  ".venv-peers/$peer/bin/python" -m pip install --quiet --disable-pip-version-check -r "$requirements"
  cp "$requirements" ".venv-peers/$peer/made-from.txt"
done
