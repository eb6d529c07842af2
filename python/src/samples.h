// Where samples come from, as Python says it.
#pragma once

#include "verbs/samples.h"

namespace nibble::python {

/// A Dataset that Python holds.
struct Samples {
  std::shared_ptr<const Dataset> data;
};

}  // namespace nibble::python
