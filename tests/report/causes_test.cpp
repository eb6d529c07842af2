// The causes that statistics tell: each is named for numbers that show it, and not for others.
#include "report/causes/causes.h"

#include <cmath>

#include "nibble/data.h"
#include "nibble/quantize.h"
#include "nibble/train.h"
#include "report/page_support.h"
#include "support/bodies.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::expect_no_part;
using testing::expect_part;

// A tensor whose values fill the range of its 8-bit codes: nothing to complain of.
TensorFigures sound_tensor() {
  return {.name = "x",
          .bits = 8,
          .sqnr_db = 35,
          .low = 0,
          .high = 10,
          .step = 10.0 / 255,
          .minimum = 0,
          .maximum = 10,
          .bulk_low = 0,
          .bulk_high = 9,
          .channel = 3,
          .channels = 16,
          .channel_reach = 10,
          .median_reach = 8};
}

LayerFigures layer_of(const TensorFigures& tensor, Place place) {
  LayerFigures layer{.node = "conv1",
                     .op = "Conv",
                     .weight_bits = 8,
                     .sqnr_before_db = 31,
                     .sqnr_db = 29.5,
                     .share = 0.5};
  if (place == Place::weight) layer.weight = tensor;
  if (place == Place::input) layer.input = tensor;
  if (place == Place::result) layer.result = tensor;
  return layer;
}

std::string cause_name(const TensorFigures& tensor, Place place = Place::result) {
  const auto cause = cause_of(layer_of(tensor, place));
  return cause ? std::string(cause->name) : "";
}

TEST(causes, none_is_named_where_nothing_stands_out) {
  for (const Place place : {Place::weight, Place::input, Place::result}) {
    EXPECT_EQ(cause_name(sound_tensor(), place), "");
  }
}

TEST(causes, values_below_half_a_step_are_lost) {
  TensorFigures tensor = sound_tensor();
  tensor.sqnr_db = 0;
  tensor.maximum = 0.019;
  EXPECT_EQ(cause_name(tensor), "lost in the step");
  tensor.maximum = 0.0197;
  EXPECT_NE(cause_name(tensor), "lost in the step");
}

TEST(causes, clipping_is_named_where_it_makes_most_of_the_error) {
  TensorFigures tensor = sound_tensor();
  tensor.clipped_share = 0.012;
  tensor.clipped_noise = 0.83;
  tensor.maximum = 25;
  const auto cause = cause_of(layer_of(tensor, Place::result));
  ASSERT_TRUE(cause);
  EXPECT_EQ(cause->name, "clipped range");
  EXPECT_EQ(
      cause->sentence,
      "1 % of the values of 'x' lie beyond [0, 10], where its codes end, and make 83 % of its "
      "rounding error");
  tensor.clipped_noise = 0.4;
  EXPECT_EQ(cause_name(tensor), "");
}

TEST(causes, codes_that_no_value_has_are_named_with_the_remedy_that_fits) {
  TensorFigures tensor = sound_tensor();
  tensor.low = -10;
  tensor.symmetric = true;
  const auto one_sided = cause_of(layer_of(tensor, Place::input));
  ASSERT_TRUE(one_sided);
  EXPECT_EQ(one_sided->name, "unused codes");
  expect_part(one_sided->remedy, "--target");
  tensor = sound_tensor();
  tensor.maximum = tensor.bulk_high = 4;
  const auto narrow = cause_of(layer_of(tensor, Place::input));
  ASSERT_TRUE(narrow);
  EXPECT_EQ(narrow->name, "unused codes");
  expect_part(narrow->sentence, "only 40 % of the codes of 'x'");
  expect_part(narrow->remedy, "--calibration");
}

