// Second moments of layers' data, against plain sums.
#include "ranges/layer_moments.h"

#include <gtest/gtest.h>

#include "support/tensors.h"

namespace nibble {
namespace {

// Batches of rows, and what a quantized network makes of them: each number off by a little.
class Rows final : public LayerSamples {
 public:
  Rows(std::vector<Tensor> batches, double off) {
    for (Tensor& batch : batches) {
      Tensor moved = batch.clone();
      for (float& x : moved.data<float>()) x = x * 0.9F + static_cast<float>(off);
      quantized_.push_back(off == 0 ? batch : std::move(moved));
      data_.push_back(std::move(batch));
    }
  }
  int64_t size() const override {
    int64_t samples = 0;
    for (const Tensor& batch : data_) samples += batch.shape()[0];
    return samples;
  }
  void visit(const Visitor& visit) const override {
    for (size_t i = 0; i < data_.size(); ++i) {
      visit({data_[i], quantized_[i], data_[i], data_[i].shape()[0]});
    }
  }

 private:
  std::vector<Tensor> data_, quantized_;
};

Node gemm() { return {.op = "Gemm", .name = "layer", .inputs = {{0}, {1}}, .outputs = {{2}}}; }

Rows some_rows(double off) {
  return Rows({testing::random_tensor({40, 5}, 1, 1, 0.5), testing::random_tensor({17, 5}, 2)},
              off);
}

TEST(layer_moments, are_means_over_all_rows) {
  ThreadPool pool(2);
  const Rows rows = some_rows(0.25);
  const auto layer = layer_matrix(gemm(), {5, 3});
  const auto moments = layer_moments(*layer, rows, {}, pool);
  ASSERT_EQ(moments.size(), 1U);
  const ColumnMoments& m = moments[0];
  for (size_t i = 0; i < 5; ++i) {
    double mean = 0, float_mean = 0;
    for (size_t j = 0; j < 5; ++j) {
      double second = 0, drift = 0;
      rows.visit([&](const LayerBatch& batch) {
        const auto x = batch.data.data<float>(), q = batch.quantized_data.data<float>();
        for (size_t row = 0; row < x.size() / 5; ++row) {
          const double qi = q[row * 5 + i], qj = q[row * 5 + j], xj = x[row * 5 + j];
          second += qi * qj / 57;
          drift += qi * (xj - qj) / 57;
          if (j == 0) mean += qi / 57;
          if (j == i) float_mean += xj / 57;
        }
      });
      EXPECT_NEAR(m.second[i * 5 + j], second, 1e-5);
      EXPECT_NEAR(m.drift[i * 5 + j], drift, 1e-5);
    }
    EXPECT_NEAR(m.mean[i], mean, 1e-6);
    EXPECT_NEAR(m.float_mean[i], float_mean, 1e-6);
  }
}

TEST(layer_moments, of_deviations_leave_the_means_out) {
  ThreadPool pool(1);
  const Rows rows = some_rows(0.25);
  const auto layer = layer_matrix(gemm(), {5, 3});
  ColumnMoments m = layer_moments(*layer, rows, {}, pool)[0];
  const ColumnMoments raw = m;
  m.center();
  for (size_t i = 0; i < 5; ++i) {
    for (size_t j = 0; j < 5; ++j) {
      EXPECT_NEAR(m.second[i * 5 + j], raw.second[i * 5 + j] - raw.mean[i] * raw.mean[j], 1e-12);
      EXPECT_NEAR(m.drift[i * 5 + j],
                  raw.drift[i * 5 + j] - raw.mean[i] * (raw.float_mean[j] - raw.mean[j]), 1e-12);
    }
  }
}

TEST(layer_moments, know_no_drift_where_the_data_are_the_float_networks) {
  ThreadPool pool(1);
  const auto layer = layer_matrix(gemm(), {5, 3});
  const ColumnMoments m = layer_moments(*layer, some_rows(0), {}, pool)[0];
  EXPECT_TRUE(m.drift.empty());
  EXPECT_EQ(m.mean, m.float_mean);
}

TEST(layer_moments, of_many_columns_come_in_runs) {
  ThreadPool pool(1);
  const Rows rows = some_rows(0.25);
  const auto layer = layer_matrix(gemm(), {5, 3});
  const ColumnMoments all = layer_moments(*layer, rows, {}, pool)[0];
  const auto runs = layer_moments(*layer, rows, {.columns = 2}, pool);
  ASSERT_EQ(runs.size(), 3U);
  for (const ColumnMoments& run : runs) {
    for (int64_t i = 0; i < run.columns; ++i) {
      for (int64_t j = 0; j < run.columns; ++j) {
        const auto at = static_cast<size_t>((run.first + i) * 5 + run.first + j);
        EXPECT_NEAR(run.second[static_cast<size_t>(i * run.columns + j)], all.second[at], 1e-6);
        EXPECT_NEAR(run.drift[static_cast<size_t>(i * run.columns + j)], all.drift[at], 1e-6);
      }
    }
  }
  EXPECT_EQ(runs[2].columns, 1);
}

TEST(layer_moments, of_many_rows_look_at_a_seeded_share_of_each_batch) {
  ThreadPool pool(1);
  const auto layer = layer_matrix(gemm(), {1, 1});
  // Batches of ones and of threes: their mean tells how many rows of each were looked at.
  Tensor ones = testing::random_tensor({3000, 1}, 1, 0, 1),
         threes = testing::random_tensor({1000, 1}, 2, 0, 3);
  const Rows rows({std::move(ones), std::move(threes)}, 0);
  const ColumnMoments m = layer_moments(*layer, rows, {.rows = 400}, pool)[0];
  EXPECT_NEAR(m.mean[0], 1.5, 1e-6);
  const Rows spread({testing::random_tensor({4000, 1}, 1)}, 0);
  const auto mean = [&](uint64_t seed) {
    return layer_moments(*layer, spread, {.rows = 400, .seed = seed}, pool)[0].mean[0];
  };
  EXPECT_EQ(mean(1), mean(1));
  EXPECT_NE(mean(1), mean(2));
  EXPECT_NEAR(mean(1), 0, 0.2);
}

TEST(layer_moments, of_a_conv_are_those_of_its_patches_for_each_group) {
  ThreadPool one(1), four(4);
  Node conv{.op = "Conv", .name = "layer", .inputs = {{0}, {1}}, .outputs = {{2}}};
  conv.attributes.set("group", int64_t{4});
  conv.attributes.set("pads", std::vector<int64_t>{1, 1, 1, 1});
  const Shape weight = {4, 1, 3, 3};
  const auto layer = layer_matrix(conv, weight);
  const Rows images({testing::random_tensor({3, 4, 6, 5}, 1)}, 0.5);
  const auto a = layer_moments(*layer, images, {}, one),
             b = layer_moments(*layer, images, {}, four);
  ASSERT_EQ(a.size(), 4U);
  for (size_t group = 0; group < 4; ++group) {
    EXPECT_EQ(a[group].second, b[group].second);
    EXPECT_EQ(a[group].drift, b[group].drift);
    // The middle of the kernel sees each pixel of its channel.
    double square = 0;
    images.visit([&](const LayerBatch& batch) {
      for (size_t i = 0; i < batch.quantized_data.data<float>().size(); ++i) {
        const double x = batch.quantized_data.data<float>()[i];
        if (i / 30 % 4 == group) square += x * x / 90;
      }
    });
    EXPECT_NEAR(a[group].second[4 * 9 + 4], square, 1e-5);
  }
}

}  // namespace
}  // namespace nibble
