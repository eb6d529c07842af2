// The targets: one row each, in the file of the same name.
#pragma once

#include <vector>

#include "nibble/target.h"

namespace nibble {

Target onnxruntime_target();
Target openvino_target();
Target tensorrt_target();
Target native_target();

// One to a line, as help lists them; the first is the default.
// clang-format off
inline std::vector<Target> target_rows() {
  return {
      onnxruntime_target(),
      openvino_target(),
      tensorrt_target(),
      native_target(),
  };
}
// clang-format on

}  // namespace nibble
