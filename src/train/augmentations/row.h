// Making the option of a row.
#pragma once

#include <utility>

#include "base/option_rows.h"
#include "nibble/train.h"

namespace nibble {

template <typename Member>
OptionRow<TrainOptions> strength(OptionSpec spec, Member TrainOptions::*member) {
  return option<TrainOptions>(
      std::move(spec), [member](auto& o) -> auto& { return o.*member; });
}

}  // namespace nibble
