#include "kernels/isa_table.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>

#include "base/check.h"

namespace nibble {
namespace {

// __builtin_cpu_supports reads XCR0 too: it says no where the operating system does not save the
// registers.
constexpr std::array kRows = {
    IsaRow{.isa = Isa::reference,
           .name = "reference",
           .is_supported = [] { return true; },
           .rows = row_kernels<Isa::reference>,
           .reals = real_rows<Isa::reference>,
           .packed = packed_kernels<Isa::reference>,
           .int16 = int16_kernels<Isa::reference>,
           .survey = survey_kernels<Isa::reference>,
           .fake_quantize = fake_quantize_kernels<Isa::reference>},
    IsaRow{.isa = Isa::portable,
           .name = "portable",
           .is_supported = [] { return true; },
           .rows = row_kernels<Isa::portable>,
           .reals = real_rows<Isa::portable>,
           .packed = packed_kernels<Isa::portable>,
           .int16 = int16_kernels<Isa::portable>,
           .survey = survey_kernels<Isa::portable>,
           .fake_quantize = fake_quantize_kernels<Isa::portable>,
           .micro = micro_kernels<Isa::portable>,
#if defined(__x86_64__)
           .depthwise = depthwise_kernels<Isa::portable>,
           .peak = peak_kernels<Isa::portable>
#endif
    },
#if defined(__x86_64__)
    IsaRow{.isa = Isa::avx2,
           .name = "avx2",
           .is_supported = [] { return __builtin_cpu_supports("avx2") != 0; },
           .rows = row_kernels<Isa::avx2>,
           .reals = real_rows<Isa::avx2>,
           .packed = packed_kernels<Isa::avx2>,
           .int16 = int16_kernels<Isa::avx2>,
           .survey = survey_kernels<Isa::avx2>,
           .fake_quantize = fake_quantize_kernels<Isa::avx2>,
           .micro = micro_kernels<Isa::avx2>,
           .depthwise = depthwise_kernels<Isa::avx2>,
           .peak = peak_kernels<Isa::avx2>},
    IsaRow{.isa = Isa::avx512_vnni,
           .name = "avx512_vnni",
           .is_supported =
               [] {
                 return __builtin_cpu_supports("avx2") != 0 &&
                        __builtin_cpu_supports("avx512f") != 0 &&
                        __builtin_cpu_supports("avx512bw") != 0 &&
                        __builtin_cpu_supports("avx512dq") != 0 &&
                        __builtin_cpu_supports("avx512vl") != 0 &&
                        __builtin_cpu_supports("avx512vnni") != 0;
               },
           .rows = row_kernels<Isa::avx512_vnni>,
           .reals = real_rows<Isa::avx512_vnni>,
           .packed = packed_kernels<Isa::avx512_vnni>,
           .int16 = int16_kernels<Isa::avx512_vnni>,
           .survey = survey_kernels<Isa::avx512_vnni>,
           .fake_quantize = fake_quantize_kernels<Isa::avx512_vnni>,
           .micro = micro_kernels<Isa::avx512_vnni>,
           .depthwise = depthwise_kernels<Isa::avx512_vnni>,
           .peak = peak_kernels<Isa::avx512_vnni>},
#endif
};

const IsaRow* find(Isa isa) {
  const auto row = std::ranges::find(kRows, isa, &IsaRow::isa);
  return row == kRows.end() ? nullptr : &*row;
}

// What NIBBLE_ISA names.
Isa isa_named(std::string_view wanted) {
  const auto row = std::ranges::find(kRows, wanted, &IsaRow::name);
  if (row == kRows.end()) {
    std::string names;
    for (const IsaRow& known : kRows) {
      const std::string_view before = &known == kRows.begin()     ? ""
                                      : &known + 1 == kRows.end() ? " or "
                                                                  : ", ";
      names += fmt::format("{}{}", before, known.name);
    }
    fail(ErrorCode::invalid_argument, "NIBBLE_ISA is '{}'; it may be {}", wanted, names);
  }
  if (!row->is_supported()) {
    fail(ErrorCode::invalid_argument, "NIBBLE_ISA is '{}', which this CPU lacks", wanted);
  }
  return row->isa;
}

}  // namespace

std::span<const IsaRow> isa_table() { return kRows; }

const IsaRow& isa_row(Isa isa) {
  const IsaRow* row = find(isa);
  if (row == nullptr) fail(ErrorCode::invalid_argument, "this build has no such instruction set");
  return *row;
}

std::string_view name_of(Isa isa) {
  const IsaRow* row = find(isa);
  return row == nullptr ? "unknown" : row->name;
}

bool is_supported(Isa isa) {
  const IsaRow* row = find(isa);
  return row != nullptr && row->is_supported();
}

Isa isa_from_environment() {
  const char* wanted = std::getenv("NIBBLE_ISA");
  if (wanted != nullptr && *wanted != '\0') return isa_named(wanted);
  const auto best = std::find_if(kRows.rbegin(), kRows.rend(),
                                 [](const IsaRow& row) { return row.is_supported(); });
  return best->isa;
}

namespace {
std::optional<Isa> scoped;
}  // namespace

Isa best_isa() {
  static const Isa chosen = isa_from_environment();
  return scoped.value_or(chosen);
}

ScopedIsa::ScopedIsa(Isa isa) : before_(scoped) {
  check(is_supported(isa), "this CPU lacks the instruction set");
  scoped = isa;
}
ScopedIsa::~ScopedIsa() { scoped = before_; }

}  // namespace nibble
