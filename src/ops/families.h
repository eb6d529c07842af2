// The operator families: each is a table of rows in the file of the same name.
#pragma once

#include <array>
#include <span>

#include "ops/op.h"

namespace nibble {

using OpFamily = std::span<const OpRow> (*)();

std::span<const OpRow> conv_ops();
std::span<const OpRow> identity_ops();

inline constexpr std::array kFamilies = {
    OpFamily{conv_ops},
    OpFamily{identity_ops},
};

}  // namespace nibble
