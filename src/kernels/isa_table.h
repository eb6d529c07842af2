// The instruction sets: one row each says whether this CPU has it and which kernels it runs.
// Callers ask the table, never the CPU. A kernel's file is compiled with the flags of its
// instruction set (src/CMakeLists.txt).
#pragma once

#include <optional>
#include <span>

#include "kernels/depthwise.h"
#include "kernels/fake_quantize.h"
#include "kernels/micro.h"
#include "kernels/packed_float.h"
#include "kernels/packed_int16.h"
#include "kernels/peak.h"
#include "kernels/real_rows.h"
#include "kernels/row_kernels.h"
#include "kernels/survey.h"
#include "nibble/isa.h"

namespace nibble {

struct IsaRow {
  Isa isa = Isa::reference;
  std::string_view name;
  bool (*is_supported)() = nullptr;
  const RowKernels& (*rows)() = nullptr;
  const RealRows& (*reals)() = nullptr;
  const PackedKernels& (*packed)() = nullptr;
  const Int16Kernels& (*int16)() = nullptr;
  const SurveyKernels& (*survey)() = nullptr;
  const FakeQuantizeKernels& (*fake_quantize)() = nullptr;
  const MicroKernels& (*micro)() = nullptr;          // nullptr: products are plain loops
  const DepthwiseKernels& (*depthwise)() = nullptr;  // nullptr: likewise
  const PeakKernels& (*peak)() = nullptr;            // nullptr: nobody knows
};

/// Slowest first. On other CPUs than x86-64 there are the first two alone.
std::span<const IsaRow> isa_table();
/// Throws Error{invalid_argument} if this build has no kernels for it.
const IsaRow& isa_row(Isa isa);

/// What NIBBLE_ISA names, or the best this CPU has: as best_isa(), which asks once.
Isa isa_from_environment();

/// While it lives, best_isa() gives `isa`, which this CPU has: for tests and comparisons. One
/// thread at a time.
class ScopedIsa {
 public:
  explicit ScopedIsa(Isa isa);
  ~ScopedIsa();
  ScopedIsa(const ScopedIsa&) = delete;
  ScopedIsa& operator=(const ScopedIsa&) = delete;

 private:
  std::optional<Isa> before_;
};

}  // namespace nibble
