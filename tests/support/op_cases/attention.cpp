// Attention and rotary embedding.
#include "support/op_cases/lists.h"

namespace nibble::testing {
namespace {

using Ints = std::vector<int64_t>;

}  // namespace

std::vector<OpCase> attention_cases() {
  const Tensor x = f32({1, 1, 2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  const Tensor cosine = f32({2, 2}, {1, 1, 0, 0}), sine = f32({2, 2}, {0, 0, 1, 1});
  const Tensor positions = i64({1, 2}, {0, 1});
  return {
      // A query of zeros looks at all keys alike.
      {"Attention",
       {f32({1, 1, 1, 2}, {0, 0}), f32({1, 1, 2, 2}, {1, 2, 3, 4}),
        f32({1, 1, 2, 2}, {2, 4, 6, 8})},
       {f32({1, 1, 1, 2}, {4, 6})},
       {},
       23},
      {"HeadAttention",  // the two probabilities are 64 steps each
       {f32({1, 1}, {1}), f32({2, 1}, {0, 0}), f32({2, 1}, {2, 4})},
       {f32({1, 1}, {3})},
       {{"extents", Ints{1, 1, 1, 2, 1, 1}},
        {"q_rows", Ints{0, 0, 0, 1}},
        {"k_rows", Ints{0, 0, 0, 1}},
        {"v_rows", Ints{0, 0, 0, 1}},
        {"out_rows", Ints{0, 0, 0, 1}},
        {"shape", Ints{1, 1}},
        {"scale", 0.5F},
        {"p_scale", 1.0F / 128},
        {"p_codes", Ints{0, 0, 255}}},
       21,
       "nibble"},
      {"RotaryEmbedding",
       {x, cosine, sine, positions},
       {f32({1, 1, 2, 4}, {1, 2, 3, 4, -7, -8, 5, 6})},
       {},
       23},
      {"RotaryEmbedding",
       {x.reshaped({1, 2, 4}), cosine, sine, positions},
       {f32({1, 2, 4}, {1, 2, 3, 4, -6, 5, 7, 8})},
       {{"interleaved", int64_t{1}},
        {"num_heads", int64_t{1}},
        {"rotary_embedding_dim", int64_t{2}}},
       23},
  };
}

}  // namespace nibble::testing
