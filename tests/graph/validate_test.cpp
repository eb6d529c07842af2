// What every graph must keep to.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "nibble/error.h"
#include "nibble/graph.h"

namespace nibble {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Graph with_input_on(const QuantParams& grid) {
  Graph graph;
  graph.inputs = {graph.add_value("x", {.dtype = DType::f32, .shape = {2}, .quant = grid})};
  graph.outputs = graph.inputs;
  return graph;
}

QuantParams grid_of(float scale, int32_t zero_point) {
  return {
      .storage = DType::u8, .qmin = 0, .qmax = 255, .scale = {scale}, .zero_point = {zero_point}};
}

TEST(validate, accepts_scales_above_zero_and_zero_points_in_their_storage) {
  EXPECT_NO_THROW(with_input_on(grid_of(0.1F, 0)).validate());
  EXPECT_NO_THROW(with_input_on(grid_of(std::numeric_limits<float>::min(), 255)).validate());
}

TEST(validate, refuses_scales_that_cannot_divide) {
  for (const float scale : {0.0F, -0.1F, kInfinity, std::nanf("")}) {
    EXPECT_THROW(with_input_on(grid_of(scale, 0)).validate(), Error) << scale;
  }
}

TEST(validate, refuses_codes_that_their_storage_does_not_hold) {
  EXPECT_THROW(with_input_on(grid_of(0.1F, -1)).validate(), Error);
  EXPECT_THROW(with_input_on(grid_of(0.1F, 256)).validate(), Error);
  QuantParams wide = grid_of(0.1F, 0);
  wide.qmax = 256;
  EXPECT_THROW(with_input_on(wide).validate(), Error);
  QuantParams empty = grid_of(0.1F, 0);
  empty.scale.clear();
  EXPECT_THROW(with_input_on(empty).validate(), Error);
}

}  // namespace
}  // namespace nibble