TEST(causes, a_channel_far_wider_than_the_median_is_named) {
  TensorFigures tensor = sound_tensor();
  tensor.median_reach = 1;
  const auto cause = cause_of(layer_of(tensor, Place::result));
  ASSERT_TRUE(cause);
  EXPECT_EQ(cause->name, "outlier channel");
  EXPECT_EQ(cause->sentence,
            "channel 3 of the 16 of 'x' reaches 10, the median channel 1, and one scale stands for "
            "all");
  // Weights have a scale for each channel: there the error counts, not the reach.
  EXPECT_EQ(cause_name(tensor, Place::weight), "");
  tensor.channel_noise = 0.3;
  EXPECT_EQ(cause_name(tensor, Place::weight), "outlier channel");
  tensor.channels = 2;  // where 30 % is less than a fair share
  EXPECT_EQ(cause_name(tensor, Place::weight), "");
}

TEST(causes, few_values_that_stretch_the_range_are_named) {
  TensorFigures tensor = sound_tensor();
  tensor.bulk_high = 0.5;
  const auto cause = cause_of(layer_of(tensor, Place::result));
  ASSERT_TRUE(cause);
  EXPECT_EQ(cause->name, "range of few values");
  expect_part(cause->sentence, "99.8 % of the values of 'x' lie within [0, 0.5], 5 % of the range");
}

TEST(causes, depthwise_weights_of_four_bits_are_named_before_few_bits) {
  TensorFigures tensor = sound_tensor();
  tensor.bits = 4;
  LayerFigures layer = layer_of(tensor, Place::weight);
  EXPECT_EQ(cause_of(layer)->name, "few bits");
  layer.depthwise = true;
  layer.terms = 9;
  const auto cause = cause_of(layer);
  EXPECT_EQ(cause->name, "depthwise in few bits");
  expect_part(cause->sentence, "sums only 9 products");
  expect_part(cause->remedy, R"({"layers": {"conv1": {"weights": 8}}})");
}

TEST(causes, the_tensor_that_loses_most_is_the_one_that_is_asked) {
  LayerFigures layer = layer_of(sound_tensor(), Place::result);
  layer.weight = sound_tensor();
  layer.weight->name = "w";
  layer.weight->bits = layer.result->bits = 4;
  layer.weight->sqnr_db = 20;
  expect_part(cause_of(layer)->sentence, "'w'");
  layer.result->sqnr_db = 15;
  expect_part(cause_of(layer)->sentence, "'x'");
}

// The noise that arrives, at 31 dB, and that of 8 bits, at 35 dB, are 29.5 dB together.
TEST(causes, a_layer_whose_signal_cancels_is_named) {
  LayerFigures layer = layer_of(sound_tensor(), Place::result);
  layer.sqnr_db = 27.9;
  EXPECT_FALSE(cause_of(layer));
  layer.sqnr_db = 27.6;
  auto cause = cause_of(layer);
  ASSERT_TRUE(cause);
  EXPECT_EQ(cause->name, "cancelled signal");
  expect_part(cause->sentence, "would leave 29.5 dB");
  expect_part(cause->remedy, "finetune --teacher");
  // Also where no tensor of the layer loses much.
  layer.result->sqnr_db = 70;
  layer.sqnr_db = 27;
  cause = cause_of(layer);
  ASSERT_TRUE(cause);
  EXPECT_EQ(cause->name, "cancelled signal");
  // Its own rounding is what can be left out.
  layer.result->sqnr_db = 30;
  layer.sqnr_before_db = 60;
  layer.sqnr_db = 25;
  expect_part(cause_of(layer)->remedy, "--skip conv1");
}

TEST(causes, eight_bits_are_named_where_they_make_half_of_the_noise) {
  LayerFigures layer = layer_of(sound_tensor(), Place::result);
  layer.sqnr_before_db = 60;
  layer.sqnr_db = 34;
  const auto cause = cause_of(layer);
  ASSERT_TRUE(cause);
  EXPECT_EQ(cause->name, "8 bits");
  EXPECT_EQ(cause->sentence,
            "rounding 'x' to 8 bits alone leaves 35.0 dB, and nothing stands out in it");
}

TEST(causes, a_layer_that_adds_nothing_has_none) {
  TensorFigures tensor = sound_tensor();
  tensor.bits = 4;
  LayerFigures layer = layer_of(tensor, Place::result);
  layer.share = 0;
  EXPECT_FALSE(cause_of(layer));
}

