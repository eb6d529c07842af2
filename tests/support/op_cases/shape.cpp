// Operators that rename axes, pass on, and make tensors out of shapes.
#include "support/op_cases/lists.h"

namespace nibble::testing {

std::vector<OpCase> shape_cases() {
  const Tensor six = f32({2, 3}, {1, 2, 3, 4, 5, 6});
  return {
      {"Reshape", {six, i64({2}, {3, -1})}, {f32({3, 2}, {1, 2, 3, 4, 5, 6})}},
      {"Reshape", {six, i64({3}, {0, 1, 3})}, {f32({2, 1, 3}, {1, 2, 3, 4, 5, 6})}},
      {"Flatten", {f32({2, 1, 3}, {1, 2, 3, 4, 5, 6})}, {six}},
      {"Flatten", {six}, {f32({1, 6}, {1, 2, 3, 4, 5, 6})}, {{"axis", int64_t{0}}}},
      {"Squeeze", {f32({1, 2, 1}, {1, 2}), i64({1}, {0})}, {f32({2, 1}, {1, 2})}},
      {"Squeeze", {f32({1, 2, 1}, {1, 2})}, {f32({2}, {1, 2})}},
      {"Unsqueeze", {f32({2}, {1, 2}), i64({2}, {0, -1})}, {f32({1, 2, 1}, {1, 2})}},
      {"Identity", {six}, {six}},
      {"Dropout", {six, f32({}, {0.5F})}, {six}},
      {"Dropout", {f32({2}, {1, 2})}, {f32({2}, {1, 2}), boolean({2}, {true, true})}},
      {"Constant", {}, {six}, {{"value", six}}},
      {"Constant", {}, {i64({2}, {3, -4})}, {{"value_ints", std::vector<int64_t>{3, -4}}}},
      {"ConstantOfShape", {i64({2}, {2, 1})}, {f32({2, 1}, {5, 5})}, {{"value", f32({1}, {5})}}},
      {"ConstantOfShape", {i64({1}, {2})}, {f32({2}, {0, 0})}},
      {"Shape", {six}, {i64({2}, {2, 3})}},
      {"Shape", {six}, {i64({1}, {3})}, {{"start", int64_t{-1}}}},
      {"Size", {six}, {i64({}, {6})}},
      {"Range", {f32({}, {1}), f32({}, {6}), f32({}, {2})}, {f32({3}, {1, 3, 5})}},
      {"Range", {i64({}, {3}), i64({}, {0}), i64({}, {-2})}, {i64({2}, {3, 1})}},
      {"EyeLike", {six}, {f32({2, 3}, {0, 1, 0, 0, 0, 1})}, {{"k", int64_t{1}}}},
  };
}

}  // namespace nibble::testing
