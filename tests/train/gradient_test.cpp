// Every operator that training runs: it computes what the cases of the operators say, and its
// gradients are those of central differences.
#include <cmath>
#include <map>

#include "nibble/error.h"
#include "ops/op.h"
#include "support/networks.h"
#include "support/op_case.h"
#include "train/fixtures.h"

namespace nibble::testing {
namespace {

/// Inputs that are settings and not operands: constants, through which nothing is learned.
struct Setting {
  std::string_view op;
  size_t input;
};
constexpr Setting kSettings[] = {{"BatchNormalization", 3},
                                 {"BatchNormalization", 4},
                                 {"CastLike", 1},
                                 {"Dropout", 1},
                                 {"Pad", 2},
                                 {"Resize", 2},
                                 {"Upsample", 1}};

bool is_setting(const OpCase& op_case, size_t input) {
  return std::ranges::any_of(
      kSettings, [&](const Setting& s) { return s.op == op_case.op && s.input == input; });
}

std::vector<bool> settings_of(const OpCase& op_case) {
  std::vector<bool> settings;
  for (size_t i = 0; i < op_case.inputs.size(); ++i) settings.push_back(is_setting(op_case, i));
  return settings;
}

/// In f64, moved off the kinks that round numbers lie on.
OpCase moved(OpCase op_case) {
  for (size_t i = 0; i < op_case.inputs.size(); ++i) {
    Tensor& input = op_case.inputs[i];
    if (input.empty() || input.dtype() != DType::f32) continue;
    input = convert(input, DType::f64).clone();
    if (is_setting(op_case, i)) continue;
    double shift = 0.01 * static_cast<double>(i + 1);
    for (double& x : input.data<double>()) {
      x += shift;
      shift = std::fmod(shift + 0.0377, 0.1);
    }
  }
  return op_case;
}

/// What torch runs of it: all outputs, or the first where training leaves the others out.
Graph trainable_graph(const OpCase& op_case) {
  Graph graph = graph_of(op_case, settings_of(op_case));
  const bool first_only = op_case.op != "Split" && op_case.op != "TopK";
  if (first_only) graph.outputs.resize(1);
  return graph;
}

/// Training has no bytes, no halves and no tensors without elements.
bool has_types_of_training(const OpCase& op_case) {
  const auto known = [](const Tensor& tensor) {
    if (tensor.empty()) return true;
    const bool type = tensor.dtype() == DType::f32 || tensor.dtype() == DType::f64 ||
                      tensor.dtype() == DType::i64 || tensor.dtype() == DType::i32 ||
                      tensor.dtype() == DType::boolean;
    return type && tensor.elements() > 0;
  };
  return std::ranges::all_of(op_case.inputs, known) && std::ranges::all_of(op_case.expected, known);
}

/// Reals go in and come out: else there is nothing to differentiate (Shape, Constant).
bool has_reals(const OpCase& op_case) {
  const auto real = [](const Tensor& tensor) {
    return tensor.dtype() == DType::f32 || tensor.dtype() == DType::f64;
  };
  return std::ranges::any_of(op_case.inputs, real) && real(op_case.expected[0]);
}

bool takes_reals(const OpRow& row) {
  return std::ranges::any_of(cases_of(row.name, row.domain),
                             [](const OpCase* op_case) { return has_reals(*op_case); });
}

void expect_forward(const OpCase& op_case, double tolerance) {
  const auto results = train_backend().forward(trainable_graph(op_case),
                                               graph_inputs(op_case, settings_of(op_case)));
  for (size_t i = 0; i < results.size(); ++i) {
    const Tensor& expected = op_case.expected[i];
    ASSERT_EQ(results[i].shape().to_string(), expected.shape().to_string());
    const Tensor a = convert(results[i], DType::f64), b = convert(expected, DType::f64);
    for (size_t k = 0; k < a.data<double>().size(); ++k) {
      const double x = a.data<double>()[k], y = b.data<double>()[k];
      if (x == y || (std::isnan(x) && std::isnan(y))) continue;
      EXPECT_LE(std::abs(x - y), std::max(tolerance, 1e-6) * std::max(1.0, std::abs(y)))
          << "output " << i << ", element " << k;
    }
  }
}

/// sum over outputs of output * upstream.
double weighted_sum(const Graph& graph, const std::vector<Tensor>& inputs,
                    const std::vector<Tensor>& upstream) {
  const auto outputs = train_backend().forward(graph, inputs);
  double sum = 0;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (outputs[i].dtype() != DType::f64) continue;
    for (size_t k = 0; k < outputs[i].data<double>().size(); ++k) {
      sum += outputs[i].data<double>()[k] * upstream[i].data<double>()[k];
    }
  }
  return sum;
}

std::vector<Tensor> upstream_of(const Graph& graph, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> upstream;
  for (const Tensor& output : train_backend().forward(graph, inputs)) {
    upstream.push_back(convert(random_tensor(output.shape(), 3), DType::f64).clone());
  }
  return upstream;
}

/// True if the gradients of at least one input were compared.
bool expect_gradients(const OpCase& original) {
  constexpr double kStep = 1e-6;
  const OpCase op_case = moved(original);
  const Graph graph = trainable_graph(op_case);
  const std::vector<Tensor> inputs = graph_inputs(op_case, settings_of(op_case));
  const std::vector<Tensor> upstream = upstream_of(graph, inputs);
  if (train_backend().forward(graph, inputs)[0].dtype() != DType::f64) return false;  // a Cast
  if (!std::isfinite(weighted_sum(graph, inputs, upstream))) return false;
  const std::vector<Tensor> gradients = train_backend().gradients(graph, inputs, upstream);
  bool compared = false;
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].dtype() != DType::f64) continue;
    EXPECT_FALSE(gradients[i].empty()) << "no gradient reaches input " << i;
    if (gradients[i].empty()) continue;
    for (size_t k = 0; k < inputs[i].data<double>().size(); ++k) {
      const auto at = [&](double shift) {
        std::vector<Tensor> near = inputs;
        near[i] = near[i].clone();
        near[i].data<double>()[k] += shift;
        return weighted_sum(graph, near, upstream);
      };
      const double slope = (at(kStep) - at(-kStep)) / (2 * kStep);
      EXPECT_NEAR(gradients[i].data<double>()[k], slope, 1e-5 * std::max(1.0, std::abs(slope)))
          << "input " << i << ", element " << k;
      compared = true;
    }
  }
  return compared;
}

