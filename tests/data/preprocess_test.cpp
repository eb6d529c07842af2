#include <gtest/gtest.h>

#include "make_files.h"
#include "nibble/data.h"

namespace nibble {
namespace {

using testing::contains;
using testing::error_of;

TEST(Preprocess, json_brings_every_field_back) {
  const Preprocess all{.color = Preprocess::Color::bgr,
                       .resize_shorter = 256,
                       .crop_height = 224,
                       .crop_width = 200,
                       .scale = 1.0F / 255.0F,
                       .mean = {0.485F, 0.456F, 0.406F},
                       .std = {0.229F, 0.224F, 0.225F}};
  EXPECT_EQ(preprocess_from_json(to_json(all)), all);
  const Preprocess exact{.color = Preprocess::Color::grey,
                         .resize_height = 5,
                         .resize_width = 7,
                         .scale = 0.0625F,
                         .mean = {0.1307F},
                         .std = {0.3081F}};
  EXPECT_EQ(preprocess_from_json(to_json(exact)), exact);
  EXPECT_EQ(preprocess_from_json(to_json({})), Preprocess());
}

TEST(Preprocess, json_is_short) {
  EXPECT_EQ(to_json({.resize_shorter = 256, .scale = 1, .mean = {104, 117, 123}}),
            R"({"color":"rgb","resize_shorter":256,"scale":1,"mean":[104,117,123]})");
}

TEST(Preprocess, wrong_json_names_the_key) {
  const auto message = [](const char* json) {
    return error_of([&] { preprocess_from_json(json); });
  };
  EXPECT_PRED2(contains, message(R"({"colour":"rgb"})"), "unknown key 'colour'");
  EXPECT_PRED2(contains, message(R"({"color":"hsv"})"), "'color' is \"hsv\"");
  EXPECT_PRED2(contains, message(R"({"crop_width":-1,"crop_height":5})"), "'crop_width' is -1");
  EXPECT_PRED2(contains, message(R"({"crop_width":7})"), "go together");
  EXPECT_PRED2(contains, message(R"({"mean":[1,2]})"), "'mean'");
  EXPECT_PRED2(contains, message(R"({"std":[0,1,1]})"), "'std'");
  EXPECT_PRED2(contains, message(R"({"scale":"1/255"})"), "'scale'");
  EXPECT_PRED2(contains, message("[1]"), "not a JSON object");
  EXPECT_PRED2(contains, message("{\"scale\":"), "not a JSON object");
}

TEST(Preprocess, travels_in_the_metadata_of_a_graph) {
  Graph graph;
  EXPECT_FALSE(stored_preprocess(graph));
  const Preprocess stored{.color = Preprocess::Color::bgr, .crop_height = 32, .crop_width = 32};
  store_preprocess(graph, stored);
  EXPECT_EQ(graph.metadata.count("nibble.preprocess"), 1U);
  EXPECT_EQ(stored_preprocess(graph), stored);
  graph.metadata["nibble.preprocess"] = "{";
  EXPECT_PRED2(contains, error_of([&] { stored_preprocess(graph); }), "nibble.preprocess");
}

}  // namespace
}  // namespace nibble
