// Poolings and their inverses.
#include "support/op_cases/lists.h"

namespace nibble::testing {

using Ints = std::vector<int64_t>;

std::vector<OpCase> pooling_cases() {
  const Tensor image = f32({1, 1, 2, 3}, {1, 5, 2, 4, 3, 6});
  return {
      {"MaxPool", {image}, {f32({1, 1, 1, 2}, {5, 6})}, {{"kernel_shape", Ints{2, 2}}}},
      {"MaxPool",
       {image},
       {f32({1, 1, 2, 2}, {1, 5, 4, 6})},
       {{"kernel_shape", Ints{1, 2}}, {"strides", Ints{1, 2}}, {"pads", Ints{0, 1, 0, 0}}}},
      {"MaxPool",
       {image},
       {f32({1, 1, 1, 2}, {5, 6}), i64({1, 1, 1, 2}, {1, 5})},
       {{"kernel_shape", Ints{2, 2}}}},
      {"AveragePool", {image}, {f32({1, 1, 1, 2}, {3.25F, 4})}, {{"kernel_shape", Ints{2, 2}}}},
      {"AveragePool",
       {image},
       {f32({1, 1, 2, 2}, {1, 3.5F, 4, 4.5F})},
       {{"kernel_shape", Ints{1, 2}}, {"strides", Ints{1, 2}}, {"pads", Ints{0, 1, 0, 0}}}},
      {"AveragePool",
       {image},
       {f32({1, 1, 2, 2}, {0.5F, 3.5F, 2, 4.5F})},
       {{"kernel_shape", Ints{1, 2}},
        {"strides", Ints{1, 2}},
        {"pads", Ints{0, 1, 0, 0}},
        {"count_include_pad", int64_t{1}}}},
      {"LpPool",
       {f32({1, 1, 1, 3}, {3, -4, 0})},
       {f32({1, 1, 1, 2}, {5, 4})},
       {{"kernel_shape", Ints{1, 2}}}},
      {"GlobalMaxPool", {image}, {f32({1, 1, 1, 1}, {6})}},
      {"GlobalAveragePool", {f32({1, 2, 1, 2}, {1, 3, 10, 30})}, {f32({1, 2, 1, 1}, {2, 20})}},
      {"GlobalLpPool", {f32({1, 1, 1, 2}, {3, -4})}, {f32({1, 1, 1, 1}, {5})}},
      {"MaxUnpool",
       {f32({1, 1, 1, 2}, {5, 7}), i64({1, 1, 1, 2}, {1, 2})},
       {f32({1, 1, 1, 4}, {0, 5, 7, 0})},
       {{"kernel_shape", Ints{1, 2}}, {"strides", Ints{1, 2}}}},
      {"Col2Im",
       {f32({1, 2, 2}, {1, 2, 3, 4}), i64({2}, {1, 3}), i64({2}, {1, 2})},
       {f32({1, 1, 1, 3}, {1, 5, 4})}},
  };
}

}  // namespace nibble::testing
