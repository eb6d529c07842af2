#!/usr/bin/env bash
# The direction of dependencies, as the compiler sees it: from a file of each module, exactly the headers of the modules
# below can be included, internal and public ones. Needs a configured build/.
set -euo pipefail
cd "$(dirname "$0")/.."

# Each module and what it stands on; docs/architecture.md draws it.
declare -A below=(
  [base]="base"
  [tensor]="base tensor"
  [kernels]="base tensor kernels"
  [graph]="base tensor graph"
  [ops]="base tensor kernels graph ops"
  [passes]="base tensor kernels graph ops passes"
  [onnx]="base tensor kernels graph ops passes onnx"
  [runtime]="base tensor kernels graph ops passes runtime"
  [c_api]="base tensor kernels graph ops passes onnx runtime c_api"
  [data]="base tensor kernels graph ops passes onnx data"
  [ranges]="base tensor kernels graph ops passes onnx runtime data ranges"
  [quant]="base tensor kernels graph ops passes onnx runtime data ranges quant"
  [train]="base tensor kernels graph ops passes onnx runtime data ranges quant train"
  [report]="base tensor kernels graph ops passes onnx runtime data ranges quant train report"
  [verbs]="base tensor kernels graph ops passes onnx runtime data ranges quant train report verbs"
)
wrong=0
complain() { echo "check_layers: $*" >&2; wrong=1; }

[[ -e build/modules/base.path ]] || { echo "check_layers: build/ is not configured" >&2; exit 1; }

probe=$(mktemp --suffix=.cpp)
trap 'rm -f "$probe"' EXIT
for root in build/modules/*/; do  # a line "owner header" for every header that can be included
  owner=$(basename "$root")
  [[ $owner == cli || -n ${below[$owner]:-} ]] || complain "the module $owner is not in the table of this script"
  find -L "$root" -name '*.h' -printf '%P\n' | while read -r header; do
    printf '#if __has_include("%s")\n%s %s\n#endif\n' "$header" "$owner" "$header"
  done
done >"$probe"

for module in "${!below[@]}"; do
  mapfile -t flags < <(tr ';' '\n' <"build/modules/$module.path" | sed 's/^/-I/')
  seen=$("${CXX:-c++}" -std=c++20 -E -P "${flags[@]}" "$probe")
  while read -r owner header; do
    [[ " ${below[$module]} " == *" $owner "* ]] || complain "$module can include $header of $owner"
  done <<<"$seen"
  for owner in ${below[$module]}; do
    grep -q "^$owner " <<<"$seen" || [[ -z $(find -L "build/modules/$owner" -name '*.h') ]] ||
      complain "$module cannot include the headers of $owner"
  done
done
exit $wrong
