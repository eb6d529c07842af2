// Cases of the operators that are read as their parts: a node, and what it must give, worked out by
// plain loops over its definition.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include "support/op_case.h"

namespace nibble::testing {

struct ExpansionCase {
  OpCase node;
  std::vector<bool> constant = {};  // which inputs are initializers; missing: they are not
  double tolerance = 1e-5;          // of reals, relative to the largest; codes must be equal
};

inline std::ostream& operator<<(std::ostream& out, const ExpansionCase& entry) {
  return out << entry.node;
}

/// At least one of every operator of the table.
std::vector<ExpansionCase> expansion_cases();
void add_activation_cases(std::vector<ExpansionCase>& cases);
void add_attention_cases(std::vector<ExpansionCase>& cases);
void add_block_cases(std::vector<ExpansionCase>& cases);
void add_dynamic_cases(std::vector<ExpansionCase>& cases);
void add_fused_cases(std::vector<ExpansionCase>& cases);
void add_normalization_cases(std::vector<ExpansionCase>& cases);
void add_qlinear_cases(std::vector<ExpansionCase>& cases);
void add_renamed_cases(std::vector<ExpansionCase>& cases);

inline constexpr const char* kMicrosoft = "com.microsoft";

/// Always the same numbers in [low, high) for the same seed.
std::vector<double> numbers(size_t count, uint32_t seed, double low = -2, double high = 2);
Tensor reals(const Shape& shape, const std::vector<double>& values);
/// Any integer type.
Tensor codes(DType dtype, const Shape& shape, const std::vector<int32_t>& values);
/// Codes of `count` numbers below `bits` bits, always the same for the same seed.
std::vector<int32_t> some_codes(size_t count, uint32_t seed, int low, int high);
/// clamp(round(real / scale) + zero).
Tensor quantized(DType dtype, const Shape& shape, const std::vector<double>& values, double scale,
                 int zero);
inline double f(double value) { return static_cast<double>(static_cast<float>(value)); }

}  // namespace nibble::testing
