#!/usr/bin/env bash
# Makes the container image "nibble" from a bare Debian 12 and the packages of build/, with podman, buildah or docker, whichever is there.
# Then: podman run --rm -v "$PWD:/work" nibble quantize model.onnx --data photos -o small.onnx
# Needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
builder=
for program in podman buildah docker; do
  if command -v "$program" >/dev/null; then builder=$program && break; fi
done
[[ -n $builder ]] || { echo "build_container: install podman, buildah or docker first" >&2; exit 1; }
compgen -G "build/nibble_*.deb" >/dev/null || scripts/build_deb.sh
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
scripts/bare_root.sh "$context/root"
tar -C "$context/root" -cf "$context/root.tar" .
rm -rf "$context/root"
cp packaging/Containerfile build/libnibble-runtime_*.deb build/nibble_*.deb build/nibble-train_*.deb "$context/"
"$builder" build -t nibble -f "$context/Containerfile" "$context"
