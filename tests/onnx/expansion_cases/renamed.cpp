// What ONNX's own operators say.
#include "onnx/expansion_cases/expansion_case.h"

namespace nibble::testing {

void add_renamed_cases(std::vector<ExpansionCase>& cases) {
  const auto add = [&](const char* op, std::vector<Tensor> inputs, Tensor expected,
                       std::vector<bool> constant,
                       std::vector<std::pair<std::string, Attribute>> attributes = {}) {
    cases.push_back({.node = {.op = op,
                              .inputs = std::move(inputs),
                              .expected = {std::move(expected)},
                              .attributes = std::move(attributes),
                              .opset = 17,
                              .domain = kMicrosoft},
                     .constant = std::move(constant)});
  };
  const Tensor scale = f32({}, {0.5F}), zero = codes(DType::u16, {}, {1000});
  add("QuantizeLinear", {f32({3}, {-600, 0.3F, 7}), scale, zero},
      codes(DType::u16, {3}, {0, 1001, 1014}), {false, true, true});
  add("DequantizeLinear", {codes(DType::u16, {3}, {0, 1001, 65535}), scale, zero},
      f32({3}, {-500, 0.5F, 32267.5F}), {false, true, true});
  add("DequantizeLinear", {codes(DType::i4, {2, 2}, {-8, 7, 1, 2}), f32({2}, {1, 0.5F})},
      f32({2, 2}, {-8, 7, 0.5F, 1}), {true, true}, {{"axis", int64_t{0}}});
  add("Pad", {f32({2}, {1, 2}), i64({2}, {1, 0}), f32({}, {-3})}, f32({3}, {-3, 1, 2}),
      {false, true, true});
  add("ExpandDims", {f32({2}, {1, 2}), i32({}, {0})}, f32({1, 2}, {1, 2}), {false, true});
  add("Trilu", {f32({2, 2}, {1, 2, 3, 4})}, f32({2, 2}, {1, 2, 0, 4}), {});
  add("Range", {f32({}, {1}), f32({}, {4}), f32({}, {2})}, f32({2}, {1, 3}), {});
  add("BiasAdd", {f32({1, 2, 2}, {1, 2, 3, 4}), f32({2}, {10, 20}), f32({1, 2, 2}, {5, 6, 7, 8})},
      f32({1, 2, 2}, {16, 28, 20, 32}), {false, true, false});
}

}  // namespace nibble::testing
