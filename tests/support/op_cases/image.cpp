// Resampling and detection.
#include "support/op_cases/lists.h"

namespace nibble::testing {

std::vector<OpCase> image_cases() {
  const Tensor row = f32({1, 1, 1, 2}, {0, 4});
  const Tensor twice = f32({4}, {1, 1, 1, 2});
  return {
      {"Resize", {row, {}, twice}, {f32({1, 1, 1, 4}, {0, 1, 3, 4})}, {{"mode", text("linear")}}},
      {"Resize", {row, {}, {}, i64({4}, {1, 1, 1, 4})}, {f32({1, 1, 1, 4}, {0, 0, 4, 4})}},
      {"Resize",
       {row, {}, twice},
       {f32({1, 1, 1, 4}, {0, 2, 4, 4})},
       {{"mode", text("linear")}, {"coordinate_transformation_mode", text("asymmetric")}}},
      {"Upsample", {row, twice}, {f32({1, 1, 1, 4}, {0, 0, 4, 4})}, {}, 9},
      {"AffineGrid",
       {f32({1, 2, 3}, {1, 0, 0, 0, 1, 0}), i64({4}, {1, 1, 1, 2})},
       {f32({1, 1, 2, 2}, {-0.5F, 0, 0.5F, 0})}},
      {"GridSample",
       {f32({1, 1, 1, 2}, {1, 3}), f32({1, 1, 2, 2}, {0, 0, -0.5F, 0})},
       {f32({1, 1, 1, 2}, {2, 1})}},
      {"RoiAlign",
       {f32({1, 1, 2, 2}, {1, 2, 3, 4}), f32({1, 4}, {0.5F, 0.5F, 1.5F, 1.5F}), i64({1}, {0})},
       {f32({1, 1, 1, 1}, {2.5F})},
       {{"sampling_ratio", int64_t{1}}}},
      {"NonMaxSuppression",
       {f32({1, 3, 4}, {0, 0, 1, 1, 0, 0, 1, 1.1F, 2, 2, 3, 3}), f32({1, 1, 3}, {0.9F, 0.8F, 0.7F}),
        i64({1}, {3}), f32({1}, {0.5F})},
       {i64({2, 3}, {0, 0, 0, 0, 0, 2})}},
  };
}

}  // namespace nibble::testing
