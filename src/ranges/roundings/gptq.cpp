// GPTQ (Frantar et al. 2022, arXiv:2210.17323; OBQ, arXiv:2208.11580): columns of a weight are
// rounded one after another, and those still open take back what each error does to the layer's
// result, as the second moments of its data say.
#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "ranges/grid.h"
#include "ranges/layer_moments.h"
#include "ranges/roundings/list.h"
#include "ranges/sequential_rounding.h"

namespace nibble {
namespace {

constexpr double kDamping = 0.01;  // as in the paper
constexpr int kSweeps = 2;
// Scales that are tried, as parts of the observer's: those of least squared error of the weights
// clip too much for the layer's result.
constexpr std::array kScaleFactors = {0.8, 0.88, 0.96, 1.04, 1.12, 1.2, 1.3, 1.4};

size_t index(int64_t i) { return static_cast<size_t>(i); }

float scaled(float scale, double factor) {
  return static_cast<float>(std::max(kSmallestScale, scale * factor));
}

class GptqLayer {
 public:
  GptqLayer(const WeightToRound& layer, const LayerMatrix& matrix, ThreadPool& pool)
      : layer_(layer),
        matrix_(matrix),
        pool_(pool),
        codes_(index(layer.weight.elements())),
        scales_(layer.params.scale) {
    if (layer.mean_is_free) mean_error_.assign(index(matrix.groups() * matrix.outputs()), 0);
  }

  void round(ColumnMoments moments) {
    const auto is_finite = [](double x) { return std::isfinite(x); };
    if (!std::ranges::all_of(moments.second, is_finite) ||
        !std::ranges::all_of(moments.drift, is_finite)) {
      fail(ErrorCode::invalid_data,
           "its data are not finite for every sample, or too large to be squared, and the rounding "
           "method gptq cannot use them; round to nearest, or skip the layer");
    }
    if (layer_.mean_is_free) moments.center();
    ColumnsToRound problem = weights_of(moments);
    const std::vector<double> weights = problem.target;
    std::vector<double> shift = pull_of_drift(moments, problem);
    const SequentialRounder rounder(std::move(moments.second), std::move(moments.drift), kDamping,
                                    pool_);
    if (!shift.empty()) {
      rounder.solve(shift, problem.outputs, pool_);
      for (size_t i = 0; i < shift.size(); ++i) problem.target[i] += shift[i];
    }
    if (owns_scales(moments)) search_scales(rounder, problem, moments);
    const RoundedColumns best = rounder.round(problem, kSweeps, pool_);
    take(moments, problem, best, weights);
  }

  RoundedWeight result() && {
    RoundedWeight rounded{.codes =
                              pack_integers(layer_.params.storage, layer_.weight.shape(), codes_)};
    if (changed_scales_) rounded.scales = std::move(scales_);
    rounded.mean_error = std::move(mean_error_);
    return rounded;
  }

 private:
  int64_t element(const ColumnMoments& run, int64_t column, int64_t output) const {
    return matrix_.element(run.group, output, run.first + column);
  }
  size_t group_of(const ColumnMoments& run, int64_t column, int64_t output) const {
    return index(quant_group(layer_.params, layer_.weight.shape(), element(run, column, output)));
  }

  ColumnsToRound weights_of(const ColumnMoments& run) const {
    ColumnsToRound problem{
        .outputs = matrix_.outputs(), .qmin = layer_.params.qmin, .qmax = layer_.params.qmax};
    const std::span<const float> weight = layer_.weight.data<float>();
    for (int64_t k = 0; k < run.columns; ++k) {
      for (int64_t o = 0; o < problem.outputs; ++o) {
        problem.target.push_back(weight[index(element(run, k, o))]);
        problem.scale.push_back(scales_[group_of(run, k, o)]);
      }
    }
    return problem;
  }

