#include "ranges/observer.h"

#include <algorithm>

#include "base/table.h"
#include "ranges/observers/list.h"

namespace nibble {
namespace {

float min_max_scale(std::span<const float> weights, const BitCodes& codes) {
  double scale = 0;
  for (const float weight : weights) {
    const double w = weight;
    scale = std::max(scale, w > 0 ? w / codes.qmax : w / codes.qmin);
  }
  return static_cast<float>(scale);
}

}  // namespace

std::span<const ObserverRow> observers() {
  static const std::vector<ObserverRow> rows = observer_rows();
  return rows;
}

const ObserverRow& find_observer(std::string_view name) {
  return find_row(observers(), "observer", name);
}

std::vector<Choice> observer_choices() { return choices_of(observers()); }

QuantParams activation_params(const TensorRange& range, int bits, const Observer& observer,
                              Symmetry symmetry) {
  const BitCodes codes = activation_codes(bits, symmetry);
  const Grid grid = observer.row->activation(range, codes, symmetry, observer.percentile);
  return {.storage = codes.storage,
          .qmin = codes.qmin,
          .qmax = codes.qmax,
          .scale = {grid.scale},
          .zero_point = {grid.zero_point}};
}

float weight_scale(std::span<const float> weights, const BitCodes& codes,
                   const Observer& observer) {
  const float widest = min_max_scale(weights, codes);
  return widest >= kSmallestScale
             ? observer.row->weight(weights, codes, widest, observer.percentile)
             : 1.0F;
}

QuantParams weight_params(const Tensor& weight, WeightGrouping grouping, int bits,
                          const Observer& observer, ThreadPool& pool) {
  const BitCodes codes = weight_codes(bits);
  QuantParams params{.storage = codes.storage, .qmin = codes.qmin, .qmax = codes.qmax};
  if (grouping.axis >= 0) {
    params.granularity =
        grouping.block_size > 0 ? Granularity::per_block : Granularity::per_channel;
    params.axis = grouping.axis;
    params.block_size = grouping.block_size;
  }
  const std::span<const float> values = weight.data<float>();
  const auto groups = static_cast<size_t>(quant_groups(params, weight.shape()));
  std::vector<std::vector<float>> members(groups);
  for (size_t i = 0; i < values.size(); ++i) {
    members[static_cast<size_t>(quant_group(params, weight.shape(), static_cast<int64_t>(i)))]
        .push_back(values[i]);
  }
  params.scale.resize(groups);
  params.zero_point.assign(groups, 0);
  pool.parallel_for(static_cast<int64_t>(groups), [&](int64_t group) {
    const auto g = static_cast<size_t>(group);
    params.scale[g] = weight_scale(members[g], codes, observer);
  });
  return params;
}

}  // namespace nibble
