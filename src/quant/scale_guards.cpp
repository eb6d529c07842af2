#include "quant/scale_guards.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "ranges/grid.h"

namespace nibble {
namespace {

constexpr double kLargestSum = 2147483647.0;

// Sum of |codes| of each output channel.
std::vector<double> channel_sums(const Tensor& codes, const WeightIndex& index) {
  std::vector<double> sums(static_cast<size_t>(index.outputs()), 0);
  const std::vector<int32_t> integers = unpack_integers(codes);
  for (size_t i = 0; i < integers.size(); ++i) {
    sums[static_cast<size_t>(index.output(static_cast<int64_t>(i)))] += std::abs(integers[i]);
  }
  return sums;
}

// Two weights that meet, as reals.
struct RealPair {
  float first = 0, second = 0;
};

// The pairs of one scale that rounding to nearest leaves unsafe.
class UnsafeGroup {
 public:
  UnsafeGroup(const QuantParams& params, int32_t greatest_code)
      : qmin_(static_cast<float>(params.qmin)),
        qmax_(static_cast<float>(params.qmax)),
        limit_(largest_pair_sum(greatest_code)) {}

  void see_codes(const PairSum& sum) { worst_ = std::max({worst_, sum.above, sum.below}); }
  bool has_unsafe_codes() const { return worst_ > limit_; }
  void see_weights(const RealPair& pair, float scale) {
    if (!is_safe_at(pair, scale)) pairs_.push_back(pair);
  }

  // A pair that is safe at a scale is so at all larger ones: codes only get smaller.
  float least_scale(float scale) const {
    if (pairs_.empty()) {  // another method rounded less evenly than to nearest
      return scale * (static_cast<float>(worst_) / static_cast<float>(limit_));
    }
    uint32_t low = std::bit_cast<uint32_t>(scale);  // positive floats are ordered as integers are
    float safe = 2 * scale;
    while (!all_safe_at(safe)) safe *= 2;
    uint32_t high = std::bit_cast<uint32_t>(safe);
    while (high - low > 1) {
      const uint32_t middle = low + (high - low) / 2;
      (all_safe_at(std::bit_cast<float>(middle)) ? high : low) = middle;
    }
    return std::bit_cast<float>(high);
  }

 private:
  int32_t code(float weight, float scale) const {
    return static_cast<int32_t>(round_code(weight / scale, qmin_, qmax_));
  }
  bool is_safe_at(const RealPair& pair, float scale) const {
    const PairSum sum = pair_sum(code(pair.first, scale), code(pair.second, scale));
    return std::max(sum.above, sum.below) <= limit_;
  }
  bool all_safe_at(float scale) const {
    return std::ranges::all_of(pairs_,
                               [&](const RealPair& pair) { return is_safe_at(pair, scale); });
  }

  float qmin_, qmax_;
  int32_t limit_;
  int32_t worst_ = 0;
  std::vector<RealPair> pairs_;
};

std::vector<WeightPairs> in_orders(const Node& node, const Shape& weight,
                                   std::span<const PairOrder> orders) {
  std::vector<WeightPairs> pairs;
  for (const PairOrder order : orders) pairs.emplace_back(node, weight, order);
  return pairs;
}

}  // namespace

AccumulatorGuard::AccumulatorGuard(const QuantParams& input, std::span<const float> bias)
    : step_(input.scale[0]),
      reach_(std::max(input.qmax - input.zero_point[0], input.zero_point[0] - input.qmin)),
      least_(static_cast<float>(std::max(kSmallestScale, 2 * kSmallestScale / step_))),
      bias_(bias) {}

bool AccumulatorGuard::widen(const Tensor& codes, const WeightIndex& index, QuantParams& params,
                             bool may_shrink) const {
  const std::vector<double> sums = channel_sums(codes, index);
  bool changed = false;
  const bool own_scale = params.scale.size() == sums.size() && sums.size() > 1;
  for (size_t c = 0; c < sums.size(); ++c) {
    float& scale = params.scale[c % params.scale.size()];
    const double wanted = wanted_scale(sums[c], c, scale, may_shrink && own_scale);
    if (wanted == static_cast<double>(scale)) continue;
    scale = static_cast<float>(wanted);
    changed = true;
  }
  return changed;
}

double AccumulatorGuard::wanted_scale(double sum, size_t channel, double scale,
                                      bool may_shrink) const {
  const double bias = bias_.empty() ? 0 : std::abs(static_cast<double>(bias_[channel]));
  // 2^24: as many steps as a float has.
  if (sum == 0 && bias > 0 && may_shrink) {
    return std::max(static_cast<double>(static_cast<float>(bias / (step_ * 0x1p24))), least_);
  }
  const double total = sum * reach_ + bias / (step_ * scale) + 1;
  return std::max(total <= kLargestSum ? scale : scale * (total / kLargestSum) * 1.01, least_);
}

PairGuard::PairGuard(const Node& node, const Shape& weight, std::span<const PairOrder> orders,
                     int32_t greatest_code)
    : PairGuard(in_orders(node, weight, orders), greatest_code) {}

PairGuard::PairGuard(std::vector<WeightPairs> pairs, int32_t greatest_code)
    : pairs_(std::move(pairs)), greatest_code_(greatest_code) {}

bool PairGuard::widen(const Tensor& weight, const Tensor& codes, QuantParams& params) const {
  if (pairs_.empty()) return false;
  const std::vector<int32_t> integers = unpack_integers(codes);
  std::vector<UnsafeGroup> groups(params.scale.size(), UnsafeGroup(params, greatest_code_));
  const auto group_of = [&](int64_t output) {
    return static_cast<size_t>(output) % params.scale.size();
  };
  const auto at = [](const auto& values, int64_t i) {
    return i < 0 ? 0 : values[static_cast<size_t>(i)];
  };
  for (const WeightPairs& order : pairs_) {
    order.for_each([&](int64_t output, int64_t first, int64_t second) {
      groups[group_of(output)].see_codes(pair_sum(at(integers, first), at(integers, second)));
    });
  }
  if (std::ranges::none_of(groups, &UnsafeGroup::has_unsafe_codes)) return false;
  const std::span<const float> reals = weight.data<float>();
  for (const WeightPairs& order : pairs_) {
    order.for_each([&](int64_t output, int64_t first, int64_t second) {
      const size_t group = group_of(output);
      if (!groups[group].has_unsafe_codes()) return;
      groups[group].see_weights({at(reals, first), at(reals, second)}, params.scale[group]);
    });
  }
  for (size_t g = 0; g < groups.size(); ++g) {
    if (groups[g].has_unsafe_codes()) params.scale[g] = groups[g].least_scale(params.scale[g]);
  }
  return true;
}

std::vector<PairOrder> pair_orders(const QuantizeOptions& options) {
  if (!options.pair_safe) return {};
  return find_target(options.target).pair_orders;
}

}  // namespace nibble
