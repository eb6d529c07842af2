// Rounding columns one after another, against the formulas of the papers in plain loops.
#include "ranges/sequential_rounding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/random.h"
#include "ranges/cholesky.h"

namespace nibble {
namespace {

using Matrix = std::vector<double>;  // [n, n]

size_t at(int64_t row, int64_t column, int64_t columns) {
  return static_cast<size_t>(row * columns + column);
}

// Second moments of `rows` rows of numbers that have a part in common.
Matrix correlated(int64_t n, int64_t rows, uint64_t seed) {
  Random random(seed);
  Matrix second(static_cast<size_t>(n * n), 0);
  std::vector<double> spread(static_cast<size_t>(n));
  for (double& s : spread) s = 0.2 + random.uniform();
  std::vector<double> x(static_cast<size_t>(n));
  for (int64_t row = 0; row < rows; ++row) {
    const double common = random.normal();
    for (size_t k = 0; k < x.size(); ++k) x[k] = common + spread[k] * random.normal();
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        second[at(i, j, n)] +=
            x[static_cast<size_t>(i)] * x[static_cast<size_t>(j)] / static_cast<double>(rows);
      }
    }
  }
  return second;
}

ColumnsToRound weights(int64_t n, int64_t outputs, int bits, uint64_t seed) {
  Random random(seed);
  ColumnsToRound problem{
      .outputs = outputs, .qmin = -(1 << (bits - 1)), .qmax = (1 << (bits - 1)) - 1};
  std::vector<float> scale(static_cast<size_t>(outputs));
  for (float& s : scale) s = static_cast<float>(0.5 + random.uniform());
  for (int64_t i = 0; i < n * outputs; ++i) {
    const float s = scale[static_cast<size_t>(i % outputs)];
    problem.scale.push_back(s);
    problem.target.push_back(random.normal() * problem.qmax * 0.5 * static_cast<double>(s));
  }
  return problem;
}

std::vector<int32_t> nearest(const ColumnsToRound& p) {
  std::vector<int32_t> codes;
  for (size_t i = 0; i < p.target.size(); ++i) {
    const double code = std::nearbyint(static_cast<float>(p.target[i]) / p.scale[i]);
    codes.push_back(static_cast<int32_t>(std::clamp<double>(code, p.qmin, p.qmax)));
  }
  return codes;
}

// e^T (H + extra) e of one output.
double error_of(const ColumnsToRound& p, const std::vector<int32_t>& codes, const Matrix& second,
                double extra, int64_t output) {
  const auto n = static_cast<int64_t>(p.target.size()) / p.outputs;
  std::vector<double> e;
  for (int64_t k = 0; k < n; ++k) {
    const size_t i = at(k, output, p.outputs);
    e.push_back(p.target[i] - static_cast<double>(p.scale[i]) * codes[i]);
  }
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const double h = second[at(i, j, n)] + (i == j ? extra : 0);
      sum += e[static_cast<size_t>(i)] * h * e[static_cast<size_t>(j)];
    }
  }
  return sum;
}

double damping_of(const Matrix& second, double damping) {
  const auto n = std::lround(std::sqrt(static_cast<double>(second.size())));
  double trace = 0;
  for (int64_t i = 0; i < n; ++i) trace += second[at(i, i, n)];
  return damping * trace / static_cast<double>(n);
}

Matrix inverse(Matrix a, int64_t n) {
  Matrix b(a.size(), 0);
  for (int64_t i = 0; i < n; ++i) b[at(i, i, n)] = 1;
  for (int64_t k = 0; k < n; ++k) {  // Gauss and Jordan: positive definite, no pivoting
    const double pivot = a[at(k, k, n)];
    for (int64_t j = 0; j < n; ++j) {
      a[at(k, j, n)] /= pivot;
      b[at(k, j, n)] /= pivot;
    }
    for (int64_t i = 0; i < n; ++i) {
      const double factor = a[at(i, k, n)];
      if (i == k) continue;
      for (int64_t j = 0; j < n; ++j) {
        a[at(i, j, n)] -= factor * a[at(k, j, n)];
        b[at(i, j, n)] -= factor * b[at(k, j, n)];
      }
    }
  }
  return b;
}

