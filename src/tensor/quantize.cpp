// The numeric contract in its plainest form. Every fast path is tested against these loops.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "nibble/tensor.h"

namespace nibble {
namespace {

// Walks the groups of a tensor in element order without a division per element.
struct GroupWalk {
  int64_t inner = 1;   // elements below the axis
  int64_t extent = 1;  // of the axis
  int64_t block = 1;   // axis positions that share a group
  int64_t blocks = 1;  // groups along the axis
  bool per_block = false;

  GroupWalk(const QuantParams& params, const Shape& shape) {
    if (params.granularity == Granularity::per_tensor) {
      inner = std::max<int64_t>(shape.elements(), 1);
      return;
    }
    check(params.axis >= 0 && params.axis < shape.rank(), "quantization axis outside the shape");
    inner = shape.elements(params.axis + 1, shape.rank());
    extent = shape[params.axis];
    per_block = params.granularity == Granularity::per_block;
    block = per_block ? params.block_size : 1;
    check(block > 0, "block_size must be positive");
    blocks = (extent + block - 1) / block;
  }
  int64_t group(int64_t index) const {
    if (inner == 0 || extent == 0) return 0;
    const int64_t position = index / inner % extent;
    if (!per_block) return extent == 1 ? 0 : position;
    return (index / (inner * extent) * blocks + position / block) * inner + index % inner;
  }
};

void check_params(const QuantParams& params, const Shape& shape) {
  const auto groups = static_cast<size_t>(quant_groups(params, shape));
  check(params.scale.size() == groups && params.zero_point.size() == groups,
        "scale and zero_point do not match the granularity");
}

}  // namespace

int64_t quant_groups(const QuantParams& params, const Shape& shape) {
  switch (params.granularity) {
    case Granularity::per_tensor:
      return 1;
    case Granularity::per_channel:
      return shape[params.axis];
    case Granularity::per_block:
      break;
  }
  Shape blocks = shape;
  blocks[params.axis] = (shape[params.axis] + params.block_size - 1) / params.block_size;
  return blocks.elements();
}

int64_t quant_group(const QuantParams& params, const Shape& shape, int64_t index) {
  return GroupWalk(params, shape).group(index);
}

Tensor quantize_tensor(const Tensor& real, const QuantParams& params) {
  check_params(params, real.shape());
  const GroupWalk walk(params, real.shape());
  const std::span<const float> in = real.data<float>();
  std::vector<int32_t> codes(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    if (std::isnan(in[i]))
      fail(ErrorCode::invalid_data, "element {} is NaN and cannot be quantized", i);
    const auto group = static_cast<size_t>(walk.group(static_cast<int64_t>(i)));
    // The clamp comes before the conversion, where any float is welcome. nearbyint rounds half to
    // even.
    const float rounded = std::nearbyint(in[i] / params.scale[group]);
    // In double: an int32 bias range does not fit float.
    const double low = static_cast<double>(params.qmin) - params.zero_point[group];
    const double high = static_cast<double>(params.qmax) - params.zero_point[group];
    codes[i] =
        static_cast<int32_t>(std::clamp<double>(rounded, low, high) + params.zero_point[group]);
  }
  return pack_integers(params.storage, real.shape(), codes);
}

Tensor dequantize_tensor(const Tensor& quantized, const QuantParams& params) {
  check_params(params, quantized.shape());
  const GroupWalk walk(params, quantized.shape());
  const std::vector<int32_t> codes = unpack_integers(quantized);
  Tensor result(DType::f32, quantized.shape());
  const std::span<float> out = result.data<float>();
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto group = static_cast<size_t>(walk.group(static_cast<int64_t>(i)));
    out[i] = params.scale[group] * static_cast<float>(codes[i] - params.zero_point[group]);
  }
  return result;
}

}  // namespace nibble
