// Attention on codes, on every instruction set against the loops that define it, bit for bit.
#include "kernels/attention.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/random.h"
#include "nibble/error.h"
#include "support/isa.h"

namespace nibble {
namespace {

struct Problem {
  AttentionShape shape;
  AttentionNumbers numbers;
  std::vector<uint8_t> q, k, v;
  std::vector<float> mask;
};

std::vector<uint8_t> random_codes(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<uint8_t> codes(static_cast<size_t>(count));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(random.below(256));
  return codes;
}

// Heads side by side in each row, as projections leave them.
Problem problem(int64_t heads, int64_t queries, int64_t keys, int64_t size, int64_t value_size) {
  Problem p;
  const int64_t batch = 2;
  p.shape = {.batch = batch,
             .heads = heads,
             .queries = queries,
             .keys = keys,
             .size = size,
             .value_size = value_size,
             .q = {0, queries * heads * size, size, heads * size},
             .k = {0, keys * heads * size, size, heads * size},
             .v = {0, keys * heads * value_size, value_size, heads * value_size},
             .out = {0, queries * heads * value_size, value_size, heads * value_size},
             .mask = {0, keys, 0, 0}};
  p.numbers = {.q_zero = 121,
               .k_zero = 130,
               .v_zero = 77,
               .score_scale = 3e-5F,
               .p_scale = 1.0 / 255,
               .stage = {.multiplier = {4e-3F}, .zero_point = 99}};
  p.q = random_codes(batch * queries * heads * size, 1);
  p.k = random_codes(batch * keys * heads * size, 2);
  p.v = random_codes(batch * keys * heads * value_size, 3);
  for (int64_t i = 0; i < batch * keys; ++i) p.mask.push_back(i % 5 == 3 ? -3.4e38F : 0.0F);
  return p;
}

// As codes, or as the bytes of reals.
std::vector<uint8_t> run(const Problem& p, Isa isa, int threads, bool masked = true) {
  const QAttention attention(p.shape, p.numbers, isa);
  ThreadPool pool(threads);
  std::vector<uint8_t> workspace(attention.workspace_bytes() + 64, 0xa5);
  auto* memory =
      reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(workspace.data()) + 63) / 64 * 64);
  const AttentionShape& s = p.shape;
  std::vector<uint8_t> out(static_cast<size_t>(s.batch * s.heads * s.queries * s.value_size *
                                               p.numbers.stage.element_bytes()));
  attention.run(p.q.data(), p.k.data(), p.v.data(), masked ? p.mask.data() : nullptr, out.data(),
                memory, pool);
  return out;
}

void expect_same_everywhere(const Problem& p) {
  const std::vector<uint8_t> expected = run(p, Isa::reference, 1);
  for (const Isa isa : testing::supported_isas()) {
    for (const int threads : {1, 3})
      EXPECT_EQ(run(p, isa, threads), expected) << name_of(isa) << " " << threads;
  }
}

TEST(qattention, is_the_same_bits_on_every_instruction_set_and_thread_count) {
  for (const int64_t queries : {1, 2, 13, 33}) {
    for (const int64_t keys : {1, 3, 4, 15, 17, 33, 129}) {
      SCOPED_TRACE(fmt::format("{} queries, {} keys", queries, keys));
      expect_same_everywhere(problem(3, queries, keys, 8, 5));
    }
  }
  for (const int64_t size : {1, 3, 16, 31, 64}) {
    for (const int64_t value_size : {1, 4, 17, 64}) {
      SCOPED_TRACE(fmt::format("{} and {} elements", size, value_size));
      expect_same_everywhere(problem(2, 9, 10, size, value_size));
    }
  }
}

TEST(qattention, zero_points_at_the_ends_and_in_the_middle_give_the_same_bits) {
  for (const int32_t zero : {0, 128, 255}) {
    Problem p = problem(2, 14, 18, 12, 20);
    p.numbers.q_zero = p.numbers.k_zero = p.numbers.v_zero = p.numbers.p_zero = zero;
    expect_same_everywhere(p);
    p.numbers.stage.kind = OutputStage::Kind::reals_f32;
    expect_same_everywhere(p);
  }
}

TEST(qattention, more_keys_than_a_block_of_scores_holds_are_no_special_case) {
  expect_same_everywhere(problem(1, 5, 7000, 4, 4));
}

// In double, from the definition, with the probabilities rounded as it says.
TEST(qattention, gives_what_attention_is) {
  const Problem p = problem(2, 6, 20, 8, 8);
  const AttentionShape& s = p.shape;
  const AttentionNumbers& n = p.numbers;
  const std::vector<uint8_t> got = run(p, best_isa(), 2, false);
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      for (int64_t i = 0; i < s.queries; ++i) {
        std::vector<double> e;
        double sum = 0;
        for (int64_t j = 0; j < s.keys; ++j) {
          double score = 0;
          for (int64_t c = 0; c < s.size; ++c) {
            score += (p.q[static_cast<size_t>(s.q.at(b, h, i) + c)] - n.q_zero) *
                     (p.k[static_cast<size_t>(s.k.at(b, h, j) + c)] - n.k_zero);
          }
          e.push_back(std::exp(score * static_cast<double>(n.score_scale)));
          sum += e.back();
        }
        for (int64_t c = 0; c < s.value_size; ++c) {
          double result = 0;
          for (int64_t j = 0; j < s.keys; ++j) {
            result += std::nearbyint(e[static_cast<size_t>(j)] / sum / n.p_scale) *
                      (p.v[static_cast<size_t>(s.v.at(b, h, j) + c)] - n.v_zero);
          }
          const double code =
              result * static_cast<double>(n.stage.multiplier[0]) + n.stage.zero_point;
          EXPECT_NEAR(got[static_cast<size_t>(s.out.at(b, h, i) + c)],
                      std::min(std::max(code, 0.0), 255.0), 0.51);
        }
      }
    }
  }
}

TEST(qattention, refuses_what_it_cannot_be) {
  Problem p = problem(1, 1, 1, 1, 1);
  p.shape.keys = 40000;
  EXPECT_THROW(QAttention(p.shape, p.numbers), Error);
  p.shape.keys = 0;
  EXPECT_THROW(QAttention(p.shape, p.numbers), Error);
  p.shape.keys = 1;
  p.numbers.k_zero = 256;
  EXPECT_THROW(QAttention(p.shape, p.numbers), Error);
}

}  // namespace
}  // namespace nibble
