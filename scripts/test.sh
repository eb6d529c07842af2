#!/usr/bin/env bash
# Installs what is missing, builds with warnings as errors, checks the formatting and runs all tests.
# The last line counts them: "N passed, N failed, N skipped".
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh --tests
python=OFF
.venv/bin/python -c 'import nanobind' 2>/dev/null && python=ON
scripts/build.sh -DNIBBLE_WERROR=ON -DNIBBLE_TESTS=ON -DNIBBLE_PYTHON=$python -DPython_EXECUTABLE="$PWD/.venv/bin/python"

passed=0 failed=0 skipped=0
check() {  # check NAME COMMAND...: one test that is a command
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    echo "FAILED: $name"
  fi
}

# What a module may include, what the installed package gives, and what the documents say.
seeds_are_accepted() {
  local folder target
  folder=$(mktemp -d)
  build/bin/make_seeds "$folder" && for target in "$folder"/*; do
    "build/bin/fuzz_$(basename "$target")" "$target" || { rm -rf "$folder"; return 1; }
  done
  rm -rf "$folder"
}
man_page_is_sound() {
  local warnings
  warnings=$(groff -man -ww -z docs/nibble.1 2>&1) && [[ -z $warnings ]] || { echo "$warnings"; return 1; }
}
check "clang-format" scripts/check_format.sh
check "modules include what stands below them only" scripts/check_layers.sh
check "the installed package builds the quickstart" scripts/check_install.sh
check "docs/numeric-contract.md is what the library computes" scripts/check_numeric_contract.sh
check "docs/cli.md, the man page and the completions are what the help says" scripts/check_cli_docs.sh
check "every link in the documents leads somewhere" scripts/check_links.py
check "Tab completion offers what the program has" python3 -B tests/docs/completions_test.py
check "the man page is sound" man_page_is_sound
check "the fuzz targets accept their seeds" seeds_are_accepted
# The same outputs as ONNX Runtime, on real models.
models=${NIBBLE_SHARED:-../shared}/models
if [[ -x .venv/bin/python && -d $models ]]; then
  check "outputs as in ONNX Runtime" .venv/bin/python tests/interop/compare_with_onnxruntime.py "$models"/*.onnx
  check "the models that users bring" .venv/bin/python tests/interop/cases.py build/bin/nibble "$models/.."
else
  skipped=$((skipped + 2))
  echo "SKIPPED: outputs as in ONNX Runtime, the models that users bring (need .venv, made by setup.sh --tests, and $models)"
fi
if [[ -x .venv/bin/python ]]; then
  check "the commands of README and docs/ work" .venv/bin/python -B tests/docs/run_snippets.py build/bin/nibble
  check "docs/file-format.md names the keys that there are" .venv/bin/python -B tests/docs/file_format_test.py build/bin/nibble
  check "operators of com.microsoft as in ONNX Runtime" .venv/bin/python tests/interop/contrib_operators.py
  check "layers in bodies as in ONNX Runtime" .venv/bin/python tests/interop/bodies.py build/bin/nibble
  check "the scoring programs measure mAP and word errors" .venv/bin/python tests/interop/scoring_programs.py build/bin/nibble
else
  skipped=$((skipped + 5))
  echo "SKIPPED: the commands and keys of the documents; operators of com.microsoft and bodies as in ONNX Runtime; the scoring programs (need .venv, made by setup.sh --tests)"
fi
if .venv/bin/python -c 'import material, matplotlib, latex2mathml' 2>/dev/null; then
  check "README's table holds what was measured" .venv/bin/python -B scripts/docs/figures.py --check
  check "the site is built, and its links lead somewhere" scripts/build_docs.sh
else
  skipped=$((skipped + 2))
  echo "SKIPPED: README's table holds what was measured; the site (need MkDocs and matplotlib in .venv, made by setup.sh --docs)"
fi
if [[ $python == ON ]] && .venv/bin/python -c 'import jupytext, nbclient, ipykernel, matplotlib' 2>/dev/null; then
  check "the tutorial runs, and is what its chapters say" scripts/build_tutorial.sh --check
else
  skipped=$((skipped + 1))
  echo "SKIPPED: the tutorial (needs the Python package, jupytext, nbclient, ipykernel and matplotlib in .venv, made by setup.sh --tests)"
fi
# f32 results do not depend on the number of threads on lesser CPUs either (oneDNN chooses by these variables).
for isa in SSE41 AVX AVX2 AVX512_CORE; do
  check "f32 results for every number of threads, $isa" env ONEDNN_MAX_CPU_ISA=$isa DNNL_MAX_CPU_ISA=$isa \
    build/bin/test_ops --gtest_brief=1 --gtest_filter='thread_count.*:MatMul.*:Conv.*:Gemm.*'
done
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
export NIBBLE_CHECK_PASSES=1  # every pass leaves a graph that validates and whose types can be inferred
for program in build/bin/test_*; do
  name=$(basename "$program")
  report=$reports/$name.xml
  echo "== $name"
  "$program" --gtest_brief=1 --gtest_output="xml:$report" || true
  if [[ ! -s $report ]]; then  # it crashed before it could say
    failed=$((failed + 1))
    echo "FAILED: $name ended without a report"
    continue
  fi
  read -r tests failures left_out < <(
    sed -nE 's/^<testsuites tests="([0-9]+)" failures="([0-9]+)" disabled="([0-9]+)" errors="([0-9]+)".*/\1 \2 \3/p' "$report")
  left_out=$((left_out + $(grep -c 'result="skipped"' "$report" || true)))
  passed=$((passed + tests - failures - left_out))
  failed=$((failed + failures))
  skipped=$((skipped + left_out))
done
# The Python package, over the libraries of build/.
if [[ $python == ON ]] && .venv/bin/python -c 'import pytest, onnx' 2>/dev/null; then
  echo "== tests/python"
  PYTHONPATH="$PWD/build/python" .venv/bin/python -m pytest -q -p no:cacheprovider --junit-xml="$reports/python.xml" tests/python || true
  read -r errors failures left_out tests < <(
    sed -nE 's/.*<testsuite [^>]*errors="([0-9]+)" failures="([0-9]+)" skipped="([0-9]+)" tests="([0-9]+)".*/\1 \2 \3 \4/p' \
      "$reports/python.xml" 2>/dev/null || true) || true
  failures=$((${failures:-1} + ${errors:-0}))
  passed=$((passed + ${tests:-1} - failures - ${left_out:-0}))
  failed=$((failed + failures))
  skipped=$((skipped + ${left_out:-0}))
else
  skipped=$((skipped + 1))
  echo "SKIPPED: the Python package (needs nanobind, pytest and onnx in .venv, made by setup.sh --tests)"
fi

echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0))