TEST(causes, costliest_are_those_that_add_most_and_not_little) {
  std::vector<LayerFigures> layers(4, layer_of(sound_tensor(), Place::result));
  layers[0].share = 0.3;
  layers[1].share = 0.6;
  layers[2].share = 0.04;
  layers[3].share = 0.06;
  const auto worst = costliest(layers, 2);
  ASSERT_EQ(worst.size(), 2U);
  EXPECT_EQ(worst[0], &layers[1]);
  EXPECT_EQ(worst[1], &layers[0]);
  EXPECT_EQ(costliest(layers, 10).size(), 3U);
  for (LayerFigures& layer : layers) layer.sqnr_db = 60;
  EXPECT_TRUE(costliest(layers, 10).empty());
}

TEST(causes, have_names_of_their_own) {
  std::vector<std::string_view> names;
  for (const CauseRow& row : causes()) {
    EXPECT_FALSE(row.summary.empty());
    EXPECT_EQ(std::ranges::count(names, row.name), 0);
    names.push_back(row.name);
  }
  EXPECT_GE(names.size(), 7U);
}

// On a network that is quantized for real.
class layer_figures_of_a_network : public ::testing::Test {
 protected:
  void quantize_to(int weights, int activations) {
    const Graph graph = build_architecture("digits-cnn", {1, 8, 8}, 10, 1);
    reference_ = prepare_for_quantization(graph);
    data_ = open_dataset("digits", {.split = Split::train});
    const RangeReport ranges = analyze(reference_, *data_);
    quantized_ = quantize(reference_, ranges,
                          {.fallback = {.weight_bits = weights, .activation_bits = activations}});
    errors_ = compare_layers(reference_, quantized_, *data_, 32);
    figures_ = layer_figures(reference_, quantized_, ranges, errors_);
  }
  Graph reference_, quantized_;
  std::shared_ptr<const Dataset> data_;
  std::vector<LayerError> errors_;
  std::vector<LayerFigures> figures_;
};

TEST_F(layer_figures_of_a_network, name_every_layer_once_with_its_bits) {
  quantize_to(4, 8);
  int weighted = 0;
  for (const LayerFigures& layer : figures_) {
    weighted += layer.weight_bits > 0;
    EXPECT_EQ(std::ranges::count(figures_, layer.value, &LayerFigures::value), 1) << layer.value;
    // The first and the last keep 8 bits.
    EXPECT_TRUE(layer.weight_bits == 0 || layer.weight_bits == 4 || layer.weight_bits == 8);
  }
  int expected = 0;
  for (const NodeSupport& node : inspect_nodes(reference_))
    expected += node.op == "Conv" || node.op == "Gemm";
  EXPECT_EQ(weighted, expected);
}

TEST_F(layer_figures_of_a_network, shares_add_up_to_all_of_the_noise) {
  quantize_to(4, 8);
  double sum = 0;
  for (const LayerFigures& layer : figures_) {
    EXPECT_GE(layer.share, 0);
    sum += layer.share;
  }
  EXPECT_NEAR(sum, 1, 1e-9);
}

TEST_F(layer_figures_of_a_network, errors_are_those_of_compare_layers) {
  quantize_to(4, 8);
  for (const LayerFigures& layer : figures_) {
    const auto error = std::ranges::find(errors_, layer.value, &LayerError::value);
    ASSERT_NE(error, errors_.end());
    EXPECT_EQ(layer.sqnr_db, error->sqnr_db);
  }
}

