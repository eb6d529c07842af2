#include "quant/orthogonal.h"

#include <cmath>
#include <numeric>

#include "base/check.h"
#include "base/random.h"

namespace nibble {
namespace {

size_t at(int64_t i) { return static_cast<size_t>(i); }

// 0, or 1 and -1 for squares and others modulo the prime.
int legendre(int64_t x, int64_t prime) {
  x = ((x % prime) + prime) % prime;
  if (x == 0) return 0;
  for (int64_t root = 1; root < prime; ++root) {
    if (root * root % prime == x) return 1;
  }
  return -1;
}

// Paley's first construction, for a prime that leaves 3 modulo 4: a Hadamard matrix of prime + 1
// rows, here over the root of that.
std::vector<double> paley(int64_t order) {
  const int64_t prime = order - 1;
  std::vector<double> matrix(at(order * order));
  const double size = 1 / std::sqrt(static_cast<double>(order));
  for (int64_t i = 0; i < order; ++i) {
    for (int64_t j = 0; j < order; ++j) {
      int entry = i == j ? 1 : 0;  // I + S
      if (i != j) entry = i == 0 ? 1 : (j == 0 ? -1 : legendre(j - i, prime));
      matrix[at(i * order + j)] = entry * size;
    }
  }
  return matrix;
}

// Rows drawn from a normal distribution and made orthogonal one after another (twice, for rounding
// errors): uniform over all orthogonal matrices.
std::vector<double> random_orthogonal(int64_t order, Random& random) {
  std::vector<double> matrix(at(order * order));
  const auto row = [&](int64_t i) { return std::span(matrix).subspan(at(i * order), at(order)); };
  for (int64_t i = 0; i < order; ++i) {
    const std::span<double> own = row(i);
    for (double& x : own) x = random.normal();
    for (int turn = 0; turn < 2; ++turn) {
      for (int64_t j = 0; j < i; ++j) {
        const std::span<double> other = row(j);
        const double along = std::inner_product(own.begin(), own.end(), other.begin(), 0.0);
        for (size_t k = 0; k < own.size(); ++k) own[k] -= along * other[k];
      }
    }
    const double length = std::sqrt(std::inner_product(own.begin(), own.end(), own.begin(), 0.0));
    for (double& x : own) x /= length;
  }
  return matrix;
}

// The part of the width that is no power of two, or such a multiple of it that a Hadamard matrix
// of it is known.
int64_t core_of(int64_t width) {
  int64_t odd = width;
  while (odd % 2 == 0) odd /= 2;
  const bool known = (odd == 3 || odd == 5) && width % (4 * odd) == 0;
  return known ? 4 * odd : odd;
}

}  // namespace

OrthogonalMix::OrthogonalMix(int64_t width, uint64_t seed) : width_(width), core_(core_of(width)) {
  check(width > 0, "a width");
  Random random(seed);
  if (core_ > 1) {
    matrix_ = core_ % 4 == 0 ? paley(core_) : random_orthogonal(core_, random);
  }
  for (int64_t i = 0; i < width; ++i) signs_.push_back(random.below(2) == 0 ? 1 : -1);
  std::vector<double> direction(at(width), 1);
  mix(direction);
  double square = 0;
  for (double& x : direction) {
    x -= 1;
    square += x * x;
  }
  if (square < 1e-20) return;  // nothing is left to reflect
  for (double& x : direction) x *= std::sqrt(2 / square);
  reflected_ = std::move(direction);
}

void OrthogonalMix::mix(std::span<double> v) const {
  for (size_t i = 0; i < v.size(); ++i) v[i] *= signs_[i];
  const int64_t rest = width_ / core_;
  for (int64_t step = 1; step < rest; step *= 2) {
    for (int64_t first = 0; first < width_; first += 2 * step) {
      for (int64_t i = first; i < first + step; ++i) {
        const double a = v[at(i)], b = v[at(i + step)];
        v[at(i)] = a + b;
        v[at(i + step)] = a - b;
      }
    }
  }
  const double size = 1 / std::sqrt(static_cast<double>(rest));
  for (double& x : v) x *= size;
  if (core_ == 1) return;
  std::vector<double> column(at(core_));
  for (int64_t i = 0; i < rest; ++i) {
    for (int64_t c = 0; c < core_; ++c) column[at(c)] = v[at(c * rest + i)];
    for (int64_t r = 0; r < core_; ++r) {
      double sum = 0;
      for (int64_t c = 0; c < core_; ++c) sum += matrix_[at(r * core_ + c)] * column[at(c)];
      v[at(r * rest + i)] = sum;
    }
  }
}

void OrthogonalMix::apply(std::span<double> v) const {
  check(std::ssize(v) == width_, "a vector of the matrix' width");
  mix(v);
  if (reflected_.empty()) return;
  const double along = std::inner_product(v.begin(), v.end(), reflected_.begin(), 0.0);
  for (size_t i = 0; i < v.size(); ++i) v[i] -= along * reflected_[i];
}

}  // namespace nibble
