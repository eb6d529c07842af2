#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <set>

#include "nibble/data.h"
#include "nibble/error.h"

namespace nibble {
namespace {

TEST(Digits, split_sizes_are_1000_297_and_500) {
  EXPECT_EQ(open_dataset("digits", {.split = Split::train})->size(), 1000);
  EXPECT_EQ(open_dataset("digits", {.split = Split::validation})->size(), 297);
  EXPECT_EQ(open_dataset("digits", {.split = Split::test})->size(), 500);
}

std::vector<std::vector<float>> samples_of(Split split) {
  const auto digits = open_dataset("digits", {.split = split});
  std::vector<std::vector<float>> samples;
  for (int64_t i = 0; i < digits->size(); ++i) {
    const Tensor values = digits->sample(i)[0];
    std::vector<float> sample(values.data<float>().begin(), values.data<float>().end());
    sample.push_back(static_cast<float>(digits->label(i)));
    samples.push_back(sample);
  }
  return samples;
}

TEST(Digits, splits_hold_every_sample_once) {
  std::multiset<std::vector<float>> all;
  double sum = 0;
  for (Split split : {Split::train, Split::validation, Split::test}) {
    for (const auto& sample : samples_of(split)) {
      all.insert(sample);
      for (size_t i = 0; i < 64; ++i) sum += static_cast<double>(sample[i]) * 16.0;
    }
  }
  EXPECT_EQ(all.size(), 1797U);
  // No image occurs twice in the source, and its pixels sum to 561,718.
  EXPECT_EQ(std::set<std::vector<float>>(all.begin(), all.end()).size(), 1797U);
  EXPECT_EQ(sum, 561718.0);
}

TEST(Digits, every_split_holds_the_classes_in_equal_shares) {
  for (Split split : {Split::train, Split::validation, Split::test}) {
    const auto digits = open_dataset("digits", {.split = split});
    std::array<int, 10> count{};
    for (int64_t i = 0; i < digits->size(); ++i) ++count[static_cast<size_t>(digits->label(i))];
    const auto [least, most] = std::minmax_element(count.begin(), count.end());
    EXPECT_GE(*least, digits->size() / 10 * 94 / 100);
    EXPECT_LE(*most, digits->size() / 10 * 106 / 100 + 1);
  }
}

TEST(Digits, samples_are_grey_8x8_and_scaled_to_one) {
  const auto digits = open_dataset("digits", {.split = Split::test});
  EXPECT_EQ(sample_shape(*digits, "the test"), (Shape{1, 8, 8}));
  EXPECT_EQ(digits->classes(), 10);
  EXPECT_EQ(digits->describe(), "digits/test: 500 samples, 10 classes");
  const Tensor all = read_batch(*digits, 0, 500, 2)[0];
  const auto values = all.data<float>();
  EXPECT_EQ(*std::min_element(values.begin(), values.end()), 0.0F);
  EXPECT_EQ(*std::max_element(values.begin(), values.end()), 1.0F);
  EXPECT_EQ(digits->preprocess()->scale, 1.0F / 16.0F);
}

TEST(Digits, a_preprocess_of_the_caller_is_used_instead) {
  const auto digits = open_dataset(
      "digits", {.preprocess = Preprocess{.resize_height = 16, .resize_width = 16, .scale = 1}});
  EXPECT_EQ(sample_shape(*digits, "the test"), (Shape{3, 16, 16}));
}

TEST(Batch, is_the_same_for_every_thread_count) {
  const auto digits = open_dataset("digits", {.split = Split::train});
  const Tensor one = read_batch(*digits, 10, 100, 1)[0];
  const Tensor four = read_batch(*digits, 10, 100, 4)[0];
  ASSERT_EQ(one.shape(), (Shape{100, 1, 8, 8}));
  EXPECT_TRUE(std::ranges::equal(one.data<float>(), four.data<float>()));
}

TEST(Batch, sample_out_of_range_is_an_error) {
  const auto digits = open_dataset("digits", {});
  EXPECT_THROW(read_batch(*digits, 490, 20, 1), Error);
  EXPECT_THROW(read_batch(*digits, -1, 2, 1), Error);
}

TEST(Subset, serves_the_chosen_samples_in_order) {
  const std::shared_ptr<const Dataset> digits = open_dataset("digits", {});
  const auto chosen = subset(digits, {7, 3, 7});
  ASSERT_EQ(chosen->size(), 3);
  EXPECT_EQ(chosen->label(1), digits->label(3));
  EXPECT_TRUE(std::ranges::equal(read_batch(*chosen, 0, 1, 1)[0].data<float>(),
                                 read_batch(*digits, 7, 1, 1)[0].data<float>()));
  EXPECT_THROW(subset(digits, {500}), Error);
}

TEST(Subset, random_one_depends_on_the_seed_alone) {
  const std::shared_ptr<const Dataset> digits = open_dataset("digits", {});
  const auto labels = [&](uint64_t seed) {
    const auto part = random_subset(digits, 64, seed);
    std::vector<int64_t> result;
    for (int64_t i = 0; i < part->size(); ++i) result.push_back(part->label(i));
    return result;
  };
  EXPECT_EQ(labels(1).size(), 64U);
  EXPECT_EQ(labels(1), labels(1));
  EXPECT_NE(labels(1), labels(2));
  EXPECT_EQ(random_subset(digits, 0, 1)->size(), 500);
  EXPECT_EQ(random_subset(digits, 9999, 1)->size(), 500);
}

TEST(OpenDataset, missing_source_is_named) {
  try {
    open_dataset("no/such/folder", {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_NE(std::string(error.what()).find("no/such/folder"), std::string::npos);
  }
}

TEST(OpenDataset, a_name_that_no_file_can_have_is_an_error_too) {
  EXPECT_THROW(open_dataset(std::string(10000, 'x'), {}), Error);
  EXPECT_THROW(open_dataset("", {}), Error);
}

}  // namespace
}  // namespace nibble
