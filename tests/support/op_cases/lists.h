// The lists of cases, one for each family of operators.
#pragma once

#include <array>
#include <vector>

#include "support/op_case.h"

namespace nibble::testing {

std::vector<OpCase> attention_cases();
std::vector<OpCase> control_cases();
std::vector<OpCase> elementwise_cases();
std::vector<OpCase> function_cases();
std::vector<OpCase> image_cases();
std::vector<OpCase> loss_cases();
std::vector<OpCase> matmul_cases();
std::vector<OpCase> movement_cases();
std::vector<OpCase> normalization_cases();
std::vector<OpCase> pooling_cases();
std::vector<OpCase> quantization_cases();
std::vector<OpCase> recurrent_cases();
std::vector<OpCase> reduction_cases();
std::vector<OpCase> selection_cases();
std::vector<OpCase> shape_cases();
std::vector<OpCase> signal_cases();

inline constexpr std::array kCaseLists = {
    attention_cases,     control_cases,   elementwise_cases,  function_cases,
    image_cases,         loss_cases,      matmul_cases,       movement_cases,
    normalization_cases, pooling_cases,   quantization_cases, recurrent_cases,
    reduction_cases,     selection_cases, shape_cases,        signal_cases,
};

}  // namespace nibble::testing