TEST(Gradients, are_zero_where_a_slope_is_infinite_though_the_value_is_not) {
  NIBBLE_NEEDS_TRAINING();
  struct Case {
    std::string op;
    std::vector<float> at;
  };
  for (const Case& c :
       {Case{"Sqrt", {0, 4}}, Case{"Acos", {1, 0}}, Case{"Asin", {-1, 0}}, Case{"Acosh", {1, 2}}}) {
    testing::NetworkBuilder net({2});
    net.add({.op = c.op, .name = "singular", .inputs = {net.last}});
    const Graph graph = net.finish();
    const Tensor x = Tensor::of<float>({2}, c.at);
    const std::vector<Tensor> upstream = {Tensor::of<float>({2}, {1, 1})};
    const Tensor gradient = train_backend().gradients(graph, std::span(&x, 1), upstream)[0];
    EXPECT_EQ(gradient.data<float>()[0], 0) << c.op;
    EXPECT_NE(gradient.data<float>()[1], 0) << c.op;
    EXPECT_TRUE(std::isfinite(gradient.data<float>()[1])) << c.op;
  }
}

TEST(Gradients, the_op_table_says_what_training_can_do) {
  NIBBLE_NEEDS_TRAINING();
  for (const OpCase& op_case : op_cases()) {
    const OpRow* row = find_op(op_case.op, op_case.domain);
    ASSERT_NE(row, nullptr) << op_case.op;
    EXPECT_EQ(row->gradient != Gradient::none, train_backend().runs(row->name, row->domain))
        << row->name;
  }
}

TEST(Gradients, every_trained_operator_computes_its_cases_and_agrees_with_central_differences) {
  NIBBLE_NEEDS_TRAINING();
  std::map<std::string, bool> compared;
  for (const OpCase& op_case : op_cases()) {
    const OpRow* row = find_op(op_case.op, op_case.domain);
    if (row == nullptr || row->gradient == Gradient::none) continue;
    bool& done = compared[op_case.op];
    done = done || !takes_reals(*row);
    // libtorch's integers are for shapes: where an operator takes reals, those are compared.
    if (!has_types_of_training(op_case) || (!has_reals(op_case) && takes_reals(*row))) continue;
    SCOPED_TRACE(to_string(op_case));
    try {
      expect_forward(op_case, row->tolerance);
      if (has_reals(op_case)) done = expect_gradients(op_case) || done;
    } catch (const Error& error) {
      // A form of the operator that training refuses by a sentence of its own.
      if (error.code() != ErrorCode::unsupported) ADD_FAILURE() << error.what();
    }
  }
  for (const auto& [op, done] : compared) EXPECT_TRUE(done) << op << ": no gradient was compared";
}

}  // namespace
}  // namespace nibble::testing
