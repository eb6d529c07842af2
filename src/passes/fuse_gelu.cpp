// GELU as exporters write it before opset 20, in any order of its factors, becomes one node.
//
// Before: %a = Div(%x, sqrt 2)    %b = Erf(%a)     %c = Add(%b, 1)
//         %d = Mul(%x, %c)        %y = Mul(%d, 0.5)
// After:  %y = Gelu(%x)
// and with Tanh(sqrt(2 / pi) * (%x + 0.044715 * %x^3)) for the Erf: Gelu(%x) {approximate=tanh}
#include <array>
#include <cmath>
#include <numbers>
#include <optional>

#include "passes/formula.h"
#include "passes/pass.h"

namespace nibble {
namespace {

struct Form {
  std::string_view function;     // whose argument ...
  Formula::Polynomial argument;  // ... is this one of x
  std::string_view approximate;  // the attribute of Gelu
};

constexpr double kTanhFactor = std::numbers::sqrt2 * std::numbers::inv_sqrtpi;
constexpr std::array kForms = {
    Form{"Erf", {0, std::numbers::sqrt2 / 2, 0, 0}, "none"},
    Form{"Tanh", {0, kTanhFactor, 0, kTanhFactor * 0.044715}, "tanh"},
};

class Fuser {
 public:
  explicit Fuser(Graph& graph) : graph_(graph), editor_(graph), formula_(graph, editor_) {}

  int run() {
    int fused = 0;
    for (const NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      for (const Form& form : kForms) {
        if (node.op == form.function && node.domain.empty()) fused += fuse(node, form) ? 1 : 0;
      }
    }
    editor_.finish();
    if (fused > 0) graph_.prune();
    return fused;
  }

 private:
  // The Mul that gives x / 2 * (1 + f), and x.
  struct Product {
    NodeId last;
    ValueId x;
  };

  // From 1 + f on: each Mul brings a number, or x, or x times a number, until they are x / 2.
  std::optional<Product> find_product(ValueId sum) const {
    double factor = 1;
    ValueId x;
    for (ValueId at = sum; formula_.is_inner(at);) {
      const auto next = editor_.only_consumer(at);
      if (!next) return std::nullopt;
      const Node& mul = graph_.node(*next);
      if (mul.op != "Mul" || !mul.domain.empty() || mul.clamp.any()) return std::nullopt;
      const ValueId by = Formula::other(mul, at);
      if (const auto number = formula_.number(by)) {
        factor *= *number;
      } else if (x) {
        return std::nullopt;
      } else {
        x = by;
        if (const Node* scaled = formula_.inner(by, "Mul"); scaled && editor_.only_consumer(by)) {
          for (const ValueId operand : scaled->inputs) {
            const auto scale = formula_.number(operand);
            if (!scale) continue;
            factor *= *scale;
            x = Formula::other(*scaled, operand);
          }
        }
      }
      at = mul.output(0);
      if (x && std::abs(factor - 0.5) < 1e-6) return Product{*next, x};
    }
    return std::nullopt;
  }

  bool fuse(const Node& function, const Form& form) {
    if (!formula_.is_inner(function.output(0))) return false;
    const auto add = editor_.only_consumer(function.output(0));
    if (!add || graph_.node(*add).op != "Add" || !graph_.node(*add).domain.empty() ||
        !formula_.is_number(Formula::other(graph_.node(*add), function.output(0)), 1)) {
      return false;
    }
    const auto product = find_product(graph_.node(*add).output(0));
    if (!product || !formula_.is_polynomial(function.input(0), product->x, form.argument)) {
      return false;
    }
    const ValueId result = graph_.node(product->last).output(0);
    const TensorType& from = graph_.value(product->x).type;
    if (from.dtype != DType::f32 || !(from.shape == graph_.value(result).type.shape)) return false;
    Node gelu{.op = "Gelu", .name = function.name, .inputs = {product->x}, .outputs = {result}};
    gelu.attributes.set("approximate", std::string(form.approximate));
    editor_.remove(product->last);
    editor_.insert_before(product->last, std::move(gelu));
    return true;
  }

  Graph& graph_;
  GraphEditor editor_;
  Formula formula_;
};

}  // namespace

int fuse_gelu(Graph& graph) {
  infer_types(graph);
  return Fuser(graph).run();
}

}  // namespace nibble
