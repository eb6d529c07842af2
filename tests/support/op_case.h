// One case of one operator: what goes in and what must come out. One list of them drives the tests
// of the operators (tests/ops) and of their gradients (tests/train).
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "nibble/graph.h"

namespace nibble::testing {

struct OpCase {
  std::string op;
  std::vector<Tensor> inputs;    // an empty tensor: an optional input left out
  std::vector<Tensor> expected;  // one for each output
  std::vector<std::pair<std::string, Attribute>> attributes = {};
  int opset = 21;
  std::string domain = "";
  Clamp clamp = {};  // as fused into the node
  bool channels_last = false;
};

/// At least one case of every operator, with values worked out by hand.
const std::vector<OpCase>& op_cases();
/// Those of one operator.
std::vector<const OpCase*> cases_of(std::string_view op, std::string_view domain);

/// The node alone: input i is value i, the outputs are the values behind them.
Node node_of(const OpCase& op_case);

/// A graph of the node. Inputs marked `constant` (by index; left out: none) are constants, the
/// others graph inputs named x0, x1, ...; the outputs are y0, y1, ... Shapes and types are those of
/// the case.
Graph graph_of(const OpCase& op_case, const std::vector<bool>& constant = {});
/// The tensors for the graph inputs of graph_of(), in order.
std::vector<Tensor> graph_inputs(const OpCase& op_case, const std::vector<bool>& constant = {});

/// "Add-21(f32[2] f32[2] ) {}".
std::string to_string(const OpCase& op_case);
std::ostream& operator<<(std::ostream& out, const OpCase& op_case);

/// Shorthands for literals.
inline Tensor f32(const Shape& shape, std::initializer_list<float> values) {
  return Tensor::of<float>(shape, values);
}
inline Tensor i64(const Shape& shape, std::initializer_list<int64_t> values) {
  return Tensor::of<int64_t>(shape, values);
}
inline Tensor i32(const Shape& shape, std::initializer_list<int32_t> values) {
  return Tensor::of<int32_t>(shape, values);
}
inline Tensor u8(const Shape& shape, std::initializer_list<uint8_t> values) {
  return Tensor::of<uint8_t>(shape, values);
}
inline Tensor i8(const Shape& shape, std::initializer_list<int8_t> values) {
  return Tensor::of<int8_t>(shape, values);
}
inline Tensor boolean(const Shape& shape, std::initializer_list<bool> values) {
  return Tensor::of<bool>(shape, values);
}
inline Attribute text(const char* value) { return std::string(value); }

}  // namespace nibble::testing
