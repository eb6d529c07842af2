#include <set>

#include "nibble/error.h"
#include "train/fixtures.h"

namespace nibble {
namespace {

int64_t parameters(const Graph& graph) {
  int64_t count = 0;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (value.is_constant() && value.data.shape().rank() > 0) count += value.data.elements();
  }
  return count;
}

TEST(Architectures, each_builds_at_its_usual_shape_with_a_dynamic_batch) {
  for (const ArchitectureRow& row : architectures()) {
    const int classes = row.name == "catdog-cnn" ? 2 : 10;
    const Graph graph = build_architecture(row.name, row.sample_shape, classes, 1);
    const Value& input = graph.value(graph.inputs.at(0));
    EXPECT_EQ(input.type.shape[0], Shape::kUnknown) << row.name;
    EXPECT_EQ(input.dim_names.at(0), "N") << row.name;
    EXPECT_EQ(graph.value(graph.outputs.at(0)).type.shape[1], classes == 2 ? 1 : 10) << row.name;
    std::set<std::string> names;
    for (NodeId id : graph.nodes()) EXPECT_TRUE(names.insert(graph.node(id).name).second);
  }
}

TEST(Architectures, the_cat_and_dog_network_has_the_tutorials_size) {
  const Graph graph = build_architecture("catdog-cnn", {3, 150, 150}, 2, 0);
  EXPECT_EQ(parameters(graph), 2'323'201);
  EXPECT_LT(static_cast<double>(parameters(graph)) * 4 / (1 << 20), 8.87);
}

TEST(Architectures, the_digits_network_is_small) {
  const int64_t count = parameters(build_architecture("digits-cnn", {1, 8, 8}, 10, 0));
  EXPECT_GT(count, 20'000);
  EXPECT_LT(count, 60'000);
}

TEST(Architectures, weights_follow_from_the_seed) {
  const auto build = [](uint64_t seed) {
    return testing::constants_of(build_architecture("digits-cnn", {1, 8, 8}, 10, seed));
  };
  EXPECT_EQ(build(3), build(3));
  EXPECT_NE(build(3), build(4));
}

TEST(Architectures, weights_have_the_variance_of_he_et_al) {
  const Graph graph = build_architecture("resnet20", {3, 32, 32}, 10, 5);
  const Value& weight = graph.value(*graph.find_value("stage3.block3.first.conv.weight"));
  double squares = 0;
  for (float w : weight.data.data<float>()) squares += double{w} * w;
  const double variance = squares / static_cast<double>(weight.data.elements());
  EXPECT_NEAR(variance, 2.0 / (64 * 9), 0.05 * 2.0 / (64 * 9));
}

TEST(Architectures, an_unknown_name_lists_the_known_ones) {
  try {
    build_architecture("resnet21", {3, 32, 32}, 10, 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_NE(error.message().find("digits-cnn, resnet20"), std::string::npos) << error.what();
  }
}

TEST(Architectures, too_small_an_image_names_the_layer) {
  try {
    build_architecture("catdog-cnn", {3, 12, 12}, 2, 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(error.message().find("conv3"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace nibble
