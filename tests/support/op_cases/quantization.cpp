// Quantizing operators and integer arithmetic: rounding, saturation, granularity, exact sums.
#include "support/op_cases/lists.h"

namespace nibble::testing {
namespace {

using Ints = std::vector<int64_t>;

Tensor packed(DType dtype, const Shape& shape, std::vector<int32_t> values) {
  return pack_integers(dtype, shape, values);
}

}  // namespace

std::vector<OpCase> quantization_cases() {
  return {
      {"QuantizeLinear",
       {f32({7}, {-2.5F, -1.5F, -0.5F, 0.5F, 1.5F, 2.5F, 1e30F}), f32({}, {1}), i8({}, {0})},
       {i8({7}, {-2, -2, 0, 0, 2, 2, 127})}},
      {"QuantizeLinear", {f32({3}, {-1, 0, 300}), f32({}, {1})}, {u8({3}, {0, 0, 255})}},
      {"QuantizeLinear",
       {f32({1, 2, 2}, {1, 2, 1, 2}), f32({2}, {1, 0.5F}), u8({2}, {0, 10})},
       {u8({1, 2, 2}, {1, 2, 12, 14})}},
      {"QuantizeLinear",
       {f32({2, 2}, {1, 2, 3, 4}), f32({2}, {1, 0.5F}), u8({2}, {0, 0})},
       {u8({2, 2}, {1, 4, 3, 8})},
       {{"axis", int64_t{-1}}}},
      {"QuantizeLinear",
       {f32({3}, {-9, 3.4F, 9}), f32({}, {1}), packed(DType::i4, {}, {0})},
       {packed(DType::i4, {3}, {-8, 3, 7})}},
      {"QuantizeLinear",
       {f32({2}, {-5, 5}), f32({}, {1})},
       {packed(DType::i2, {2}, {-2, 1})},
       {{"output_dtype", int64_t{26}}}},
      {"QuantizeLinear",
       {f32({3}, {4, 6, 9}), f32({2}, {2, 3})},
       {Tensor::of<int16_t>({3}, {2, 3, 3})},
       {{"axis", int64_t{0}}, {"block_size", int64_t{2}}, {"output_dtype", int64_t{5}}}},
      {"DequantizeLinear",
       {u8({2}, {0, 255}), f32({}, {0.5F}), u8({}, {128})},
       {f32({2}, {-64, 63.5F})}},
      {"DequantizeLinear", {i32({2}, {-7, 100000}), f32({1}, {0.5F})}, {f32({2}, {-3.5F, 50000})}},
      {"DequantizeLinear",
       {packed(DType::u4, {2, 3}, {0, 1, 2, 13, 14, 15}), f32({2, 2}, {1, 2, 10, 20}),
        packed(DType::u4, {2, 2}, {0, 1, 0, 15})},
       {f32({2, 3}, {0, 1, 2, 130, 140, 0})},
       {{"axis", int64_t{1}}, {"block_size", int64_t{2}}}},
      {"DequantizeLinear",
       {i8({2}, {1, 2}), convert(f32({}, {0.5F}), DType::f16)},
       {convert(f32({2}, {0.5F, 1}), DType::f16)}},
      {"DynamicQuantizeLinear",
       {f32({3}, {-1, 0, 1.55F})},
       {u8({3}, {0, 100, 255}), f32({}, {0.01F}), u8({}, {100})}},
      {"DynamicQuantizeLinear", {f32({2}, {0, 0})}, {u8({2}, {0, 0}), f32({}, {1}), u8({}, {0})}},
      {"MatMulInteger",
       {u8({1, 2}, {11, 7}), i8({2, 2}, {1, -4, 2, 5}), u8({}, {12}), i8({2}, {0, 1})},
       {i32({1, 2}, {-11, -15})}},
      {"QLinearMatMul",
       {u8({1, 2}, {130, 129}), f32({}, {0.5F}), u8({}, {128}), i8({2, 2}, {3, 100, 3, 100}),
        f32({2}, {0.5F, 1}), i8({2}, {0, 0}), f32({}, {0.25F}), u8({}, {128})},
       {u8({1, 2}, {137, 255})}},
      {"ConvInteger",
       {u8({1, 1, 2, 2}, {2, 3, 4, 5}), u8({1, 1, 2, 2}, {1, 1, 1, 1}), u8({}, {1})},
       {i32({1, 1, 3, 3}, {1, 3, 2, 4, 10, 6, 3, 7, 4})},
       {{"pads", Ints{1, 1, 1, 1}}}},
      {"QLinearConv",
       {u8({1, 1, 3}, {10, 12, 14}), f32({}, {1}), u8({}, {10}), i8({2, 1, 2}, {1, 1, -1, 100}),
        f32({2}, {0.25F, 1}), i8({2}, {0, 0}), f32({}, {1}), u8({}, {100}), i32({2}, {0, 10})},
       {u8({1, 2, 2}, {100, 102, 255, 255})}},
      {"DynamicConv",  // the data are codes already: scale 1, zero point 0
       {f32({1, 1, 2, 2}, {0, 255, 51, 102}), i8({2, 1, 1, 1}, {3, -1}), f32({2, 1, 1}, {0.5F, 2}),
        f32({2, 1, 1}, {1, 0})},
       {f32({1, 2, 2, 2}, {1, 383.5F, 77.5F, 154, 0, -510, -102, -204})},
       {},
       21,
       "nibble"},
      {"DynamicConv",  // zero point 128; what is padded is zero
       {f32({1, 1, 2}, {-128, 127}), u8({1, 1, 2}, {2, 3}), f32({}, {1}), Tensor(), u8({}, {1})},
       {f32({1, 1, 3}, {-256, 126, 127})},
       {{"pads", Ints{1, 1}}},
       21,
       "nibble"},
      {"DynamicMatMul",
       {f32({1, 2}, {0, 255}), i8({2, 2}, {1, -1, 2, 1}), f32({}, {0.5F}), f32({2}, {1, 0})},
       {f32({1, 2}, {256, 127.5F})},
       {},
       21,
       "nibble"},
  };
}

}  // namespace nibble::testing
