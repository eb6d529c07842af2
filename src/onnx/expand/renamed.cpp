// Operators that ONNX took over, and those that say what ONNX's say under other names.
//
// Before: %q:u16 = com.microsoft::QuantizeLinear(%x, %s, %z)
// After:  %q:u16 = QuantizeLinear(%x, %s, %z)
#include <array>

#include "onnx/expand/families.h"
#include "onnx/expand/support.h"

namespace nibble {
namespace {

bool rename(Expansion& e, std::string_view op) {
  const std::vector<ValueId> results =
      e.ops(op, e.node.inputs, e.node.outputs.size(), e.node.attributes);
  e.give_all(results);
  return true;
}

bool same_name(Expansion& e) { return rename(e, e.node.op); }

bool expand_dims(Expansion& e) {
  const Tensor axis = convert(e.required(e.in(1), "axis"), DType::i64);
  if (axis.elements() != 1) e.refuse("it has not one axis");
  e.give(0, unsqueezed(e, e.in(0), {axis.data<int64_t>()[0]}));
  return true;
}

// X, bias, skip
bool bias_add(Expansion& e) {
  e.give(0, sum(e, {e.in(0), e.in(1), e.in(2)}));
  return true;
}

constexpr std::array kRows = {
    ExpansionRow{kMicrosoft, "BiasAdd", bias_add, "Add"},
    ExpansionRow{kMicrosoft, "DequantizeLinear", same_name, "DequantizeLinear"},
    ExpansionRow{kMicrosoft, "ExpandDims", expand_dims, "Unsqueeze"},
    ExpansionRow{kMicrosoft, "Pad", same_name, "Pad"},
    ExpansionRow{kMicrosoft, "QuantizeLinear", same_name, "QuantizeLinear"},
    ExpansionRow{kMicrosoft, "Range", same_name, "Range"},
    ExpansionRow{kMicrosoft, "Trilu", same_name, "Trilu"},
};

}  // namespace

std::span<const ExpansionRow> renamed_expansions() { return kRows; }

}  // namespace nibble
