// Between Nibble's tensors and libtorch's.
#pragma once

#include <torch/torch.h>

#include "nibble/tensor.h"

namespace nibble {

/// A copy on `device`. Element types that libtorch has no arithmetic for are widened: small
/// integers to int64, half precision to float.
torch::Tensor to_torch(const Tensor& tensor, torch::Device device = torch::kCPU);
/// A copy; float, double, int64, int32 and bool keep their type.
Tensor from_torch(const torch::Tensor& tensor);

}  // namespace nibble
