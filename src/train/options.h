// The table of training options: what flags and other languages can say. A new option is a field of
// TrainOptions and a row in options.cpp.
#pragma once

#include <span>

#include "base/options.h"
#include "nibble/train.h"

#pragma GCC visibility push(default)
namespace nibble {

std::span<const OptionRow<TrainOptions>> train_option_rows();

/// Whether the trained network depends on the option: not what is merely kept or told on the way.
bool shapes_result(const OptionSpec& spec);

}  // namespace nibble
#pragma GCC visibility pop
