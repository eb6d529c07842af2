#include "ops/op_case.h"

#include <cmath>
#include <cstring>

namespace nibble::testing {
namespace {

std::vector<TensorType> input_types(const OpCase& op_case, bool known_shapes) {
  std::vector<TensorType> types;
  for (const Tensor& input : op_case.inputs) {
    TensorType type{.dtype = input.dtype(), .shape = Shape::unknown_rank(), .quant = {}};
    if (known_shapes && !input.empty()) type.shape = input.shape();
    types.push_back(type);
  }
  return types;
}

std::vector<TensorType> infer_with(const OpCase& op_case, bool known_shapes, bool known_values) {
  const Node node = node_of(op_case);
  const std::vector<TensorType> types = input_types(op_case, known_shapes);
  const std::vector<Tensor> constants = known_values ? op_case.inputs : std::vector<Tensor>();
  return require_op(node, op_case.opset)
      .infer.function(NodeTypes(node, op_case.opset, types, constants));
}

bool compatible(const Shape& inferred, const Shape& actual) {
  if (!inferred.has_rank()) return true;
  if (inferred.rank() != actual.rank()) return false;
  for (int axis = 0; axis < actual.rank(); ++axis) {
    if (inferred[axis] >= 0 && inferred[axis] != actual[axis]) return false;
  }
  return true;
}

Tensor as_double(const Tensor& tensor) {
  return tensor.dtype() == DType::boolean ? convert(convert(tensor, DType::u8), DType::f64)
                                          : convert(tensor, DType::f64);
}

}  // namespace

std::vector<TensorType> infer(const OpCase& op_case) { return infer_with(op_case, true, true); }

std::vector<Tensor> evaluate(const OpCase& op_case, int threads) {
  const Node node = node_of(op_case);
  std::vector<Tensor> outputs(op_case.expected.size());
  ThreadPool pool(threads);
  EvalContext context(node, op_case.opset, op_case.inputs, outputs, pool);
  const OpRow& row = require_op(node, op_case.opset);
  row.eval.function(context);
  return outputs;
}

void expect_near(const Tensor& actual, const Tensor& expected, double relative) {
  ASSERT_EQ(actual.dtype(), expected.dtype());
  ASSERT_EQ(actual.shape().to_string(), expected.shape().to_string());
  const Tensor a = as_double(actual);
  const Tensor b = as_double(expected);
  for (size_t i = 0; i < a.data<double>().size(); ++i) {
    const double x = a.data<double>()[i];
    const double y = b.data<double>()[i];
    if ((std::isnan(x) && std::isnan(y)) || x == y) continue;
    EXPECT_LE(std::fabs(x - y), relative * std::max(1.0, std::fabs(y)))
        << "element " << i << ": " << x << ", expected " << y;
  }
}

void expect_case(const OpCase& op_case) {
  SCOPED_TRACE(::testing::PrintToString(op_case));
  const OpRow* row = find_op(op_case.op, op_case.domain);
  ASSERT_NE(row, nullptr) << "no such operator";
  const std::vector<Tensor> results = evaluate(op_case);
  const std::vector<Tensor> threaded = evaluate(op_case, 3);
  for (bool known_values : {true, false}) {
    const std::vector<TensorType> types = infer_with(op_case, true, known_values);
    ASSERT_EQ(types.size(), results.size());
    for (size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(types[i].dtype, results[i].dtype()) << "of output " << i;
      EXPECT_TRUE(compatible(types[i].shape, results[i].shape()))
          << "output " << i << " is inferred as " << types[i].shape.to_string() << ", found "
          << results[i].shape().to_string();
    }
  }
  EXPECT_EQ(infer_with(op_case, false, false).size(), results.size());
  for (size_t i = 0; i < results.size(); ++i) {
    expect_near(results[i], op_case.expected[i], row->tolerance);
    ASSERT_EQ(results[i].bytes(), threaded[i].bytes());
    EXPECT_EQ(std::memcmp(results[i].raw(), threaded[i].raw(), results[i].bytes()), 0)
        << "output " << i << " depends on the number of threads";
  }
}

}  // namespace nibble::testing
