// Results that Python holds because verbs take them again.
#pragma once

#include <memory>

#include "nibble/ranges.h"

namespace nibble::python {

struct Ranges {
  std::shared_ptr<const RangeReport> report;
};

}  // namespace nibble::python
