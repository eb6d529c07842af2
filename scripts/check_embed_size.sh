#!/usr/bin/env bash
# How small a program is that has the runtime in it: builds the archive for size, links examples/embed with it, runs what came out, and
# fails where a program takes more than it may. Usage:
#   scripts/check_embed_size.sh [MODEL.onnx ...]    # each gets a program of its operators alone; a quantized ResNet-20 by default
# Needs scripts/build.sh, and for the default model scripts/setup.sh --tests.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly most_all=5000000 most_one=3000000  # bytes: with every operator; with those of one model
readonly folder=build-small nibble=build/bin/nibble
cmake -S . -B $folder -G Ninja -DCMAKE_BUILD_TYPE=MinSizeRel -DNIBBLE_TESTS=OFF -DNIBBLE_TRAIN=OFF -DNIBBLE_WERROR=ON >/dev/null
cmake --build $folder --target nibble-runtime-static
models=("$@")
if [[ ${#models[@]} == 0 ]]; then
  .venv/bin/python benchmarks/peers/make_models.py $folder resnet20 >/dev/null
  .venv/bin/python -c "import numpy as np; np.save('$folder/noise.npy', np.random.default_rng(1).normal(size=(64, 3, 32, 32)).astype('f'))"
  $nibble quantize $folder/resnet20.onnx --data $folder/noise.npy -o $folder/resnet20-w8a8.onnx >/dev/null
  models=($folder/resnet20-w8a8.onnx)
fi

# link PROGRAM MOST WHAT SOURCES...; then runs it on $model.
link() {
  local program=$folder/$1 most=$2 what=$3 bytes
  "${CXX:-c++}" -std=c++20 -Os -I include "${@:4}" $folder/src/libnibble-runtime.a -o "$program" \
    -Wl,--gc-sections -static-libstdc++ -static-libgcc -s -ldl -pthread
  bytes=$(stat -c %s "$program")
  "$program" "$model" >/dev/null || { echo "check_embed_size: $program does not run $model" >&2; exit 1; }
  echo "$1, $what: $bytes bytes"
  ((bytes <= most)) || { echo "check_embed_size: $program takes more than $most bytes" >&2; exit 1; }
}
model=${models[0]}
link classify $most_all "every operator" examples/embed/classify.cpp
for model in "${models[@]}"; do
  name=$(basename "$model" .onnx)
  $nibble ops --for "$model" -o "$folder/$name.cpp" >/dev/null
  link "classify-$name" $most_one "the operators of $model" examples/embed/classify.cpp "$folder/$name.cpp"
done
