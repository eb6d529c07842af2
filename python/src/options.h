// Settings of verbs from the keyword arguments of Python, which are keys of the tables.
#pragma once

#include <string>

#include "quant/settings.h"
#include "verbs/goal.h"
#include "verbs/train.h"

namespace nibble::python {

/// `json` is an object of keys of quantize_option_rows(), and of "layers".
QuantizeSettings quantize_settings(const std::string& json);
/// Likewise of goal_option_rows().
Goal goal_of(const std::string& json);
/// Likewise of train_option_rows(), over what is usual for the verb.
TrainChoices train_choices(const std::string& json);

}  // namespace nibble::python
