// Activations that ONNX Runtime's optimizer fuses.
#include <array>

#include "onnx/expand/families.h"
#include "onnx/expand/support.h"

namespace nibble {
namespace {

// X, or X and a bias.
bool gelu(Expansion& e) {
  e.give(0, e.op("Gelu", {sum(e, {e.in(0), e.in(1)})}));
  return true;
}

bool fast_gelu(Expansion& e) {
  e.give(0, e.op("Gelu", {sum(e, {e.in(0), e.in(1)})},
                 attributes_of({{"approximate", std::string("tanh")}})));
  return true;
}

// x * sigmoid(alpha * x)
bool quick_gelu(Expansion& e) {
  const float alpha = e.node.attributes.real("alpha", 1.702F);
  const ValueId x = e.in(0);
  const ValueId scaled = alpha == 1 ? x : e.op("Mul", {x, e.scalar_like(x, alpha)});
  e.give(0, e.op("Mul", {x, e.op("Sigmoid", {scaled})}));
  return true;
}

constexpr std::array kRows = {
    ExpansionRow{kMicrosoft, "BiasGelu", gelu, "Add, Gelu"},
    ExpansionRow{kMicrosoft, "FastGelu", fast_gelu, "Add, Gelu"},
    ExpansionRow{kMicrosoft, "Gelu", gelu, "Gelu"},
    ExpansionRow{kMicrosoft, "QuickGelu", quick_gelu, "Mul, Sigmoid"},
};

}  // namespace

std::span<const ExpansionRow> activation_expansions() { return kRows; }

}  // namespace nibble
