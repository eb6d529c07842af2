#include "ranges/layer_moments.h"

#include <algorithm>

#include "base/random.h"
#include "ops/support/blas.h"

namespace nibble {
namespace {

constexpr int64_t kPanel = 256;  // columns of a product at a time

// `wanted` of [0, count), in order, each equally likely (Knuth, TAOCP 2, algorithm S).
std::vector<int64_t> draw_rows(int64_t count, int64_t wanted, Random& random) {
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < count && std::ssize(rows) < wanted; ++row) {
    const auto missing = static_cast<uint64_t>(wanted - std::ssize(rows));
    if (random.below(static_cast<uint64_t>(count - row)) < missing) rows.push_back(row);
  }
  return rows;
}

class Accumulator {
 public:
  Accumulator(const LayerMatrix& layer, const MomentOptions& options, ThreadPool& pool)
      : layer_(layer), pool_(pool) {
    for (int64_t group = 0; group < layer.groups(); ++group) {
      for (int64_t first = 0; first < layer.depth(); first += options.columns) {
        const int64_t columns = std::min(options.columns, layer.depth() - first);
        const auto n = static_cast<size_t>(columns);
        ColumnMoments run{.group = group, .first = first, .columns = columns};
        run.second.assign(n * n, 0);
        run.mean.assign(n, 0);
        run.float_mean.assign(n, 0);
        runs_.push_back(std::move(run));
      }
    }
  }

  void add(const LayerBatch& batch, std::span<const int64_t> rows) {
    const bool drifts = batch.data.raw() != batch.quantized_data.raw();
    // As many rows at a time as make the gathered data a few megabytes.
    constexpr int64_t kElements = int64_t{1} << 21;
    const int64_t chunk = std::clamp<int64_t>(kElements / layer_.depth(), 64, 4096);
    for (int64_t at = 0; at < std::ssize(rows); at += chunk) {
      const int64_t count = std::min<int64_t>(chunk, std::ssize(rows) - at);
      const auto part = rows.subspan(static_cast<size_t>(at), static_cast<size_t>(count));
      if (layer_.groups() == 1) {
        add_group(batch, drifts, part, 0, pool_);
      } else {
        pool_.parallel_for(layer_.groups(), [&](int64_t group) {
          ThreadPool alone(1);
          add_group(batch, drifts, part, group, alone);
        });
      }
    }
    rows_ += std::ssize(rows);
  }

  std::vector<ColumnMoments> finish() {
    const double scale = rows_ == 0 ? 0 : 1.0 / static_cast<double>(rows_);
    for (ColumnMoments& run : runs_) {
      const auto n = static_cast<size_t>(run.columns);
      for (size_t i = 0; i < n; ++i) {
        for (size_t j = i; j < n; ++j) {
          run.second[i * n + j] *= scale;
          run.second[j * n + i] = run.second[i * n + j];
        }
      }
      for (auto* sums : {&run.drift, &run.mean, &run.float_mean}) {
        for (double& sum : *sums) sum *= scale;
      }
    }
    return std::move(runs_);
  }

 private:
  void add_group(const LayerBatch& batch, bool drifts, std::span<const int64_t> rows, int64_t group,
                 ThreadPool& pool) {
    const int64_t depth = layer_.depth(), count = std::ssize(rows);
    std::vector<float> quantized(static_cast<size_t>(count * depth)), lost;
    if (drifts) lost.resize(quantized.size());
    pool.parallel_ranges(count, 32, [&](int64_t begin, int64_t end) {
      const auto part = rows.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
      float* q = quantized.data() + begin * depth;
      layer_.gather(batch.quantized_data, group, part, q);
      if (!drifts) return;
      float* x = lost.data() + begin * depth;
      layer_.gather(batch.data, group, part, x);
      for (int64_t i = 0; i < (end - begin) * depth; ++i) x[i] -= q[i];
    });
    const auto own = std::ssize(runs_) / layer_.groups();
    for (int64_t r = group * own; r < (group + 1) * own; ++r) {
      ColumnMoments& run = runs_[static_cast<size_t>(r)];
      add_means(run, quantized, lost, count);
      add_products(run, quantized, quantized, run.second, count, true, pool);
      if (!drifts) continue;
      run.drift.resize(run.second.size());
      add_products(run, quantized, lost, run.drift, count, false, pool);
    }
  }

  void add_means(ColumnMoments& run, std::span<const float> quantized, std::span<const float> lost,
                 int64_t rows) const {
    const auto depth = static_cast<size_t>(layer_.depth());
    for (size_t row = 0; row < static_cast<size_t>(rows); ++row) {
      for (size_t k = 0; k < run.mean.size(); ++k) {
        const size_t at = row * depth + static_cast<size_t>(run.first) + k;
        const double q = quantized[at];
        run.mean[k] += q;
        run.float_mean[k] += lost.empty() ? q : q + static_cast<double>(lost[at]);
      }
    }
  }

  // sums += a^T b within the columns of the run; of a symmetric product the upper triangle.
  void add_products(const ColumnMoments& run, std::span<const float> a, std::span<const float> b,
                    std::vector<double>& sums, int64_t rows, bool symmetric, ThreadPool& pool) {
    const int64_t n = run.columns, depth = layer_.depth();
    pool.parallel_for((n + kPanel - 1) / kPanel, [&](int64_t panel) {
      const int64_t begin = panel * kPanel, end = std::min(n, begin + kPanel), width = end - begin;
      const int64_t height = symmetric ? end : n;
      std::vector<float> product(static_cast<size_t>(height * width));
      multiply_transposed({.a = a.data() + run.first,
                           .b = b.data() + run.first + begin,
                           .out = product.data(),
                           .rows = rows,
                           .height = height,
                           .width = width,
                           .stride = depth});
      for (int64_t i = 0; i < height; ++i) {
        for (int64_t j = 0; j < width; ++j) {
          sums[static_cast<size_t>(i * n + begin + j)] +=
              product[static_cast<size_t>(i * width + j)];
        }
      }
    });
  }

  const LayerMatrix& layer_;
  ThreadPool& pool_;
  std::vector<ColumnMoments> runs_;
  int64_t rows_ = 0;
};

}  // namespace

void ColumnMoments::center() {
  const size_t n = mean.size();
  for (size_t i = 0; i < n; ++i) {
    for (size_t j = 0; j < n; ++j) {
      second[i * n + j] -= mean[i] * mean[j];
      if (!drift.empty()) drift[i * n + j] -= mean[i] * (float_mean[j] - mean[j]);
    }
    second[i * n + i] = std::max(0.0, second[i * n + i]);
  }
}

std::vector<ColumnMoments> layer_moments(const LayerMatrix& layer, const LayerSamples& samples,
                                         const MomentOptions& options, ThreadPool& pool) {
  Accumulator accumulator(layer, options, pool);
  Random random(options.seed);
  const int64_t size = std::max<int64_t>(samples.size(), 1);
  samples.visit([&](const LayerBatch& batch) {
    const int64_t rows = layer.rows(batch.data.shape());
    const int64_t share = (options.rows * batch.samples + size - 1) / size;
    accumulator.add(batch, draw_rows(rows, std::min(rows, share), random));
  });
  return accumulator.finish();
}

}  // namespace nibble
