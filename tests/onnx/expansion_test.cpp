// A walk over the operators that are read as their parts: each gives what its definition says, as
// it was read, and written and read again.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "nibble/error.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "onnx/expand/expand.h"
#include "onnx/expansion_cases/expansion_case.h"
#include "passes/pass.h"

namespace nibble {
namespace {

using testing::expansion_cases;
using testing::ExpansionCase;

Graph graph_of(const ExpansionCase& entry) {
  Graph graph = testing::graph_of(entry.node, entry.constant);
  graph.opsets[entry.node.domain] = entry.node.domain.empty() ? entry.node.opset : 1;
  return graph;
}

std::vector<Tensor> run(const Graph& graph, const ExpansionCase& entry, Arithmetic arithmetic) {
  Program program = compile(graph, {.arithmetic = arithmetic});
  std::vector<Tensor> outputs;
  for (const Tensor& output : program.run(testing::graph_inputs(entry.node, entry.constant))) {
    outputs.push_back(output.clone());
  }
  return outputs;
}

// Reals within the tolerance of the largest; codes equal, or one apart where `rounding` says so.
void expect_equal(const std::vector<Tensor>& have, const ExpansionCase& entry, int rounding) {
  ASSERT_EQ(have.size(), entry.node.expected.size());
  for (size_t i = 0; i < have.size(); ++i) {
    const Tensor& want = entry.node.expected[i];
    ASSERT_EQ(have[i].dtype(), want.dtype());
    ASSERT_EQ(have[i].shape(), want.shape())
        << have[i].shape().to_string() << " instead of " << want.shape().to_string();
    const Tensor a = convert(have[i], DType::f64), b = convert(want, DType::f64);
    double largest = 0;
    for (const double value : b.data<double>()) largest = std::max(largest, std::abs(value));
    const double most = is_float(want.dtype()) ? entry.tolerance * largest : rounding;
    for (size_t k = 0; k < static_cast<size_t>(b.elements()); ++k) {
      EXPECT_NEAR(a.data<double>()[k], b.data<double>()[k], most) << "output " << i << ", " << k;
    }
  }
}

bool uses(const Graph& graph, const ExpansionRow& row) {
  for (NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    if (node.op == row.op && node.domain == row.domain) return true;
  }
  return false;
}

class expansion : public ::testing::TestWithParam<ExpansionCase> {};

TEST_P(expansion, gives_what_the_operator_means) {
  const ExpansionCase& entry = GetParam();
  Graph graph = graph_of(entry);
  EXPECT_EQ(expand_operators(graph), 1);
  graph.validate();
  infer_types(graph);
  EXPECT_FALSE(uses(graph, *find_expansion(entry.node.op, entry.node.domain)) &&
               entry.node.domain != "")
      << to_text(graph);
  expect_equal(run(graph, entry, Arithmetic::fake_quantize), entry, 0);
  EXPECT_EQ(expand_operators(graph), 0) << "not idempotent";
}

TEST_P(expansion, computes_the_same_with_integers_after_being_written_and_read) {
  const ExpansionCase& entry = GetParam();
  const Graph read = parse_onnx(serialize_onnx(graph_of(entry)));
  expect_equal(run(read, entry, Arithmetic::integer), entry, 1);
  const Graph again = parse_onnx(serialize_onnx(read));
  expect_equal(run(again, entry, Arithmetic::integer), entry, 1);
  EXPECT_FALSE(again.opsets.contains(testing::kMicrosoft));
}

std::string name_of_case(const ::testing::TestParamInfo<ExpansionCase>& info) {
  return info.param.node.op + "_" + std::to_string(info.index);
}

INSTANTIATE_TEST_SUITE_P(walk, expansion, ::testing::ValuesIn(expansion_cases()), name_of_case);

TEST(expansions, every_row_has_a_case) {
  std::set<std::string> covered;
  for (const ExpansionCase& entry : expansion_cases()) {
    covered.insert(entry.node.domain + "::" + entry.node.op);
  }
  for (const ExpansionRow& row : expansion_table()) {
    const std::string name = std::string(row.domain) + "::" + std::string(row.op);
    EXPECT_TRUE(covered.contains(name)) << name;
    EXPECT_FALSE(row.becomes.empty()) << name;
  }
}

// ---- What becomes types ----

TEST(expansions, products_of_codes_become_typed_layers) {
  for (const ExpansionCase& entry : expansion_cases()) {
    if (entry.node.op != "QLinearMatMul" && entry.node.op != "QLinearConv") continue;
    const Graph graph = parse_onnx(serialize_onnx(graph_of(entry)));
    int weights = 0;
    for (int32_t i = 0; i < graph.value_count(); ++i) {
      const Value& value = graph.value({i});
      weights += value.is_constant() && value.type.quant && value.type.shape.rank() > 1 &&
                         value.type.quant->granularity == Granularity::per_channel
                     ? 1
                     : 0;
    }
    EXPECT_EQ(weights, 1) << to_text(graph);
  }
}

TEST(expansions, a_packed_weight_becomes_a_block_quantized_type) {
  const auto cases = expansion_cases();
  const auto entry = std::ranges::find_if(cases, [](const ExpansionCase& candidate) {
    return candidate.node.op == "MatMulNBits" &&
           Node(testing::node_of(candidate.node)).attributes.integer("bits", 0) == 4;
  });
  ASSERT_NE(entry, cases.end());
  const Graph graph = parse_onnx(serialize_onnx(graph_of(*entry)));
  ASSERT_EQ(graph.nodes().size(), 1U) << to_text(graph);
  const Node& node = graph.node(graph.nodes()[0]);
  EXPECT_EQ(node.op, "MatMul");
  const TensorType& weight = graph.value(node.inputs[1]).type;
  ASSERT_TRUE(weight.quant);
  EXPECT_EQ(weight.shape, (Shape{20, 3}));
  EXPECT_EQ(weight.quant->storage, DType::i4);
  EXPECT_EQ(weight.quant->granularity, Granularity::per_block);
  EXPECT_EQ(weight.quant->block_size, 16);
  EXPECT_EQ(weight.quant->axis, 0);
}

// ---- What cannot be taken apart ----

std::string error_of(const ExpansionCase& entry) {
  try {
    parse_onnx(serialize_onnx(graph_of(entry)));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(expansions, a_weight_that_is_computed_is_named) {
  for (ExpansionCase entry : expansion_cases()) {
    if (entry.node.op != "MatMulNBits") continue;
    entry.constant[1] = false;
    const std::string message = error_of(entry);
    EXPECT_NE(message.find("MatMulNBits"), std::string::npos) << message;
    EXPECT_NE(message.find("its weight is not a constant"), std::string::npos) << message;
  }
}

TEST(expansions, a_packed_weight_of_the_wrong_size_is_refused) {
  for (ExpansionCase entry : expansion_cases()) {
    if (entry.node.op != "MatMulNBits") continue;
    for (const auto& [name, value] :
         {std::pair("N", int64_t{1} << 40), std::pair("K", int64_t{7}),
          std::pair("K", int64_t{1} << 62), std::pair("N", int64_t{-1}),
          std::pair("bits", int64_t{3}), std::pair("bits", int64_t{0}),
          std::pair("block_size", int64_t{0}), std::pair("block_size", int64_t{1} << 62)}) {
      ExpansionCase broken = entry;
      for (auto& [key, attribute] : broken.node.attributes) {
        if (key == name) attribute = value;
      }
      EXPECT_NE(error_of(broken), "") << name << " = " << value;
    }
  }
}

TEST(expansions, an_unknown_activation_is_named) {
  for (ExpansionCase entry : expansion_cases()) {
    if (entry.node.op != "FusedGemm") continue;
    for (auto& [key, attribute] : entry.node.attributes) {
      if (key == "activation") attribute = std::string("Wobble");
    }
    EXPECT_NE(error_of(entry).find("'Wobble'"), std::string::npos);
  }
}

}  // namespace
}  // namespace nibble
