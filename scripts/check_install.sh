#!/usr/bin/env bash
# Installs build/ into a folder of its own, builds examples/quickstart and examples/tutorial against it, and runs what
# was built. Fails where
# - a public header does not compile alone,
# - a library exports anything but Nibble's own functions,
# - libnibble-runtime brings training, data or libtorch along,
# - the installed program cannot find its libraries,
# - the man page or the completions are not where shells and man look.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
prefix=$folder/nibble
fail() { echo "check_install: $*" >&2; exit 1; }

cmake --install build --prefix "$prefix" >"$folder/log" || { cat "$folder/log" >&2; exit 1; }
compiler=${CXX:-c++}
for header in "$prefix"/include/nibble/*.h; do
  echo "#include <nibble/$(basename "$header")>" |
    "$compiler" -std=c++20 -fsyntax-only -Wall -Wextra -Werror -I "$prefix/include" -x c++ - 2>"$folder/log" ||
    { cat "$folder/log" >&2; fail "$(basename "$header") does not compile alone"; }
done

libraries=$(echo "$prefix"/lib*/libnibble-runtime.so | sed 's|/libnibble-runtime.so||')
[[ -d $libraries ]] || libraries=$(dirname "$(find "$prefix" -name libnibble-runtime.so)")
for library in "$libraries"/libnibble-runtime.so "$libraries"/libnibble.so; do
  # Inline functions of the standard library are weak, and every library has them.
  strangers=$(nm -DC --defined-only "$library" | grep ' [TDBR] ' | grep -v ' nibble::' | head -n 5 || true)
  [[ -z $strangers ]] || fail "$(basename "$library") exports $strangers"
done
readelf -d "$libraries/libnibble-runtime.so" >"$folder/needs"
! grep -qE 'libnibble\.so|torch|jpeg|libpng|c10' "$folder/needs" ||
  fail "libnibble-runtime needs $(grep -oE 'libnibble\.so|[^[]*torch[^]]*|lib(jpeg|png|c10)[^]]*' "$folder/needs" | head -n 1)"

cmake -S examples/quickstart -B "$folder/quickstart" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release \
  >"$folder/log" 2>&1 && cmake --build "$folder/quickstart" >>"$folder/log" 2>&1 || { cat "$folder/log" >&2; fail "examples/quickstart does not build"; }
"$folder/quickstart/make_small" "$folder/float.onnx" "$folder/small.onnx"
"$folder/quickstart/run_model" "$folder/small.onnx"
# An error crosses from the library to a program that knows its headers only.
! "$folder/quickstart/run_model" "$folder/missing.onnx" 2>"$folder/log" || fail "a missing file was read"
grep -q "^run_model: .*missing.onnx" "$folder/log" || { cat "$folder/log" >&2; fail "the error was not caught as nibble::Error"; }

for file in share/man/man1/nibble.1 share/bash-completion/completions/nibble share/zsh/site-functions/_nibble \
  share/fish/vendor_completions.d/nibble.fish; do
  [[ -s $prefix/$file ]] || fail "$file is not installed"
done
# The chapters of the tutorial as programs, run in their order.
if [[ -e $libraries/libnibble_train.so ]]; then
  cmake -S examples/tutorial -B "$folder/chapters" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release \
    -DCMAKE_CXX_FLAGS="-Wall -Wextra -Wno-missing-field-initializers -Werror" >"$folder/log" 2>&1 &&
    cmake --build "$folder/chapters" --parallel "$(nproc)" >>"$folder/log" 2>&1 || { cat "$folder/log" >&2; fail "examples/tutorial does not build"; }
  mkdir "$folder/digits"
  for program in "$folder"/chapters/chapter*; do
    [[ -f $program && -x $program ]] || continue
    arguments=()
    [[ $program != */chapter10_your_own ]] || arguments=(float.onnx digits small.onnx)
    (cd "$folder/digits" && "$program" "${arguments[@]}") >"$folder/log" 2>&1 ||
      { cat "$folder/log" >&2; fail "$(basename "$program") failed"; }
  done
fi

version=$(sed -nE 's/^project\(nibble VERSION ([0-9.]+).*/\1/p' CMakeLists.txt)
[[ $("$prefix/bin/nibble" --version | head -n 1) == "nibble $version" ]] || fail "nibble --version does not say $version"
grep -q "^version: $version$" CITATION.cff || fail "CITATION.cff is not of version $version"
if [[ -e $libraries/libnibble_train.so ]]; then
  "$prefix/bin/nibble" train --arch digits-cnn --data digits --epochs 1 -o "$folder/trained.onnx" >"$folder/log" 2>&1 ||
    { cat "$folder/log" >&2; fail "the installed program cannot train"; }
fi