  // E[q (x - q)^T] w: what the weights have to make up for, for each column and output.
  std::vector<double> pull_of_drift(const ColumnMoments& run, const ColumnsToRound& problem) const {
    if (run.drift.empty()) return {};
    const int64_t outputs = problem.outputs;
    std::vector<double> right(problem.target.size(), 0);
    pool_.parallel_for(run.columns, [&](int64_t i) {
      double* sums = right.data() + i * outputs;
      for (int64_t j = 0; j < run.columns; ++j) {
        const double factor = run.drift[index(i * run.columns + j)];
        const double* weight = problem.target.data() + j * outputs;
        for (int64_t o = 0; o < outputs; ++o) sums[o] += factor * weight[o];
      }
    });
    return right;
  }

  // Each output of the run has a scale that no other weight shares.
  bool owns_scales(const ColumnMoments& run) const {
    return layer_.may_change_scales && run.columns == matrix_.depth() &&
           layer_.params.granularity == Granularity::per_channel &&
           std::ssize(scales_) == matrix_.groups() * matrix_.outputs();
  }

  void search_scales(const SequentialRounder& rounder, ColumnsToRound& problem,
                     const ColumnMoments& run) {
    const int64_t outputs = problem.outputs;
    std::vector<double> least = rounder.round(problem, 0, pool_).error;
    std::vector<double> chosen(index(outputs), 1);
    const std::vector<float> start = problem.scale;
    for (const double factor : kScaleFactors) {
      for (size_t i = 0; i < start.size(); ++i) {
        problem.scale[i] = scaled(start[i], factor);
      }
      const RoundedColumns tried = rounder.round(problem, 0, pool_);
      for (size_t o = 0; o < chosen.size(); ++o) {
        if (!(tried.error[o] < least[o])) continue;
        least[o] = tried.error[o];
        chosen[o] = factor;
      }
    }
    for (size_t i = 0; i < start.size(); ++i) {
      problem.scale[i] = scaled(start[i], chosen[i % chosen.size()]);
    }
    for (int64_t o = 0; o < outputs; ++o) {
      scales_[group_of(run, 0, o)] = problem.scale[index(o)];
    }
    changed_scales_ = true;
  }

  void take(const ColumnMoments& run, const ColumnsToRound& problem, const RoundedColumns& rounded,
            std::span<const double> weights) {
    for (int64_t k = 0; k < run.columns; ++k) {
      for (int64_t o = 0; o < problem.outputs; ++o) {
        const size_t at = index(k * problem.outputs + o);
        codes_[index(element(run, k, o))] = rounded.codes[at];
        if (mean_error_.empty()) continue;
        mean_error_[index(run.group * problem.outputs + o)] +=
            static_cast<double>(problem.scale[at]) * rounded.codes[at] * run.mean[index(k)] -
            weights[at] * run.float_mean[index(k)];
      }
    }
  }

  const WeightToRound& layer_;
  const LayerMatrix& matrix_;
  ThreadPool& pool_;
  std::vector<int32_t> codes_;
  std::vector<float> scales_;
  bool changed_scales_ = false;
  std::vector<double> mean_error_;
};

std::vector<RoundedWeight> round_by_gptq(const RoundingScope& scope, ThreadPool& pool) {
  std::vector<RoundedWeight> rounded;
  for (const WeightToRound& layer : scope.weights) {
    scope.progress.report(0);
    const auto matrix = layer_matrix(*layer.node, layer.weight.shape());
    if (matrix == nullptr) {
      rounded.push_back({.codes = quantize_tensor(layer.weight, layer.params)});
      continue;
    }
    GptqLayer work(layer, *matrix, pool);
    const MomentOptions options{.seed = scope.seed};
    for (ColumnMoments& run : layer_moments(*matrix, *layer.samples, options, pool)) {
      work.round(std::move(run));
    }
    rounded.push_back(std::move(work).result());
  }
  return rounded;
}

}  // namespace

RoundingRow gptq_rounding() {
  return {.name = "gptq",
          .summary = "looks at data: weights still open take back what rounding the others did",
          .needs_layer_samples = true,
          .round = round_by_gptq};
}

}  // namespace nibble
