#!/usr/bin/env bash
# The checks that take long. Usage: scripts/check.sh CHECK [ARGUMENT...], CHECK being one of
#   asan [TEST...]      AddressSanitizer and UndefinedBehaviorSanitizer over all test programs, or those named (ops, cli, ...)
#   tsan [TEST...]      ThreadSanitizer (clang 16) over all test programs but train
#   clang [TEST...]     clang 16: builds everything without a warning, and passes the tests
#   tidy [FILE...]      clang-tidy with the checks of .clang-tidy, over src/ or the files named
#   isa [TEST...]       the tests with the kernels of NIBBLE_ISA=avx2 and portable
#   fuzz [SECONDS] [TARGET...]   libFuzzer for SECONDS (600) on each target of fuzz/, or those named
#   page [PAGE...]      the report page of the demo, or those named, in Debian's Chromium: axe-core, 400 to 1600 pixels, light and
#                       dark, keyboard, no network; screenshots are left in build/page
#   mutate [ARGUMENT...]         10,000 broken models through inspect, quantize and run; arguments go to mutate_models.py
#   small [MODEL...]    the size of programs with the runtime in them (check_embed_size.sh)
# Each builds into build-CHECK (CMakePresets.json). Needs scripts/setup.sh --tests --checks. JOBS limits the compilers.
set -euo pipefail
cd "$(dirname "$0")/.."

build() {  # build PRESET [TARGET...]
  local preset=$1
  shift
  cmake --preset "$preset" >"build-$preset.log" 2>&1 || { cat "build-$preset.log" >&2; exit 1; }
  rm -f "build-$preset.log"
  ninja -C "build-$preset" ${JOBS:+-j "$JOBS"} "$@"
}

# run_tests FOLDER [TEST...]: the test programs of a build; each failure is named at the end.
run_tests() {
  local folder=$1 name failed=()
  shift
  (($#)) || set -- $(cd "$folder/bin" && ls -d test_* | sed 's/test_//')
  for name in "$@"; do
    echo "== $folder test_$name"
    "$folder/bin/test_$name" --gtest_brief=1 || failed+=("$name")
  done
  ((${#failed[@]} == 0)) || { echo "check: failed: ${failed[*]}"; return 1; }
}

test_targets() { printf 'test_%s ' "$@"; }

# Everything, or what the named tests need: the program and, for some, the libraries that they load.
build_for_tests() {
  local preset=$1
  shift
  if (($#)); then
    # shellcheck disable=SC2046
    build "$preset" nibble_cli $(test_targets "$@")
  else
    build "$preset"
  fi
}

check_asan() {
  build_for_tests asan "$@"
  # libtorch and OpenMP keep what they allocate until the end; what is Nibble's own is released.
  export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:allocator_may_return_null=1
  export LSAN_OPTIONS=suppressions=$PWD/scripts/sanitizers/lsan.supp:print_suppressions=0
  export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
  run_tests build-asan "$@"
}

check_tsan() {
  build_for_tests tsan "$@"
  export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/scripts/sanitizers/tsan.supp
  (($#)) || set -- $(cd build-tsan/bin && ls -d test_* | sed 's/test_//' | grep -v '^train$')
  run_tests build-tsan "$@"
}

check_clang() {
  build_for_tests clang "$@"
  run_tests build-clang "$@"
}

check_tidy() {
  cmake --preset clang >/dev/null
  (($#)) || mapfile -t -d '' files < <(find src -name '*.cpp' -print0)
  (($#)) && files=("$@")
  # Kernels are compiled for one instruction set each; clang-tidy reads their flags from the build.
  printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "${JOBS:-$(nproc)}" clang-tidy-16 -p build-clang --quiet --warnings-as-errors='*'
}

check_isa() {
  scripts/build.sh -DNIBBLE_WERROR=ON -DNIBBLE_TESTS=ON
  local isa
  for isa in avx2 portable; do
    echo "== NIBBLE_ISA=$isa"
    NIBBLE_ISA=$isa run_tests build "$@"
  done
}

check_fuzz() {
  local seconds=${1:-600} target
  (($#)) && shift
  build fuzz
  build-fuzz/bin/make_seeds build-fuzz/seeds
  (($#)) || set -- read_onnx read_arrays read_images run_graph
  for target in "$@"; do
    echo "== $target, $seconds s"
    mkdir -p "build-fuzz/corpus/$target" "build-fuzz/findings/$target"
    "build-fuzz/bin/fuzz_$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=65536 -print_final_stats=1 \
      -artifact_prefix="build-fuzz/findings/$target/" "build-fuzz/corpus/$target" "build-fuzz/seeds/$target" \
      >"build-fuzz/$target.log" 2>&1 || { tail -n 60 "build-fuzz/$target.log"; exit 1; }
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec)|DONE' "build-fuzz/$target.log"
  done
}

check_mutate() {
  scripts/build.sh -DNIBBLE_WERROR=ON -DNIBBLE_TESTS=ON
  local python=python3
  [[ -x .venv/bin/python ]] && python=.venv/bin/python
  "$python" scripts/mutate_models.py build/bin/nibble --keep build/findings "$@"
}

check_page() {
  if ((!$#)); then
    scripts/build.sh
    build/bin/nibble demo -o build/page
    set -- build/page/report.html
  fi
  .venv-page/bin/python tests/report/check_page.py "$@" --shots build/page
}

check=${1:-}
shift || true
case $check in
  small) scripts/check_embed_size.sh "$@" ;;
  asan | tsan | clang | tidy | isa | fuzz | page | mutate) "check_$check" "$@" ;;
  *)
    sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
    exit 2
    ;;
esac
echo "check $check: no findings"