TEST_F(layer_figures_of_a_network, a_weight_rounded_alone_loses_what_plain_loops_find) {
  quantize_to(4, 8);
  int seen = 0;
  for (const LayerFigures& layer : figures_) {
    if (!layer.weight) continue;
    const Tensor& real = reference_.value(*reference_.find_value(layer.weight->name)).data;
    double signal = 0;
    for (const float weight : real.data<float>()) signal += static_cast<double>(weight) * weight;
    const double noise = signal / std::pow(10.0, layer.weight->sqnr_db / 10);
    // Rounding to the nearest of 15 or 255 codes over the range: between a perfect uniform error
    // and one step everywhere.
    const double step = layer.weight->step;
    EXPECT_LT(noise, step * step * static_cast<double>(real.elements()));
    EXPECT_GT(noise, 0);
    EXPECT_GT(layer.weight->sqnr_db, layer.weight_bits == 4 ? 10 : 35);
    EXPECT_LT(layer.weight->sqnr_db, layer.weight_bits == 4 ? 30 : 55);
    ++seen;
  }
  EXPECT_GT(seen, 2);
}

TEST(layer_figures_of_bodies, a_layer_in_a_branch_is_told_apart_from_what_it_captures) {
  testing::NetworkBuilder net({-1, 12});
  const ValueId x = net.graph.inputs[0];
  const ValueId always = testing::sum_exceeds(net, x, -1e6F);
  const ValueId w = net.constant("w", net.normal({12, 12}, 0.3));
  const ValueId before = net.add({.op = "MatMul", .name = "before", .inputs = {x, w}});
  const ValueId shared = net.constant("shared", net.normal({12, 12}, 0.3));
  const auto branch = [&](const std::string& name) {
    testing::BodyBuilder body;
    const ValueId first = body.matmul(name, body.capture("before"), body.capture("shared"));
    return body.finish({body.add({.op = "Relu", .name = name + "_relu", .inputs = {first}})});
  };
  testing::choose(net, always, {before, shared}, branch("then"), branch("else"));
  const Graph reference = net.finish();

  const testing::Synthetic data(32, {12});
  const RangeReport ranges = analyze(reference, data);
  const std::string inner = "if/then_branch/then";
  const Graph small =
      quantize(reference, ranges, {.layers = {{inner, {2, 8}}}}, {.first_and_last_8bit = false});
  const auto errors = compare_layers(reference, small, data, 32);
  const auto figures = layer_figures(reference, small, ranges, errors);

  const auto layer = std::ranges::find(figures, inner, &LayerFigures::node);
  ASSERT_NE(layer, figures.end());
  EXPECT_EQ(layer->weight_bits, 2);
  ASSERT_TRUE(layer->weight);
  EXPECT_EQ(layer->weight->name, "shared");
  EXPECT_EQ(layer->terms, 12);
  const auto around = std::ranges::find(figures, "before", &LayerFigures::node);
  ASSERT_NE(around, figures.end());
  EXPECT_EQ(layer->sqnr_before_db, around->sqnr_db);
  EXPECT_GT(layer->share, 0.9);
  const auto cause = cause_of(*layer);
  ASSERT_TRUE(cause);
  expect_part(cause->remedy + cause->sentence, inner);
  // Neither the branch that did not run nor the If itself.
  EXPECT_EQ(std::ranges::count(figures, "if", &LayerFigures::node), 0);
  EXPECT_EQ(std::ranges::count(figures, "if/else_branch/else", &LayerFigures::node), 0);
}

TEST_F(layer_figures_of_a_network, four_bits_are_what_costs_where_they_are_all_that_is_wrong) {
  quantize_to(4, 8);
  // Rounding its weight must be the worst thing done to a layer, for its bits to be to blame.
  int blamed = 0;
  for (const LayerFigures& layer : figures_) {
    if (layer.weight_bits != 4 || layer.share <= 0 || !layer.weight) continue;
    if (layer.result && layer.result->sqnr_db < layer.weight->sqnr_db) continue;
    const auto cause = cause_of(layer);
    ASSERT_TRUE(cause) << layer.node;
    EXPECT_TRUE(cause->name == "few bits" || cause->name == "outlier channel") << cause->name;
    expect_no_part(cause->sentence, "nan");
    expect_part(cost_text(layer), "weights of 4 bits");
    ++blamed;
  }
  EXPECT_GT(blamed, 0);
}

}  // namespace
}  // namespace nibble
