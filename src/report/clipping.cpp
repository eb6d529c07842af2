#include "report/clipping.h"

#include <algorithm>

#include "ranges/observer.h"

namespace nibble {
namespace {

Clip clip_of(const QuantParams& params) {
  const float scale = *std::ranges::max_element(params.scale);
  const int32_t zero = params.zero_point.empty() ? 0 : params.zero_point.front();
  return {.bits = params.bits(),
          .low = static_cast<double>(scale) * (params.qmin - zero),
          .high = static_cast<double>(scale) * (params.qmax - zero)};
}

}  // namespace

std::vector<Clip> clips_of(const TensorRange& range, const Graph& graph,
                           std::span<const int> bits) {
  std::vector<Clip> clips;
  if (!range.unusable.empty() || range.total.count == 0) return clips;
  const Tensor* weight = nullptr;
  if (range.is_weight) {
    if (const auto id = graph.find_value(range.name)) weight = &graph.value(*id).data;
    if (weight == nullptr || weight->dtype() != DType::f32) return clips;
  }
  ThreadPool pool(1);
  for (const int count : bits) {
    for (const ObserverRow& observer : observers()) {
      const QuantParams params =
          weight != nullptr
              ? weight_params(*weight, {.axis = range.channel_axis}, count, observer, pool)
              : activation_params(range, count, observer);
      if (params.scale.empty()) continue;
      clips.push_back(clip_of(params));
      clips.back().observer = observer.name;
      clips.back().bits = count;
    }
  }
  return clips;
}

}  // namespace nibble
