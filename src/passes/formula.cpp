#include "passes/formula.h"

#include <algorithm>
#include <cmath>

namespace nibble {
namespace {

using Polynomial = Formula::Polynomial;

constexpr int kDeepest = 8;  // nodes one behind the other: GELU's polynomial has six

bool near(double a, double b) { return std::abs(a - b) <= 1e-5 * std::abs(b); }

std::optional<Polynomial> product(const Polynomial& a, const Polynomial& b) {
  Polynomial result{};
  for (size_t i = 0; i < a.size(); ++i) {
    for (size_t j = 0; j < b.size(); ++j) {
      const double term = a[i] * b[j];
      if (term == 0) continue;
      if (i + j >= result.size()) return std::nullopt;
      result[i + j] += term;
    }
  }
  return result;
}

Polynomial sum(const Polynomial& a, const Polynomial& b, double sign) {
  Polynomial result{};
  for (size_t i = 0; i < result.size(); ++i) result[i] = a[i] + sign * b[i];
  return result;
}

bool is_constant(const Polynomial& p) {
  return std::all_of(p.begin() + 1, p.end(), [](double c) { return c == 0; });
}

std::optional<Polynomial> power(const Polynomial& base, const Polynomial& exponent) {
  const double times = exponent[0];
  if (!is_constant(exponent) || times < 1 || times > 3 || times != std::round(times)) {
    return std::nullopt;
  }
  std::optional<Polynomial> result = base;
  for (int i = 1; result && i < static_cast<int>(times); ++i) result = product(*result, base);
  return result;
}

}  // namespace

bool Formula::is_inner(ValueId id) const {
  if (!id) return false;
  const TensorType& type = graph_.value(id).type;
  if (type.dtype != DType::f32 || type.quant) return false;
  const auto producer = editor_.producer(id);
  return producer && !graph_.node(*producer).clamp.any();
}

const Node* Formula::inner(ValueId id, std::string_view op) const {
  return is_inner(id) ? editor_.producer(id, op) : nullptr;
}

std::optional<double> Formula::number(ValueId id) const {
  if (!id) return std::nullopt;
  const Value& value = graph_.value(id);
  if (!value.is_constant() || value.type.quant || value.data.dtype() != DType::f32 ||
      value.data.elements() != 1) {
    return std::nullopt;
  }
  return static_cast<double>(value.data.data<float>()[0]);
}

bool Formula::is_number(ValueId id, double expected) const {
  const auto have = number(id);
  return have && near(*have, expected);
}

ValueId Formula::other(const Node& node, ValueId operand) {
  if (node.inputs.size() != 2) return {};
  return node.inputs[0] == operand ? node.inputs[1] : node.inputs[0];
}

std::optional<Polynomial> Formula::polynomial(ValueId id, ValueId x) const {
  return polynomial(id, x, 0);
}

std::optional<Polynomial> Formula::polynomial(ValueId id, ValueId x, int depth) const {
  if (id == x) return Polynomial{0, 1, 0, 0};
  if (const auto c = number(id)) return Polynomial{*c, 0, 0, 0};
  if (depth > kDeepest || !is_inner(id)) return std::nullopt;
  const Node& node = graph_.node(*editor_.producer(id));
  return node.domain.empty() ? polynomial_of(node, x, depth + 1) : std::nullopt;
}

std::optional<Polynomial> Formula::polynomial_of(const Node& node, ValueId x, int depth) const {
  if (node.inputs.empty() || node.inputs.size() > 2) return std::nullopt;
  const auto a = polynomial(node.inputs[0], x, depth);
  if (!a) return std::nullopt;
  if (node.inputs.size() == 1)
    return node.op == "Neg" ? std::optional(sum({}, *a, -1)) : std::nullopt;
  const auto b = polynomial(node.inputs[1], x, depth);
  if (!b) return std::nullopt;
  if (node.op == "Add") return sum(*a, *b, 1);
  if (node.op == "Sub") return sum(*a, *b, -1);
  if (node.op == "Mul") return product(*a, *b);
  if (node.op == "Pow") return power(*a, *b);
  if (node.op == "Div" && is_constant(*b) && (*b)[0] != 0) {
    return product(*a, Polynomial{1 / (*b)[0], 0, 0, 0});
  }
  return std::nullopt;
}

bool Formula::is_polynomial(ValueId id, ValueId x, const Polynomial& expected) const {
  const auto have = polynomial(id, x);
  return have && std::ranges::equal(*have, expected, near);
}

}  // namespace nibble
