#include "kernels/qgemm.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/random.h"
#include "nibble/error.h"
#include "support/isa.h"

namespace nibble {
namespace {

struct GemmData {
  std::vector<uint8_t> a;
  std::vector<int8_t> weights;  // [n, k]
  std::vector<int32_t> bias;
  OutputStage stage;

  GemmData(int64_t rows, int64_t k, int64_t n, uint64_t seed) {
    Random random(seed);
    a.resize(static_cast<size_t>(rows * k));
    for (uint8_t& code : a) code = static_cast<uint8_t>(random.below(256));
    weights.resize(static_cast<size_t>(k * n));
    for (int8_t& w : weights) w = static_cast<int8_t>(static_cast<int>(random.below(256)) - 128);
    for (int64_t i = 0; i < n; ++i) {
      bias.push_back(static_cast<int32_t>(random.below(2000)) - 1000);
      stage.multiplier.push_back(static_cast<float>((0.5 + random.uniform()) * 2e-3));
    }
    stage.zero_point = 120;
  }
};

std::vector<int8_t> transposed(const std::vector<int8_t>& weights, int64_t k, int64_t n) {
  std::vector<int8_t> result(weights.size());
  for (int64_t i = 0; i < k * n; ++i)
    result[static_cast<size_t>(i % k * n + i / k)] = weights[static_cast<size_t>(i)];
  return result;
}

// Straight from the definition.
std::vector<int32_t> sums(const GemmData& d, int64_t rows, int64_t k, int64_t n, int32_t zero) {
  std::vector<int32_t> result;
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < n; ++c) {
      int32_t acc = d.bias[static_cast<size_t>(c)];
      for (int64_t i = 0; i < k; ++i)
        acc += (d.a[static_cast<size_t>(r * k + i)] - zero) *
               d.weights[static_cast<size_t>(c * k + i)];
      result.push_back(acc);
    }
  }
  return result;
}

void expect_exact(int64_t rows, int64_t k, int64_t n, int threads) {
  const GemmData d(rows, k, n, static_cast<uint64_t>(rows * 100 + k + n));
  const int32_t zero = 77;
  const std::vector<int32_t> expected = sums(d, rows, k, n, zero);
  ThreadPool pool(threads);
  for (const Isa isa : testing::all_isas()) {
    if (!is_supported(isa)) continue;
    for (const auto layout : {QGemm::Layout::nk, QGemm::Layout::kn}) {
      const std::vector<int8_t> weights =
          layout == QGemm::Layout::nk ? d.weights : transposed(d.weights, k, n);
      for (const auto kind : {OutputStage::Kind::codes_u8, OutputStage::Kind::reals_f32}) {
        OutputStage stage = d.stage;
        stage.kind = kind;
        const QGemm gemm({.k = k, .n = n, .layout = layout}, weights, d.bias, zero, stage, isa);
        std::vector<uint8_t> workspace(gemm.workspace_bytes(rows));
        std::vector<float> reals(expected.size());
        std::vector<uint8_t> codes(expected.size());
        void* out = kind == OutputStage::Kind::codes_u8 ? static_cast<void*>(codes.data())
                                                        : static_cast<void*>(reals.data());
        gemm.run(d.a.data(), rows, out, workspace.data(), pool);
        for (size_t i = 0; i < expected.size(); ++i) {
          const auto column = static_cast<int64_t>(i) % n;
          if (kind == OutputStage::Kind::codes_u8) {
            ASSERT_EQ(codes[i], to_code(stage, expected[i], column)) << name_of(isa) << " " << i;
          } else {
            ASSERT_EQ(reals[i], to_real(stage, expected[i], column)) << name_of(isa) << " " << i;
          }
        }
      }
    }
  }
}

TEST(qgemm, equals_the_definition_for_awkward_sizes) {
  for (const int64_t rows : {1, 2, 5, 6, 7, 12, 13, 25}) {
    for (const int64_t k : {1, 3, 4, 5, 31, 64}) {
      for (const int64_t n : {1, 7, 16, 17, 33, 64, 65, 130})
        expect_exact(rows, k, n, 1 + static_cast<int>(rows % 3));
    }
  }
}

TEST(qgemm, equals_the_definition_for_one_row_and_many_outputs) {
  for (const int threads : {1, 2, 3}) expect_exact(1, 4099, 1000, threads);
}

TEST(qgemm, no_rows_are_no_work) {
  const GemmData d(1, 5, 3, 1);
  ThreadPool pool;
  QGemm({.k = 5, .n = 3}, d.weights, d.bias, 0, d.stage).run(nullptr, 0, nullptr, nullptr, pool);
}

TEST(qgemm, extents_that_do_not_fit_are_refused) {
  const GemmData d(1, 4, 3, 1);
  EXPECT_THROW(QGemm({.k = 5, .n = 3}, d.weights, d.bias, 0, d.stage), Error);
  EXPECT_THROW(QGemm({.k = 4, .n = 3}, d.weights, std::span(d.bias).first(2), 0, d.stage), Error);
  EXPECT_THROW(QGemm({.k = 4, .n = 3}, d.weights, d.bias, -1, d.stage), Error);
}

}  // namespace
}  // namespace nibble
