#include "kernels/survey.h"

#include "kernels/isa_table.h"

namespace nibble {

Survey survey(std::span<const float> values, Isa isa) {
  Survey found;
  isa_row(isa).survey().survey(values.data(), std::ssize(values), &found);
  return found;
}

int64_t find_bins(std::span<const float> values, double width, int32_t* out, Isa isa) {
  return isa_row(isa).survey().bins(static_cast<float>(1.0 / width), values.data(), out,
                                    std::ssize(values));
}

}  // namespace nibble
