#include "train/torch/pair_limit.h"

#include <vector>

namespace nibble {

PairLimit::PairLimit(const WeightPairs& pairs, torch::Device device) : rows_(pairs.rows()) {
  std::vector<int32_t> elements;
  const auto none = static_cast<int32_t>(pairs.rows() * pairs.runs() * pairs.length());
  pairs.for_each([&](int64_t /*output*/, int64_t first, int64_t second) {
    elements.push_back(static_cast<int32_t>(first));
    elements.push_back(second < 0 ? none : static_cast<int32_t>(second));
  });
  elements_ = torch::tensor(elements, torch::kInt).to(device);
}

torch::Tensor PairLimit::worst(const torch::Tensor& codes, int64_t scales) const {
  const torch::Tensor padded = torch::constant_pad_nd(codes.flatten(), {0, 1});
  const torch::Tensor by_row = padded.index_select(0, elements_).view({rows_, -1, 2});
  const torch::Tensor above = by_row.clamp_min(0).sum(2).amax(1);
  const torch::Tensor below = by_row.clamp_max(0).sum(2).neg_().amax(1);
  // Row r is of output channel r % channels, which has scale r % scales: channels are a multiple.
  return torch::maximum(above, below).view({rows_ / scales, scales}).amax(0);
}

}  // namespace nibble