// OBQ (arXiv:2208.11580, equation 3) with the order of columns given: quantize one, move the others
// by H^-1, take its row and column out of H^-1.
std::vector<int32_t> by_obq(const ColumnsToRound& p, const Matrix& damped) {
  const auto n = static_cast<int64_t>(p.target.size()) / p.outputs;
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, {}, [&](int64_t i) { return damped[at(i, i, n)]; });
  std::ranges::reverse(order);
  std::vector<double> w = p.target;
  std::vector<int32_t> codes(w.size());
  Matrix h = inverse(damped, n);
  for (const int64_t q : order) {
    const double d = h[at(q, q, n)];
    for (int64_t o = 0; o < p.outputs; ++o) {
      const size_t i = at(q, o, p.outputs);
      const double code =
          std::clamp<double>(std::nearbyint(static_cast<float>(w[i]) / p.scale[i]), p.qmin, p.qmax);
      codes[i] = static_cast<int32_t>(code);
      const double error = (w[i] - code * static_cast<double>(p.scale[i])) / d;
      for (int64_t k = 0; k < n; ++k) w[at(k, o, p.outputs)] -= error * h[at(k, q, n)];
    }
    const Matrix before = h;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        h[at(i, j, n)] -= before[at(i, q, n)] * before[at(q, j, n)] / d;
      }
    }
    h[at(q, q, n)] = 1;  // its row and column are zero: it moves no more
  }
  return codes;
}

TEST(cholesky, of_matrices_of_any_size) {
  ThreadPool one(1), three(3);
  for (const int64_t n : {1, 2, 3, 63, 64, 65, 130, 200}) {
    const Matrix original = correlated(n, 2 * n + 1, static_cast<uint64_t>(n));
    Matrix a = original, b = original;
    ASSERT_TRUE(factor_cholesky(a, n, one));
    ASSERT_TRUE(factor_cholesky(b, n, three));
    EXPECT_EQ(a, b) << n;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        double sum = 0;
        for (int64_t k = 0; k <= j; ++k) sum += a[at(i, k, n)] * a[at(j, k, n)];
        EXPECT_NEAR(sum, original[at(i, j, n)], 1e-10) << n;
      }
      for (int64_t j = i + 1; j < n; ++j) EXPECT_EQ(a[at(i, j, n)], original[at(i, j, n)]);
    }
  }
}

TEST(cholesky, says_that_a_matrix_is_not_positive) {
  ThreadPool pool(1);
  Matrix a = {1, 2, 2, 1};
  EXPECT_FALSE(factor_cholesky(a, 2, pool));
  Matrix zero(9, 0.0);
  EXPECT_FALSE(factor_cholesky(zero, 3, pool));
}

TEST(sequential_rounding, gives_the_codes_of_obq_in_its_order) {
  ThreadPool pool(1);
  for (uint64_t seed = 0; seed < 8; ++seed) {
    const int64_t n = 5 + 9 * static_cast<int64_t>(seed);
    const Matrix second = correlated(n, 3 * n, seed);
    const ColumnsToRound problem = weights(n, 35, 4, seed);
    Matrix damped = second;
    for (int64_t i = 0; i < n; ++i) damped[at(i, i, n)] += damping_of(second, 0.01);
    const SequentialRounder rounder(second, {}, 0.01, pool);
    EXPECT_EQ(rounder.round(problem, 0, pool).codes, by_obq(problem, damped)) << seed;
  }
}

TEST(sequential_rounding, errs_less_than_nearest_where_columns_are_correlated) {
  ThreadPool pool(1);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const int64_t n = 24;
    const Matrix second = correlated(n, 200, seed);
    const SequentialRounder rounder(second, {}, 0.01, pool);
    for (const int bits : {2, 3, 4, 8}) {
      const ColumnsToRound problem = weights(n, 40, bits, seed);
      const RoundedColumns rounded = rounder.round(problem, 2, pool);
      const std::vector<int32_t> plain = nearest(problem);
      double best = 0, usual = 0;
      for (int64_t o = 0; o < problem.outputs; ++o) {
        best += error_of(problem, rounded.codes, second, 0, o);
        usual += error_of(problem, plain, second, 0, o);
      }
      EXPECT_LT(best, 0.6 * usual) << seed << ", bits " << bits;
      for (const int32_t code : rounded.codes) {
        EXPECT_GE(code, problem.qmin);
        EXPECT_LE(code, problem.qmax);
      }
    }
  }
}

