// Samples that the caller holds are those that files of them would be.
#include "data/held.h"

#include <gtest/gtest.h>

#include "support/errors.h"

namespace nibble {
namespace {

using testing::error_of;

HeldArray held(std::string name, Tensor tensor) { return {std::move(name), std::move(tensor), {}}; }

Tensor counted(const Shape& shape) {
  Tensor tensor(DType::f32, shape);
  float next = 0;
  for (float& value : tensor.data<float>()) value = next++;
  return tensor;
}

TEST(HeldArrays, nameless_samples_and_labels_are_x_and_y) {
  const auto data = open_held_arrays(
      "data", {held("", counted({4, 2})), held("label", Tensor::of<int64_t>({4}, {0, 2, 1, 0}))},
      {.split = Split::test});
  EXPECT_EQ(data->size(), 4);
  EXPECT_EQ(data->classes(), 3);
  EXPECT_EQ(data->label(1), 2);
  EXPECT_EQ(data->sample(1)[0].data<float>()[0], 2);
}

TEST(HeldArrays, the_memory_is_borrowed_and_its_owner_kept) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4});
  const std::weak_ptr<std::vector<float>> watched = owner;
  std::vector<HeldArray> arrays = {
      {"", Tensor::borrow(DType::f32, {2, 2}, owner->data()), std::move(owner)}};
  auto data = open_held_arrays("data", std::move(arrays), {.split = Split::test});
  const auto kept = watched.lock();
  EXPECT_EQ(data->sample(1)[0].raw(), kept->data() + 2);
  data.reset();
  EXPECT_EQ(kept.use_count(), 1);
}

TEST(HeldArrays, a_tenth_is_set_aside_for_validation) {
  const auto size = [](Split split) {
    return open_held_arrays("data", {held("", counted({20, 2}))}, {.split = split})->size();
  };
  EXPECT_EQ(size(Split::test), 20);
  EXPECT_EQ(size(Split::train), 18);
  EXPECT_EQ(size(Split::validation), 2);
}

TEST(HeldArrays, bytes_are_pictures_as_they_are_in_files) {
  const Tensor pictures = Tensor::of<uint8_t>({1, 2, 2}, {0, 51, 102, 255});
  const auto data = open_held_arrays("data", {held("", pictures)}, {.split = Split::test});
  const Tensor sample = data->sample(0)[0];
  EXPECT_EQ(sample.shape(), (Shape{1, 2, 2}));
  EXPECT_FLOAT_EQ(sample.data<float>()[1], 0.2F);
}

TEST(HeldArrays, what_is_beside_nameless_samples_is_a_target) {
  const auto data = open_held_arrays(
      "data", {held("", counted({3, 2})), held("target", counted({3, 1}))}, {.split = Split::test});
  EXPECT_EQ(data->fields().size(), 1U);
  EXPECT_EQ(data->target_fields().size(), 1U);
  EXPECT_EQ(data->targets(2)[0].data<float>()[0], 2);
}

TEST(HeldArrays, different_lengths_are_refused) {
  EXPECT_NE(error_of([] {
              open_held_arrays("data", {held("a", counted({3, 2})), held("b", counted({4, 2}))},
                               {.split = Split::test,
                                .inputs = {{.name = "a", .dtype = DType::f32, .shape = {-1, 2}},
                                           {.name = "b", .dtype = DType::f32, .shape = {-1, 2}}}});
            }).find("a has 3 samples, b has 4"),
            std::string::npos);
}

TEST(HeldSamples, shapes_may_differ_from_sample_to_sample) {
  HeldSamples samples{.name = "clips", .count = 3, .read = {}};
  samples.read = [](int64_t index) {
    return std::vector<HeldArray>{held("", counted({index + 1, 2})),
                                  held("label", Tensor::scalar<int64_t>(index % 2))};
  };
  const auto data = open_held_samples(std::move(samples), {.split = Split::test});
  EXPECT_EQ(data->fields()[0].shape, (Shape{-1, 2}));
  EXPECT_EQ(data->sample(2)[0].shape(), (Shape{3, 2}));
  EXPECT_EQ(data->classes(), 2);
  EXPECT_EQ(data->label(1), 1);
}

TEST(HeldSamples, a_sample_that_lacks_an_array_is_named) {
  HeldSamples samples{.name = "clips", .count = 2, .read = {}};
  samples.read = [](int64_t index) {
    return std::vector<HeldArray>{held(index == 0 ? "a" : "b", counted({2}))};
  };
  EXPECT_NE(error_of([&] {
              open_held_samples(samples, {.split = Split::test});
            }).find("clips, sample 1: there is no 'a', which clips, sample 0 has"),
            std::string::npos);
}

}  // namespace
}  // namespace nibble
