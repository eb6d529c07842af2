// Models that one file cannot hold.
#include "onnx/external_data.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "nibble/onnx.h"
#include "onnx/model_builder.h"
#include "onnx/model_size.h"
#include "support/temp_folder.h"

namespace nibble {
namespace {

using testing::ModelBuilder;

// Two large constants and a small one.
Graph large() {
  ModelBuilder b;
  b.input("x", {1, 30});
  b.output("y", {1, 30});
  std::vector<float> values;
  for (int i = 0; i < 900; ++i) values.push_back(static_cast<float>(i) / 7);
  b.floats("w", {30, 30}, values);
  for (float& value : values) value = -value;
  b.floats("v", {30, 30}, values);
  b.floats("c", {1}, {3});
  b.node("MatMul", {"x", "w"}, {"a"});
  b.node("MatMul", {"a", "v"}, {"b"});
  b.node("Add", {"b", "c"}, {"y"});
  return parse_onnx(b.bytes());
}

TEST(external_data, a_model_over_the_limit_gets_a_second_file) {
  const testing::TempFolder folder;
  const Graph graph = large();
  const auto path = folder.path() / "m.onnx";
  save_onnx_within(graph, path, default_target(), 4000);
  EXPECT_LT(read_file(path).size(), 2000U);
  const auto data = folder.path() / "m.onnx.data";
  EXPECT_EQ(size_of_file(data), 3648U + 3600U);  // the second starts at a multiple of 64
  EXPECT_EQ(size_of_model(path), read_file(path).size() + 3648U + 3600U);
  const Graph again = load_onnx(path);
  EXPECT_EQ(serialize_onnx(again), serialize_onnx(graph));
  std::filesystem::remove(data);
  EXPECT_EQ(size_of_model(path), std::nullopt);
}

TEST(external_data, a_model_within_the_limit_is_one_file) {
  const testing::TempFolder folder;
  const auto path = folder.path() / "m.onnx";
  save_onnx_within(large(), path, default_target(), 8000);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "m.onnx.data"));
  EXPECT_EQ(size_of_model(path), size_of_file(path));
  save_onnx(large(), path);
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "m.onnx.data"));
}

TEST(external_data, constants_of_bodies_go_there_too) {
  const std::string data(2000, 'a');
  schema::GraphProto graph;
  auto& attribute = graph.node.emplace_back().attribute.emplace_back();
  auto& tensor = attribute.g.edit().initializer.emplace_back();
  tensor.raw_data = schema::Bytes{.view = data, .owner = nullptr};
  EXPECT_EQ(take_out_data(graph, "file"), data);
  EXPECT_EQ(*tensor.data_location, schema::TensorProto::EXTERNAL);
  EXPECT_FALSE(tensor.raw_data.has());
}

}  // namespace
}  // namespace nibble
