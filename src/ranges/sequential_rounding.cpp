#include "ranges/sequential_rounding.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "ranges/cholesky.h"
#include "ranges/grid.h"

namespace nibble {
namespace {

constexpr int64_t kWidth = 32;  // outputs that are worked on together
constexpr int64_t kBlock = 32;  // columns whose errors are spread together

size_t index(int64_t i) { return static_cast<size_t>(i); }

}  // namespace

// Some outputs, in [position, kWidth]; those that fill it up are zeros of scale 1.
struct SequentialRounder::Slice {
  const ColumnsToRound& problem;
  int64_t first = 0, outputs = 0;
  std::vector<double> target, error;
  std::vector<float> scale;
  std::vector<float> code;
  std::array<double, kWidth> total{};
};

SequentialRounder::SequentialRounder(std::vector<double> second, std::vector<double> workspace,
                                     double damping, ThreadPool& pool)
    : n_(static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(second.size()))))),
      second_(std::move(second)),
      factor_(std::move(workspace)),
      column_(index(n_)) {
  double trace = 0;
  for (int64_t i = 0; i < n_; ++i) trace += second_[index(i * n_ + i)];
  double extra = trace > 0 ? damping * trace / static_cast<double>(n_) : 1;
  std::iota(column_.begin(), column_.end(), 0);
  std::ranges::stable_sort(column_, {}, [&](int64_t i) { return second_[index(i * n_ + i)]; });
  factor_.resize(second_.size());
  for (;; extra *= 9) {
    for (int64_t i = 0; i < n_; ++i) second_[index(i * n_ + i)] += extra;
    for (int64_t i = 0; i < n_; ++i) {
      const double* row = second_.data() + column_[index(i)] * n_;
      for (int64_t j = 0; j <= i; ++j) factor_[index(i * n_ + j)] = row[column_[index(j)]];
    }
    if (factor_cholesky(factor_, n_, pool)) break;
    check(std::isfinite(extra), "second moments are finite");
  }
}

void SequentialRounder::solve(std::span<double> right, int64_t outputs, ThreadPool& pool) const {
  pool.parallel_ranges(outputs, kWidth, [&](int64_t begin, int64_t end) {
    const int64_t width = end - begin;
    std::vector<double> x(index(n_ * width));
    const auto row_of = [&](int64_t position) { return x.data() + position * width; };
    for (int64_t i = 0; i < n_; ++i) {
      std::copy_n(right.data() + column_[index(i)] * outputs + begin, width, row_of(i));
    }
    for (int64_t i = 0; i < n_; ++i) {
      double* row = row_of(i);
      for (int64_t j = 0; j < i; ++j) {
        const double factor = factor_[index(i * n_ + j)];
        const double* other = row_of(j);
        for (int64_t o = 0; o < width; ++o) row[o] -= factor * other[o];
      }
      for (int64_t o = 0; o < width; ++o) row[o] /= factor_[index(i * n_ + i)];
    }
    for (int64_t i = n_ - 1; i >= 0; --i) {
      double* row = row_of(i);
      for (int64_t o = 0; o < width; ++o) row[o] /= factor_[index(i * n_ + i)];
      for (int64_t j = 0; j < i; ++j) {
        const double factor = factor_[index(i * n_ + j)];
        double* other = row_of(j);
        for (int64_t o = 0; o < width; ++o) other[o] -= factor * row[o];
      }
    }
    for (int64_t i = 0; i < n_; ++i) {
      std::copy_n(row_of(i), width, right.data() + column_[index(i)] * outputs + begin);
    }
  });
}

