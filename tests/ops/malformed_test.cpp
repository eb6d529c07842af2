// Nodes that no correct model has: each ends in an Error, never in a crash.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ops/op_case.h"
#include "ops/op_runner.h"

namespace nibble {
namespace {

using testing::boolean;
using testing::f32;
using testing::i32;
using testing::i64;
using testing::i8;
using testing::u8;
using List = std::vector<int64_t>;

struct Malformed {
  const char* what;
  const char* op;
  std::vector<Tensor> inputs;
  std::vector<std::pair<std::string, Attribute>> attributes = {};
  size_t outputs = 1;
};

Tensor zeros(const Shape& shape) { return Tensor(DType::f32, shape); }

// As the runtime does: arity, types, values.
std::vector<Tensor> process(const Node& node, const std::vector<Tensor>& inputs) {
  const OpRow& row = require_op(node, 21);
  check_arity(node, row);
  test::run_infer(node, inputs, std::vector<bool>(inputs.size(), true));
  return test::run_eval(node, inputs);
}

std::vector<Malformed> malformed_nodes() {
  constexpr int64_t kHuge = int64_t{1} << 59;
  return {
      {"no inputs", "Conv", {}},
      {"one input", "Conv", {zeros({1, 1, 3, 3})}},
      {"four inputs", "Conv", {zeros({1, 1, 3, 3}), zeros({1, 1, 1, 1}), zeros({1}), zeros({1})}},
      {"no inputs", "Add", {}},
      {"no inputs", "Relu", {}},
      {"no repeats", "Tile", {zeros({2})}},
      {"one output", "DynamicQuantizeLinear", {zeros({2})}},
      {"more than memory", "ConstantOfShape", {i64({1}, {kHuge})}},
      {"more than 2^63", "ConstantOfShape", {i64({2}, {kHuge, kHuge})}},
      {"negative extent", "ConstantOfShape", {i64({1}, {-5})}},
      {"more than memory", "Range", {i64({}, {0}), i64({}, {int64_t{1} << 61}), i64({}, {1})}},
      {"a span over 2^63", "Range", {i64({}, {INT64_MIN}), i64({}, {INT64_MAX}), i64({}, {1})}},
      {"NaN limit", "Range", {f32({}, {0}), f32({}, {NAN}), f32({}, {1})}},
      {"more than memory", "Tile", {zeros({4}), i64({1}, {int64_t{1} << 62})}},
      {"more than memory", "Expand", {zeros({1}), i64({2}, {kHuge, kHuge})}},
      {"more than memory", "Pad", {zeros({4}), i64({2}, {INT64_MAX, INT64_MAX})}},
      {"a product over 2^63", "Reshape", {zeros({4}), i64({2}, {kHuge, kHuge})}},
      {"index rank", "GatherElements", {zeros({2, 2}), i64({1}, {0})}},
      {"index extent",
       "GatherElements",
       {zeros({1, 2}), i64({2, 1}, {0, 0})},
       {{"axis", int64_t{1}}}},
      {"batches differ",
       "GatherND",
       {zeros({2, 3}), i64({3, 1}, {0, 0, 0})},
       {{"batch_dims", int64_t{1}}}},
      {"negative batch_dims",
       "GatherND",
       {zeros({2, 3}), i64({3, 1}, {0, 0, 0})},
       {{"batch_dims", int64_t{-1}}}},
      {"update batch", "TensorScatter", {zeros({1, 4, 2}), zeros({2, 1, 2}), i64({1}, {0})}},
      {"too few positions", "TensorScatter", {zeros({2, 4, 2}), zeros({2, 1, 2}), i64({1}, {0})}},
      {"long sequence", "ReverseSequence", {zeros({2, 2}), i64({2}, {9, 9})}},
      {"too few lengths", "ReverseSequence", {zeros({2, 2}), i64({1}, {1})}},
      {"one value", "OneHot", {i64({1}, {0}), i64({}, {3}), f32({1}, {1})}},
      {"negative depth", "OneHot", {i64({1}, {0}), i64({}, {-3}), f32({2}, {0, 1})}},
      {"image number", "RoiAlign", {zeros({1, 1, 4, 4}), zeros({1, 4}), i64({1}, {7})}},
      {"box of three", "RoiAlign", {zeros({1, 1, 4, 4}), zeros({1, 3}), i64({1}, {0})}},
      {"NaN box", "RoiAlign", {zeros({1, 1, 4, 4}), f32({1, 4}, {NAN, 0, 1, 1}), i64({1}, {0})}},
      {"output rank",
       "MaxUnpool",
       {zeros({1, 1, 1, 1}), i64({1, 1, 1, 1}, {0}), i64({2}, {2, 2})},
       {{"kernel_shape", List{2, 2}}}},
      {"too few indices",
       "MaxUnpool",
       {zeros({1, 1, 1, 2}), i64({1}, {0})},
       {{"kernel_shape", List{1, 1}}}},
      {"columns", "Col2Im", {zeros({1, 4, 1}), i64({2}, {3, 3}), i64({2}, {2, 2})}},
      {"an image of integers", "GridSample", {i32({1, 1, 1, 1}, {1}), zeros({1, 1, 1, 2})}},
      {"data of integers", "ConvTranspose", {i32({1, 1, 1, 1}, {1}), i32({1, 1, 1, 1}, {1})}},
      {"grid batch", "GridSample", {zeros({2, 1, 2, 2}), zeros({1, 2, 2, 2})}},
      {"theta", "AffineGrid", {zeros({1, 2, 3}), i64({4}, {2, 1, 2, 2})}},
      {"bias length", "Conv", {zeros({1, 1, 3, 3}), zeros({4, 1, 1, 1}), zeros({1})}},
      {"weight type", "Conv", {zeros({1, 1, 3, 3}), Tensor(DType::i64, {1, 1, 1, 1})}},
      {"bias length", "ConvTranspose", {zeros({1, 1, 3, 3}), zeros({1, 4, 1, 1}), zeros({1})}},
      {"a huge stride",
       "MaxPool",
       {zeros({1, 1, 3, 3})},
       {{"kernel_shape", List{1, 1}}, {"strides", List{kHuge, kHuge}}}},
      {"a huge padding",
       "MaxPool",
       {zeros({1, 1, 3, 3})},
       {{"kernel_shape", List{1, 1}}, {"pads", List{INT64_MAX, 1, 1, 1}}}},
      {"bias length",
       "QLinearConv",
       {u8({1, 1, 1, 1}, {1}), f32({}, {1}), u8({}, {0}), u8({2, 1, 1, 1}, {1, 1}), f32({}, {1}),
        u8({}, {0}), f32({}, {1}), u8({}, {0}), i32({1}, {0})}},
      {"reals where codes belong", "MatMulInteger", {u8({1, 1}, {1}), f32({1, 1}, {1})}},
      {"a real zero point",
       "ConvInteger",
       {u8({1, 1, 1, 1}, {1}), u8({1, 1, 1, 1}, {1}), f32({}, {0})}},
      {"an integer scale",
       "QLinearMatMul",
       {u8({1, 1}, {1}), i32({}, {1}), u8({}, {0}), u8({1, 1}, {1}), f32({}, {1}), u8({}, {0}),
        f32({}, {1}), u8({}, {0})}},
      {"bias overflows",
       "QLinearConv",
       {u8({1, 1, 1, 1}, {1}), f32({}, {1}), u8({}, {0}), u8({1, 1, 1, 1}, {1}), f32({}, {1}),
        u8({}, {0}), f32({}, {1}), u8({}, {0}), i32({1}, {INT32_MAX})}},
      {"bias length",
       "LSTM",
       {zeros({1, 1, 2}), zeros({1, 4, 2}), zeros({1, 4, 1}), zeros({1, 2})}},
      {"state",
       "LSTM",
       {zeros({1, 2, 2}), zeros({1, 4, 2}), zeros({1, 4, 1}), {}, {}, zeros({1, 1, 1})}},
      {"peepholes",
       "LSTM",
       {zeros({1, 1, 2}), zeros({1, 4, 2}), zeros({1, 4, 1}), {}, {}, {}, {}, zeros({1, 1})}},
      {"state type",
       "GRU",
       {zeros({1, 1, 2}),
        zeros({1, 3, 2}),
        zeros({1, 3, 1}),
        {},
        {},
        Tensor(DType::f64, {1, 1, 1})}},
      {"values", "Attention", {zeros({1, 1, 2, 4}), zeros({1, 1, 3, 4}), zeros({1, 1, 2, 4})}},
      {"key batch", "Attention", {zeros({2, 1, 2, 4}), zeros({1, 1, 3, 4}), zeros({1, 1, 3, 4})}},
      {"negative block",
       "QuantizeLinear",
       {zeros({2, 2}), f32({}, {1})},
       {{"block_size", int64_t{-1}}}},
      {"two pad values", "Pad", {zeros({1}), i64({2}, {0, 0}), zeros({0})}},
  };
}

Node node_of(const Malformed& malformed) {
  std::vector<std::pair<std::string, Attribute>> attributes = malformed.attributes;
  Node node = test::make_node(malformed.op, malformed.inputs.size(),
                              test::make_attributes(std::move(attributes)), malformed.outputs);
  for (size_t i = 0; i < malformed.inputs.size(); ++i) {
    if (malformed.inputs[i].empty()) node.inputs[i] = {};
  }
  return node;
}

TEST(malformed_node, ends_in_an_error) {
  for (const Malformed& malformed : malformed_nodes()) {
    SCOPED_TRACE(std::string(malformed.op) + ": " + malformed.what);
    EXPECT_THROW(process(node_of(malformed), malformed.inputs), Error);
  }
}

TEST(malformed_node, a_float_that_no_integer_holds_is_converted_without_a_trap) {
  const Tensor wild = f32({4}, {NAN, 1e30F, -1e30F, INFINITY});
  const Tensor wide = convert(wild, DType::i64), narrow = convert(wild, DType::i32);
  for (int64_t value : wide.data<int64_t>()) EXPECT_EQ(value, INT64_MIN);
  for (int32_t value : narrow.data<int32_t>()) EXPECT_EQ(value, 0);
}

}  // namespace
}  // namespace nibble
