// The families of operators that are read as their parts: each is a table in the file of its name.
#pragma once

#include <array>

#include "onnx/expand/expansion.h"

namespace nibble {

using ExpansionFamily = std::span<const ExpansionRow> (*)();

/// The domain of ONNX Runtime's own operators.
inline constexpr std::string_view kMicrosoft = "com.microsoft";

std::span<const ExpansionRow> activation_expansions();
std::span<const ExpansionRow> attention_expansions();
std::span<const ExpansionRow> block_expansions();
std::span<const ExpansionRow> dynamic_expansions();
std::span<const ExpansionRow> fused_expansions();
std::span<const ExpansionRow> normalization_expansions();
std::span<const ExpansionRow> qlinear_expansions();
std::span<const ExpansionRow> renamed_expansions();

// One to a line, sorted.
// clang-format off
inline constexpr std::array kExpansionFamilies = {
    ExpansionFamily{activation_expansions},
    ExpansionFamily{attention_expansions},
    ExpansionFamily{block_expansions},
    ExpansionFamily{dynamic_expansions},
    ExpansionFamily{fused_expansions},
    ExpansionFamily{normalization_expansions},
    ExpansionFamily{qlinear_expansions},
    ExpansionFamily{renamed_expansions},
};
// clang-format on

}  // namespace nibble
