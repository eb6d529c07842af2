// Formulas as exporters write them, several nodes each: what passes that look for one ask of a
// graph.
#pragma once

#include <array>
#include <optional>
#include <string_view>

#include "passes/graph_editor.h"

namespace nibble {

class Formula {
 public:
  Formula(const Graph& graph, const GraphEditor& editor) : graph_(graph), editor_(editor) {}

  /// The value is f32, and neither rounded nor clamped where it is computed: a step within a
  /// formula.
  bool is_inner(ValueId id) const;
  /// The node that computes such a value, if it is this ONNX operator; else nullptr.
  const Node* inner(ValueId id, std::string_view op) const;
  /// The number that an f32 constant of one element holds.
  std::optional<double> number(ValueId id) const;
  /// The same, within 1e-5 of `expected`, relatively.
  bool is_number(ValueId id, double expected) const;
  /// Of a node with two inputs, one of which is `operand`: the other one.
  static ValueId other(const Node& node, ValueId operand);

  /// Coefficients from degree 0 on.
  using Polynomial = std::array<double, 4>;
  /// What `id` is of x, computed by Add, Sub, Mul, Div, Neg and Pow with numbers; nullopt if it is
  /// none, or of a higher degree.
  std::optional<Polynomial> polynomial(ValueId id, ValueId x) const;
  /// It is this one, each coefficient within 1e-5, relatively.
  bool is_polynomial(ValueId id, ValueId x, const Polynomial& expected) const;

 private:
  std::optional<Polynomial> polynomial_of(const Node& node, ValueId x, int depth) const;
  std::optional<Polynomial> polynomial(ValueId id, ValueId x, int depth) const;

  const Graph& graph_;
  const GraphEditor& editor_;
};

}  // namespace nibble
