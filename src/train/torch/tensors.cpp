#include "train/torch/tensors.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace nibble {
namespace {

torch::ScalarType torch_type(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return torch::kFloat;
    case DType::f64:
      return torch::kDouble;
    case DType::i64:
      return torch::kLong;
    case DType::i32:
      return torch::kInt;
    case DType::boolean:
      return torch::kBool;
    default:
      fail(ErrorCode::unsupported, "training has no tensors of {}", name_of(dtype));
  }
}

DType nibble_type(torch::ScalarType type) {
  switch (type) {
    case torch::kFloat:
      return DType::f32;
    case torch::kDouble:
      return DType::f64;
    case torch::kLong:
      return DType::i64;
    case torch::kInt:
      return DType::i32;
    case torch::kBool:
      return DType::boolean;
    default:
      fail(ErrorCode::unsupported, "a libtorch tensor of {} has no counterpart",
           torch::toString(type));
  }
}

DType arithmetic_type(DType dtype) {
  if (dtype == DType::f16 || dtype == DType::bf16) return DType::f32;
  const bool kept = dtype == DType::i64 || dtype == DType::i32 || !is_integer(dtype);
  return kept ? dtype : DType::i64;
}

}  // namespace

double size_of(const torch::Tensor& tensor) {
  return std::max(tensor.detach().square().mean().sqrt().item<double>(), 1e-3);
}

torch::Tensor to_torch(const Tensor& tensor, torch::Device device) {
  const DType dtype = arithmetic_type(tensor.dtype());
  const Tensor source = dtype == tensor.dtype() ? tensor : convert(tensor, dtype);
  const std::vector<int64_t> sizes(source.shape().begin(), source.shape().end());
  torch::Tensor result = torch::empty(sizes, torch_type(dtype));
  if (source.bytes() > 0) std::memcpy(result.data_ptr(), source.raw(), source.bytes());
  return result.to(device);
}

Tensor from_torch(const torch::Tensor& tensor) {
  const torch::Tensor source = tensor.detach().to(torch::kCPU).contiguous();
  const std::vector<int64_t> sizes = source.sizes().vec();
  Tensor result(nibble_type(source.scalar_type()), Shape(std::span(sizes)));
  if (result.bytes() > 0) std::memcpy(result.raw(), source.data_ptr(), result.bytes());
  return result;
}

}  // namespace nibble
