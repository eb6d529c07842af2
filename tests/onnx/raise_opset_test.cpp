// Operators whose defaults or words changed keep their meaning when the opset rises.
#include "onnx/raise_opset.h"

#include <gtest/gtest.h>

#include "nibble/error.h"
#include "nibble/graph.h"

namespace nibble {
namespace {

// One node with this attribute (none if it has no name), raised to `to`.
Attributes raised(const std::string& op, const std::string& name, const std::string& text, int from,
                  int to) {
  Graph graph;
  graph.opsets[""] = from;
  graph.inputs = {graph.add_value("x", {}), graph.add_value("g", {})};
  graph.outputs = {graph.add_value("y", {})};
  Node node{.op = op, .name = "n", .inputs = graph.inputs, .outputs = graph.outputs};
  if (!name.empty()) node.attributes.set(name, text);
  graph.add_node(std::move(node));
  raise_opset(graph, to);
  EXPECT_EQ(graph.opset(), to);
  return graph.node(graph.nodes()[0]).attributes;
}

TEST(raise_opset, grid_sample_takes_the_new_names_of_its_modes) {
  const auto mode = [](const std::string& name, const std::string& text, int from, int to) {
    return raised("GridSample", name, text, from, to).text("mode", "none");
  };
  EXPECT_EQ(mode("mode", "bilinear", 16, 20), "linear");
  EXPECT_EQ(mode("mode", "bicubic", 16, 21), "cubic");
  EXPECT_EQ(mode("mode", "nearest", 16, 21), "nearest");
  EXPECT_EQ(mode("", "", 16, 21), "linear");
  EXPECT_EQ(mode("mode", "bilinear", 16, 19), "bilinear");
  EXPECT_EQ(mode("mode", "cubic", 20, 21), "cubic");
}

TEST(raise_opset, roi_align_keeps_its_old_default) {
  const char* mode = "coordinate_transformation_mode";
  EXPECT_EQ(raised("RoiAlign", "", "", 10, 16).text(mode, "none"), "output_half_pixel");
  EXPECT_EQ(raised("RoiAlign", "", "", 10, 15).text(mode, "none"), "none");
  EXPECT_EQ(raised("RoiAlign", "", "", 16, 21).text(mode, "none"), "none");
}

TEST(raise_opset, a_mode_of_resize_that_is_gone_stops_the_rise) {
  const char* mode = "coordinate_transformation_mode";
  EXPECT_THROW(raised("Resize", mode, "tf_half_pixel_for_nn", 11, 13), Error);
  EXPECT_EQ(raised("Resize", mode, "tf_half_pixel_for_nn", 11, 12).text(mode, "none"),
            "tf_half_pixel_for_nn");
  EXPECT_EQ(raised("Resize", mode, "asymmetric", 11, 21).text(mode, "none"), "asymmetric");
}

}  // namespace
}  // namespace nibble