TEST(sequential_rounding, is_nearest_where_columns_are_independent) {
  ThreadPool pool(1);
  const int64_t n = 70;
  Random random(3);
  Matrix second(static_cast<size_t>(n * n), 0);
  for (int64_t i = 0; i < n; ++i) second[at(i, i, n)] = i % 7 == 0 ? 0 : random.uniform();
  const ColumnsToRound problem = weights(n, 33, 4, 5);
  const SequentialRounder rounder(second, {}, 0.01, pool);
  EXPECT_EQ(rounder.round(problem, 2, pool).codes, nearest(problem));
}

TEST(sequential_rounding, works_without_data_and_with_fewer_rows_than_columns) {
  ThreadPool pool(1);
  const int64_t n = 40;
  const ColumnsToRound problem = weights(n, 8, 4, 1);
  const SequentialRounder blind(Matrix(static_cast<size_t>(n * n), 0), {}, 0.01, pool);
  EXPECT_EQ(blind.round(problem, 1, pool).codes, nearest(problem));
  const Matrix second = correlated(n, 7, 2);
  const SequentialRounder rounder(second, {}, 0.01, pool);
  const RoundedColumns rounded = rounder.round(problem, 1, pool);
  const std::vector<int32_t> plain = nearest(problem);
  double best = 0, usual = 0;
  for (int64_t o = 0; o < problem.outputs; ++o) {
    best += error_of(problem, rounded.codes, second, 0, o);
    usual += error_of(problem, plain, second, 0, o);
  }
  EXPECT_LT(best, 0.1 * usual);
}

TEST(sequential_rounding, tells_its_error_and_sweeps_make_it_no_larger) {
  ThreadPool pool(1);
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const int64_t n = 50;
    const Matrix second = correlated(n, 90, seed);
    const double extra = damping_of(second, 0.01);
    const ColumnsToRound problem = weights(n, 37, 3, seed);
    const SequentialRounder rounder(second, {}, 0.01, pool);
    std::vector<double> before;
    for (const int sweeps : {0, 1, 4}) {
      const RoundedColumns rounded = rounder.round(problem, sweeps, pool);
      for (int64_t o = 0; o < problem.outputs; ++o) {
        const double error = rounded.error[static_cast<size_t>(o)];
        EXPECT_NEAR(error / error_of(problem, rounded.codes, second, extra, o), 1, 1e-6);
        EXPECT_LE(error, before.empty() ? INFINITY : before[static_cast<size_t>(o)] * (1 + 1e-9));
      }
      before = rounded.error;
    }
  }
}

TEST(sequential_rounding, depends_on_no_number_of_threads) {
  ThreadPool one(1), four(4);
  const int64_t n = 150;
  const Matrix second = correlated(n, 300, 9);
  const ColumnsToRound problem = weights(n, 100, 4, 9);
  const SequentialRounder a(second, {}, 0.01, one), b(second, {}, 0.01, four);
  const RoundedColumns x = a.round(problem, 2, one), y = b.round(problem, 2, four);
  EXPECT_EQ(x.codes, y.codes);
  EXPECT_EQ(x.error, y.error);
  std::vector<double> s = problem.target, t = problem.target;
  a.solve(s, problem.outputs, one);
  b.solve(t, problem.outputs, four);
  EXPECT_EQ(s, t);
}

TEST(sequential_rounding, solves_equations_of_its_damped_matrix) {
  ThreadPool pool(2);
  const int64_t n = 90, outputs = 70;
  const Matrix second = correlated(n, 200, 4);
  const double extra = damping_of(second, 0.01);
  const SequentialRounder rounder(second, {}, 0.01, pool);
  const std::vector<double> right = weights(n, outputs, 4, 4).target;
  std::vector<double> x = right;
  rounder.solve(x, outputs, pool);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t o = 0; o < outputs; ++o) {
      double sum = extra * x[at(i, o, outputs)];
      for (int64_t j = 0; j < n; ++j) sum += second[at(i, j, n)] * x[at(j, o, outputs)];
      EXPECT_NEAR(sum, right[at(i, o, outputs)], 1e-8);
    }
  }
}

}  // namespace
}  // namespace nibble
