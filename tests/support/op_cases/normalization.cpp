// Normalizations: values worked out by hand.
#include "support/op_cases/lists.h"

namespace nibble::testing {
namespace {

using Ints = std::vector<int64_t>;
const Attribute kNoEpsilon = 0.0F;

}  // namespace

std::vector<OpCase> normalization_cases() {
  const Tensor x = f32({1, 2, 2}, {1, 3, 10, 30});
  const Tensor one = f32({2}, {1, 1});
  const Tensor zero = f32({2}, {0, 0});
  return {
      {"BatchNormalization",
       {x, f32({2}, {2, 1}), f32({2}, {0, 5}), f32({2}, {1, 10}), f32({2}, {4, 100})},
       {f32({1, 2, 2}, {0, 2, 5, 7})},
       {{"epsilon", kNoEpsilon}}},
      {"BatchNormalization",
       {x, one, zero, zero, one},
       {f32({1, 2, 2}, {-1, 1, -1, 1}), f32({2}, {0.2F, 2}), f32({2}, {1, 10.9F})},
       {{"epsilon", kNoEpsilon}, {"training_mode", int64_t{1}}}},
      {"LayerNormalization",
       {x, f32({2}, {1, 2}), f32({2}, {0, 1})},
       {f32({1, 2, 2}, {-1, 3, -1, 3}), f32({1, 2, 1}, {2, 20}), f32({1, 2, 1}, {1, 0.1F})},
       {{"epsilon", kNoEpsilon}}},
      {"LayerNormalization",
       {x, f32({2}, {1, 2}), f32({2}, {0, 1})},
       {f32({1, 2, 2}, {-1, 3, -1, 3})},
       {{"epsilon", kNoEpsilon}}},
      {"AddLayerNormalization",
       {x, f32({1, 2, 2}, {1, 1, -1, 5}), f32({2}, {1, 2}), f32({2}, {0, 1})},
       {f32({1, 2, 2}, {-1, 3, -1, 3}), f32({1, 2, 2}, {2, 4, 9, 35})},
       {{"epsilon", kNoEpsilon}},
       21,
       "nibble"},
      {"RMSNormalization",
       {f32({2}, {3, 4}), one},
       {f32({2}, {0.84852814F, 1.1313708F})},
       {{"epsilon", kNoEpsilon}},
       23},
      {"InstanceNormalization",
       {x, f32({2}, {1, 2}), f32({2}, {0, 1})},
       {f32({1, 2, 2}, {-1, 1, -1, 3})},
       {{"epsilon", kNoEpsilon}}},
      {"GroupNormalization",
       {f32({1, 4, 1}, {1, 3, 10, 30}), f32({4}, {1, 2, 3, 4}), f32({4}, {0, 0, 0, 1})},
       {f32({1, 4, 1}, {-1, 2, -3, 5})},
       {{"epsilon", kNoEpsilon}, {"num_groups", int64_t{2}}}},
      {"GroupNormalization",
       {f32({1, 4, 1}, {1, 3, 10, 30}), f32({2}, {1, 2}), f32({2}, {0, 1})},
       {f32({1, 4, 1}, {-1, 1, -1, 3})},
       {{"epsilon", kNoEpsilon}, {"num_groups", int64_t{2}}},
       18},
      {"LpNormalization", {f32({2}, {3, -4})}, {f32({2}, {0.6F, -0.8F})}},
      {"LpNormalization", {f32({2}, {3, -1})}, {f32({2}, {0.75F, -0.25F})}, {{"p", int64_t{1}}}},
      {"MeanVarianceNormalization", {x}, {f32({1, 2, 2}, {-1, 1, -1, 1})}, {{"axes", Ints{0, 2}}}},
      {"LRN",
       {f32({1, 2, 1}, {1, 2})},
       {f32({1, 2, 1}, {1.0F / 6, 2.0F / 5})},
       {{"size", int64_t{2}}, {"alpha", 2.0F}, {"beta", 1.0F}}},
  };
}

}  // namespace nibble::testing
