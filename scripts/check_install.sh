#!/usr/bin/env bash
# Installs build/ into a folder of its own, builds examples/quickstart, examples/embed and examples/tutorial against it, and
# runs what was built. Fails where
# - a public header does not compile alone,
# - a library exports anything but Nibble's own functions,
# - libnibble-runtime brings training, data, libtorch, oneDNN or protobuf along,
# - a program with the operators of one model in it does not run that model, or says nothing of those that it lacks,
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

for language in c c++; do
  echo '#include <nibble.h>' | "$compiler" -fsyntax-only -Wall -Wextra -pedantic -Werror -I "$prefix/include" -x "$language" - 2>"$folder/log" ||
    { cat "$folder/log" >&2; fail "nibble.h does not compile alone as $language"; }
done

libraries=$(echo "$prefix"/lib*/libnibble-runtime.so | sed 's|/libnibble-runtime.so||')
[[ -d $libraries ]] || libraries=$(dirname "$(find "$prefix" -name libnibble-runtime.so)")
for library in "$libraries"/libnibble-runtime.so "$libraries"/libnibble.so; do
  # Inline functions of the standard library are weak, and every library has them.
  strangers=$(nm -DC --defined-only "$library" | grep ' [TDBR] ' | grep -vE ' nibble(::|_)' | head -n 5 || true)
  [[ -z $strangers ]] || fail "$(basename "$library") exports $strangers"
done
readelf -d "$libraries/libnibble-runtime.so" >"$folder/needs"
! grep -qE 'libnibble\.so|torch|jpeg|libpng|c10|dnnl|gomp|protobuf|onnx' "$folder/needs" ||
  fail "libnibble-runtime needs $(grep -oE 'libnibble\.so|[^[]*torch[^]]*|lib(jpeg|png|c10|dnnl|gomp|protobuf|onnx)[^]]*' "$folder/needs" | head -n 1)"

cmake -S examples/quickstart -B "$folder/quickstart" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release \
  >"$folder/log" 2>&1 && cmake --build "$folder/quickstart" >>"$folder/log" 2>&1 || { cat "$folder/log" >&2; fail "examples/quickstart does not build"; }
"$folder/quickstart/make_small" "$folder/float.onnx" "$folder/small.onnx"
"$folder/quickstart/run_model" "$folder/small.onnx"
# An error crosses from the library to a program that knows its headers only.
! "$folder/quickstart/run_model" "$folder/missing.onnx" 2>"$folder/log" || fail "a missing file was read"
grep -q "^run_model: .*missing.onnx" "$folder/log" || { cat "$folder/log" >&2; fail "the error was not caught as nibble::Error"; }


# The runtime inside a program; a model's operators alone; pkg-config.
cmake -S examples/embed -B "$folder/embed" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release -DMODEL="$folder/small.onnx" \
  -DCMAKE_C_FLAGS="-Wall -Wextra -Werror" -DCMAKE_CXX_FLAGS="-Wall -Wextra -Wno-missing-field-initializers -Werror" \
  >"$folder/log" 2>&1 && cmake --build "$folder/embed" >>"$folder/log" 2>&1 || { cat "$folder/log" >&2; fail "examples/embed does not build"; }
programs=("$folder/embed/classify_c" "$folder/embed/classify_one" "$folder/embed/classify_cpp")
if command -v pkg-config >/dev/null; then
  read -ra flags < <(PKG_CONFIG_PATH=$libraries/pkgconfig pkg-config --cflags --libs nibble-runtime)
  "${CC:-cc}" examples/embed/classify.c -o "$folder/classify_pc" "${flags[@]}" -Wl,-rpath,"$libraries" || fail "pkg-config does not say how to build"
  programs+=("$folder/classify_pc")
fi
for program in "${programs[@]}"; do
  "$program" "$folder/small.onnx" >"$folder/$(basename "$program").txt" || fail "$(basename "$program") does not run"
  cmp -s "$folder/classify_c.txt" "$folder/$(basename "$program").txt" || fail "$(basename "$program") gives other classes than classify_c"
done
[[ $(wc -l <"$folder/classify_c.txt") == 5 ]] || fail "classify_c does not print five classes"
head -c 256 /dev/zero | tr '\0' '\77' >"$folder/image.raw"
"$folder/embed/classify_c" "$folder/small.onnx" "$folder/image.raw" >"$folder/raw.txt" || fail "classify_c does not read a raw image"
! cmp -s "$folder/classify_c.txt" "$folder/raw.txt" || fail "classify_c does not look at its image"
# y = Erf(x), which the network of digits has not.
printf '\010\010\072\062\012\013\012\001x\022\001y\042\003Erf\022\001g\132\017\012\001x\022\012\012\010\010\001\022\004\012\002\010\001\142\017\012\001y\022\012\012\010\010\001\022\004\012\002\010\001\102\002\020\021' \
  >"$folder/erf.onnx"
"$folder/embed/classify_c" "$folder/erf.onnx" >/dev/null || fail "classify_c does not run every operator"
! "$folder/embed/classify_one" "$folder/erf.onnx" 2>"$folder/log" || fail "a model's operators alone are more than that"
grep -q "Erf" "$folder/log" || { cat "$folder/log" >&2; fail "a missing operator is not named"; }

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
