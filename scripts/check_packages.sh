#!/usr/bin/env bash
# Installs the Debian packages of build/ (scripts/build_deb.sh makes them) into a bare Debian 12, and runs them: inspect, quantize and
# eval without the training package, then the demo with it. Needs root; takes minutes and the network.
set -euo pipefail
cd "$(dirname "$0")/.."
compgen -G "build/nibble_*.deb" >/dev/null || scripts/build_deb.sh
root=$(mktemp -d)
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf "$root"' EXIT
scripts/bare_root.sh "$root"
mount -t proc proc "$root/proc"
cp build/libnibble-runtime_*.deb build/nibble_*.deb build/nibble-train_*.deb "$root/tmp/"

inside() {  # inside COMMAND: in the root's /tmp
  chroot "$root" env DEBIAN_FRONTEND=noninteractive sh -c "cd /tmp && $1"
}
inside "apt-get update -qq && apt-get install -y -qq --no-install-recommends ./libnibble-runtime_*.deb ./nibble_*.deb >install.log 2>&1 || { tail -n 20 install.log; exit 1; }"
inside "nibble --version && nibble new project"
! inside "nibble train --arch digits-cnn --data digits -o float.onnx 2>error" || { echo "trained without libnibble_train" >&2; exit 1; }
inside "grep -q nibble-train error" || { inside "cat error" >&2; exit 1; }
inside "apt-get install -y -qq --no-install-recommends ./nibble-train_*.deb >install.log 2>&1 || { tail -n 20 install.log; exit 1; }"
inside "nibble demo"
inside "nibble quantize nibble-demo/float.onnx --data digits --weights 4 -o small.onnx && nibble eval nibble-demo/float.onnx small.onnx --data digits"
echo "the packages install and run in a bare Debian 12"