void SequentialRounder::round_slice(Slice& s) const {
  const auto low = static_cast<float>(s.problem.qmin), high = static_cast<float>(s.problem.qmax);
  const auto spread = [&](int64_t from, int64_t to, int64_t begin, int64_t end) {
    // target[i] += sum over j in [from, to) of L[j, i] / L[i, i] * error[j], for i in [begin, end).
    for (int64_t i = begin; i < end; ++i) {
      double* row = s.target.data() + i * kWidth;
      std::array<double, kWidth> sums{};
      for (int64_t j = from; j < to; ++j) {
        const double factor = factor_[index(j * n_ + i)];
        const double* error = s.error.data() + j * kWidth;
        for (size_t o = 0; o < kWidth; ++o) sums[o] += factor * error[o];
      }
      const double inverse = 1 / factor_[index(i * n_ + i)];
      for (size_t o = 0; o < kWidth; ++o) row[o] += sums[o] * inverse;
    }
  };
  const std::vector<double> original = s.target;
  s.total = {};
  for (int64_t to = n_; to > 0; to -= std::min(to, kBlock)) {
    const int64_t from = std::max<int64_t>(0, to - kBlock);
    for (int64_t i = to - 1; i >= from; --i) {
      if (i + 1 < to) spread(i + 1, to, i, i + 1);
      const double weight = factor_[index(i * n_ + i)] * factor_[index(i * n_ + i)];
      for (int64_t o = 0; o < kWidth; ++o) {
        const size_t at = index(i * kWidth + o);
        s.code[at] = round_code(static_cast<float>(s.target[at]) / s.scale[at], low, high);
        const double real = static_cast<double>(s.code[at]) * static_cast<double>(s.scale[at]);
        s.error[at] = original[at] - real;
        const double rest = s.target[at] - real;
        s.total[index(o)] += weight * rest * rest;
      }
    }
    spread(from, to, 0, from);
  }
  s.target = original;
}

RoundedColumns SequentialRounder::round(const ColumnsToRound& problem, int sweeps,
                                        ThreadPool& pool) const {
  const int64_t outputs = problem.outputs;
  RoundedColumns result{.codes = std::vector<int32_t>(index(n_ * outputs)),
                        .error = std::vector<double>(index(outputs))};
  pool.parallel_for((outputs + kWidth - 1) / kWidth, [&](int64_t part) {
    Slice s{.problem = problem, .first = part * kWidth};
    s.outputs = std::min(kWidth, outputs - s.first);
    const size_t size = index(n_ * kWidth);
    s.target.assign(size, 0);
    s.error.assign(size, 0);
    s.code.assign(size, 0);
    s.scale.assign(size, 1);
    for (int64_t i = 0; i < n_; ++i) {
      const int64_t from = column_[index(i)] * outputs + s.first;
      std::copy_n(problem.target.data() + from, s.outputs, s.target.data() + i * kWidth);
      std::copy_n(problem.scale.data() + from, s.outputs, s.scale.data() + i * kWidth);
    }
    round_slice(s);
    for (int turn = 0; turn < sweeps; ++turn) sweep(s);
    for (int64_t i = 0; i < n_; ++i) {
      for (int64_t o = 0; o < s.outputs; ++o) {
        result.codes[index(column_[index(i)] * outputs + s.first + o)] =
            static_cast<int32_t>(s.code[index(i * kWidth + o)]);
      }
    }
    std::copy_n(s.total.begin(), s.outputs, result.error.begin() + s.first);
  });
  return result;
}

// Coordinate descent: each code in turn to the best one there is, given all the others. Never makes
// the error larger.
void SequentialRounder::sweep(Slice& s) const {
  // Pull of each number: H times the errors.
  std::vector<double> pull(s.error.size(), 0);
  for (int64_t i = 0; i < n_; ++i) {
    const double* row = second_.data() + column_[index(i)] * n_;
    double* sums = pull.data() + i * kWidth;
    for (int64_t j = 0; j < n_; ++j) {
      const double factor = row[column_[index(j)]];
      const double* error = s.error.data() + j * kWidth;
      for (size_t o = 0; o < kWidth; ++o) sums[o] += factor * error[o];
    }
  }
  const auto low = static_cast<float>(s.problem.qmin), high = static_cast<float>(s.problem.qmax);
  for (int64_t i = n_ - 1; i >= 0; --i) {
    const double* row = second_.data() + column_[index(i)] * n_;
    const double own = row[column_[index(i)]];
    for (int64_t o = 0; o < s.outputs; ++o) {
      const size_t at = index(i * kWidth + o);
      const double scale = s.scale[at];
      const auto wanted = static_cast<float>(s.code[at] + pull[at] / (own * scale));
      const float code = round_code(wanted, low, high);
      if (code == s.code[at]) continue;
      const double change = -scale * (static_cast<double>(code) - static_cast<double>(s.code[at]));
      const double gain = change * (2 * pull[at] + change * own);
      if (!(gain < 0)) continue;
      s.total[index(o)] += gain;
      s.code[at] = code;
      s.error[at] += change;
      for (int64_t j = 0; j < n_; ++j) {
        pull[index(j * kWidth + o)] += row[column_[index(j)]] * change;
      }
    }
  }
}

}  // namespace nibble
