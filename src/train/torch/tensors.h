// Between Nibble's tensors and libtorch's.
#pragma once

#include <torch/torch.h>

#include "nibble/tensor.h"

namespace nibble {

/// What a rate of a thousandth means for a tensor that is trained on to be a little better: a
/// thousandth of its entries (their root mean square), whatever their units. Zeros have none.
double size_of(const torch::Tensor& tensor);

/// A copy on `device`. Element types that libtorch has no arithmetic for are widened: small
/// integers to int64, half precision to float.
torch::Tensor to_torch(const Tensor& tensor, torch::Device device = torch::kCPU);
/// A copy; float, double, int64, int32 and bool keep their type.
Tensor from_torch(const torch::Tensor& tensor);

}  // namespace nibble
