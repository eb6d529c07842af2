#!/usr/bin/env bash
# Makes FOLDER a bare Debian 12 with the package sources of this machine. Usage: scripts/bare_root.sh FOLDER. Needs root.
set -euo pipefail
root=${1:?usage: scripts/bare_root.sh FOLDER}
"$(dirname "$0")/setup.sh" --packages
log=$(mktemp)
debootstrap --variant=minbase bookworm "$root" >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
rm -f "$log"
chmod 755 "$root"  # apt gives up its rights to read in it
# The sources and settings of apt; none of the packages.
rm -f "$root/etc/apt/sources.list"
cp -r /etc/apt/apt.conf.d /etc/apt/sources.list.d "$root/etc/apt/"
[[ ! -e /etc/apt/sources.list ]] || cp /etc/apt/sources.list "$root/etc/apt/"
find "$root/etc/apt/sources.list.d" -type f ! -name 'debian*' -delete
cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
