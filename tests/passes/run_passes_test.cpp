// Running passes one by one, to find the one that spoils a graph.
#include <gtest/gtest.h>

#include <array>

#include "passes/helpers.h"
#include "passes/pass.h"

namespace nibble {
namespace {

using testing::attributes;
using testing::Builder;

// Something for each pass: a convolution with BatchNormalization and Relu, an identity, constants
// to fold, and quantized values.
Graph sample() {
  Builder b;
  const ValueId x = b.input("x", {1, 2, 6, 6});
  const ValueId weight = b.node("Neg", {b.weights("w", {3, 2, 3, 3})}, "negated");
  const ValueId conv = b.node("Conv", {x, weight}, "conv");
  const ValueId scale = b.weights("scale", {3}, 0.5F);
  const ValueId norm = b.node("BatchNormalization", {conv, scale, scale, scale, scale}, "norm");
  const ValueId relu = b.node("Relu", {b.node("Identity", {norm}, "same")}, "relu");
  const ValueId s = b.constant<float>("s", {}, {0.125F});
  const ValueId z = b.constant<uint8_t>("z", {}, {3});
  const ValueId codes = b.node("QuantizeLinear", {relu, s, z}, "codes");
  const ValueId real = b.node("DequantizeLinear", {codes, s, z}, "real");
  b.output(
      b.node("MaxPool", {real}, "y", attributes({{"kernel_shape", std::vector<int64_t>{2, 2}}})));
  return b.graph;
}

constexpr std::array<std::string_view, 6> kSequence = {"fold_constants",   "eliminate_identities",
                                                       "fold_qdq",         "fold_batch_norm",
                                                       "fuse_activations", "channels_last"};

TEST(run_passes, after_any_number_of_them_the_graph_is_valid_and_computes_the_same) {
  const std::vector<Tensor> want = testing::run(sample());
  std::string last;
  for (int count = 0; count <= static_cast<int>(kSequence.size()); ++count) {
    Graph graph = sample();
    infer_types(graph);
    run_passes(graph, kSequence, {.check_each = true, .stop_after = count});
    EXPECT_LE(testing::difference(testing::run(graph), want), 1e-5) << count;
    const std::string text = to_text(graph);
    EXPECT_NE(text, last) << "pass " << count << " had nothing to do";
    last = text;
  }
}

TEST(run_passes, every_pass_of_the_table_leaves_a_graph_whose_types_can_be_inferred) {
  for (const PassRow& row : pass_table()) {
    Graph graph = sample();
    infer_types(graph);
    const std::array names = {row.name};
    EXPECT_NO_THROW(run_passes(graph, names, {.check_each = true})) << row.name;
  }
}

TEST(run_passes, a_check_that_fails_names_the_pass) {
  Graph graph = sample();
  // A type that no inference agrees with, which only infer_types looks at.
  graph.value(*graph.find_value("norm")).type = {.dtype = DType::f32, .shape = {7}, .quant = {}};
  constexpr std::array<std::string_view, 1> kNames = {"insert_qdq"};
  EXPECT_NO_THROW(run_passes(graph, kNames, {.check_each = false}));
  try {
    run_passes(graph, kNames, {.check_each = true});
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_TRUE(std::string_view(error.what()).starts_with("pass 1 (insert_qdq) > node"))
        << error.what();
  }
}

TEST(run_passes, a_name_that_is_no_pass_is_an_internal_error) {
  Graph graph = sample();
  constexpr std::array<std::string_view, 1> kNames = {"fold_everything"};
  EXPECT_THROW(run_passes(graph, kNames, {}), InternalError);
}

// Sets an environment variable while it lives.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  const char* name_;
};

TEST(pass_control, comes_from_the_environment) {
  {
    const Environment check("NIBBLE_CHECK_PASSES", "1"), stop("NIBBLE_STOP_AFTER_PASS", "2");
    EXPECT_TRUE(PassControl::from_environment().check_each);
    EXPECT_EQ(PassControl::from_environment().stop_after, 2);
  }
  {
    const Environment check("NIBBLE_CHECK_PASSES", "0"), stop("NIBBLE_STOP_AFTER_PASS", "");
    EXPECT_FALSE(PassControl::from_environment().check_each);
    EXPECT_FALSE(PassControl::from_environment().stop_after.has_value());
  }
  for (const char* wrong : {"two", "-1", "2 ", "99999999999"}) {
    const Environment stop("NIBBLE_STOP_AFTER_PASS", wrong);
    EXPECT_THROW(PassControl::from_environment(), Error) << wrong;
  }
}

TEST(pass_control, compile_stops_where_it_says) {
  const Graph graph = sample();
  const Tensor x(DType::f32, {1, 2, 6, 6});
  std::vector<Tensor> first;
  for (const char* stop : {"0", "1", "2", "3", "4", "5", "6", "7"}) {
    const Environment check("NIBBLE_CHECK_PASSES", "1"), variable("NIBBLE_STOP_AFTER_PASS", stop);
    Program program = compile(graph, {.arithmetic = Arithmetic::fake_quantize});
    const std::vector<Tensor> result = {program.run(std::span(&x, 1))[0].clone()};
    if (first.empty()) first = result;
    EXPECT_LE(testing::difference(result, first), 1e-5) << stop;
    program.profile(true);
    bool has_norm = false;
    for (const StepProfile& step : program.profile()) {
      has_norm = has_norm || step.op == "BatchNormalization";
    }
    EXPECT_EQ(has_norm, std::string_view(stop) < "5") << stop;
  }
}

}  // namespace
}  // namespace nibble
