// Functions that a model defines for itself.
#pragma once

#include "onnx/proto.h"

namespace nibble {

/// Replaces every call of one of the model's functions, in bodies and in other functions too, by
/// the function's nodes, and forgets the functions. Values get names that nobody has; attributes
/// that refer to the call's become those, or the function's defaults, or are left out. A function
/// of an older opset is raised to the model's. Throws Error naming the call.
void inline_functions(schema::ModelProto& model);

}  // namespace nibble
