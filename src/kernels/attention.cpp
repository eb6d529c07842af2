// With codes less 128 on the right (kernels/pack_codes.h), both products have a term for each row
// and one for each column:
//
//   sum (a - za)(b - zb) = sum a (b - 128) + (128 - zb) sum a - za (sum b - depth zb)
#include "kernels/attention.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <vector>

#include "base/check.h"
#include "kernels/isa_table.h"
#include "kernels/pack_codes.h"
#include "kernels/packed_product.h"
#include "kernels/qproduct.h"

namespace nibble {
namespace {

// Scores of a block of queries: they stay in the first-level cache, and fill whole tiles.
constexpr int64_t kScoreBytes = 24 * 1024;
constexpr int64_t kTileRows = 12;
constexpr int64_t kMostParts = 16;

size_t aligned(int64_t bytes) { return static_cast<size_t>(bytes + 63) / 64 * 64; }
int64_t padded(int64_t depth) { return (depth + 3) / 4 * 4; }

// One of the two products: its packed right-hand side, and the terms of its columns.
struct Product {
  PackedProduct packed;
  std::vector<float> multiplier;
  int64_t depth, columns;
  int32_t a_zero, b_zero;

  Product(int64_t depth, int64_t columns, const OutputStage& stage, int32_t a_zero, int32_t b_zero,
          Isa isa)
      : packed({.segments = {0},
                .segment_bytes = depth,
                .groups = 1,
                .group_inputs = depth,
                .group_outputs = columns},
               stage, isa),
        multiplier(static_cast<size_t>(packed.slots()), stage.multiplier[0]),
        depth(depth),
        columns(columns),
        a_zero(a_zero),
        b_zero(b_zero) {}

  size_t weight_bytes() const { return aligned(static_cast<int64_t>(packed.weight_bytes())); }
  size_t bytes() const { return weight_bytes() + aligned(packed.slots() * 4); }
  PackShape shape(int64_t step) const { return {depth, columns, step, packed.block_bytes()}; }
  int32_t* bias(std::byte* memory) const {
    return reinterpret_cast<int32_t*>(memory + weight_bytes());
  }
  bool needs_row_sums() const { return b_zero != 128; }

  /// a [rows, padded(depth)]; sums of its rows if they are needed.
  void run(const uint8_t* a, int64_t rows, std::byte* memory, const int32_t* row_terms, void* out,
           ThreadPool& pool) const {
    packed.run({.input = a, .pixels = rows, .pixel_step = padded(depth)},
               {memory, bias(memory), multiplier.data(), needs_row_sums() ? row_terms : nullptr},
               out, pool);
  }
};

}  // namespace

struct QAttention::Impl {
  AttentionShape shape;
  AttentionNumbers numbers;
  Isa isa;
  int64_t block = 1;  // queries at a time
  std::optional<Product> scores, results;

  const RowKernels& codes() const { return isa_row(isa).rows(); }
  const RealRows& reals() const { return isa_row(isa).reals(); }
  int64_t pairs() const { return shape.batch * shape.heads; }
  int64_t blocks() const { return (shape.queries + block - 1) / block; }
  int64_t result_bytes() const { return shape.value_size * numbers.stage.element_bytes(); }

  // What a part of the work computes in.
  struct Scratch {
    uint8_t *queries, *weights;
    float* scores;
    std::byte* results;
    int32_t* terms;
  };
  size_t query_bytes() const { return aligned(block * padded(shape.size)); }
  size_t code_bytes() const { return aligned(block * padded(shape.keys)); }
  size_t score_bytes() const { return aligned(block * shape.keys * 4); }
  size_t scratch_bytes() const {
    return query_bytes() + code_bytes() + score_bytes() + aligned(block * result_bytes()) +
           aligned(block * 4);
  }
  size_t pair_bytes() const { return scores->bytes() + results->bytes(); }
  Scratch scratch(std::byte* memory) const {
    Scratch s{};
    s.queries = reinterpret_cast<uint8_t*>(memory);
    s.weights = s.queries + query_bytes();
    s.scores = reinterpret_cast<float*>(s.weights + code_bytes());
    s.results = reinterpret_cast<std::byte*>(s.scores) + score_bytes();
    s.terms = reinterpret_cast<int32_t*>(s.results + aligned(block * result_bytes()));
    return s;
  }

  void pack(const uint8_t* k, const uint8_t* v, std::byte* memory) const;
  void softmax(const float* mask, const float* scores, float* e, uint8_t* p) const;
  void run_block(int64_t pair, int64_t first, const uint8_t* q, const float* mask, void* output,
                 std::byte* packed, const Scratch& s, ThreadPool& pool) const;
  void run_reference(const uint8_t* q, const uint8_t* k, const uint8_t* v, const float* mask,
                     void* output, void* workspace) const;
};

// Keys and values of one head; what pads the last quad is zero from packing, and so are its terms.
void QAttention::Impl::pack(const uint8_t* k, const uint8_t* v, std::byte* memory) const {
  const MicroKernels& micro = scores->packed.micro();
  pack_columns(scores->shape(shape.k.row), k, micro, memory);
  int32_t* bias = scores->bias(memory);
  std::fill_n(bias, scores->packed.slots(), 0);
  for (int64_t j = 0; numbers.q_zero != 0 && j < shape.keys; ++j) {
    const int32_t sum = codes().sum(k + j * shape.k.row, shape.size);
    bias[j] = -numbers.q_zero * (sum - static_cast<int32_t>(shape.size) * numbers.k_zero);
  }
  memory += scores->bytes();
  pack_rows(results->shape(shape.v.row), v, micro, memory);
  bias = results->bias(memory);
  std::fill_n(bias, results->packed.slots(), 0);
  for (int64_t j = 0; numbers.p_zero != 0 && j < shape.keys; ++j) {
    for (int64_t c = 0; c < shape.value_size; ++c) {
      bias[c] -= numbers.p_zero * (v[j * shape.v.row + c] - numbers.v_zero);
    }
  }
}

// One row of scores into codes; e has room for as many reals.
void QAttention::Impl::softmax(const float* mask, const float* scores, float* e, uint8_t* p) const {
  const AttentionNumbers& n = numbers;
  if (mask != nullptr) {
    reals().add(scores, mask, e, shape.keys);
    scores = e;
  }
  const double sum = reals().exponentials(scores, e, shape.keys);
  reals().scale_to_codes(e, static_cast<float>(1 / (sum * n.p_scale)), n.p_zero, n.p_qmin, n.p_qmax,
                         p, shape.keys);
}

void QAttention::Impl::run_block(int64_t pair, int64_t first, const uint8_t* q, const float* mask,
                                 void* output, std::byte* packed, const Scratch& s,
                                 ThreadPool& pool) const {
  const int64_t b = pair / shape.heads, h = pair % shape.heads;
  const int64_t rows = std::min(block, shape.queries - first);
  for (int64_t i = 0; i < rows; ++i) {
    const uint8_t* row = q + shape.q.at(b, h, first + i);
    std::memcpy(s.queries + i * padded(shape.size), row, static_cast<size_t>(shape.size));
    if (scores->needs_row_sums())
      s.terms[i] = (128 - numbers.k_zero) * codes().sum(row, shape.size);
  }
  scores->run(s.queries, rows, packed, s.terms, s.scores, pool);
  for (int64_t i = 0; i < rows; ++i) {
    float* row = s.scores + i * shape.keys;
    uint8_t* p = s.weights + i * padded(shape.keys);
    softmax(mask == nullptr ? nullptr : mask + shape.mask.at(b, h, first + i), row, row, p);
    if (results->needs_row_sums()) s.terms[i] = (128 - numbers.v_zero) * codes().sum(p, shape.keys);
  }
  results->run(s.weights, rows, packed + scores->bytes(), s.terms, s.results, pool);
  for (int64_t i = 0; i < rows; ++i) {
    auto* to = static_cast<std::byte*>(output) +
               shape.out.at(b, h, first + i) * numbers.stage.element_bytes();
    std::memcpy(to, s.results + i * result_bytes(), static_cast<size_t>(result_bytes()));
  }
}

// The plain loops that define it.
void QAttention::Impl::run_reference(const uint8_t* q, const uint8_t* k, const uint8_t* v,
                                     const float* mask, void* output, void* workspace) const {
  const Scratch s = scratch(static_cast<std::byte*>(workspace));
  const AttentionNumbers& n = numbers;
  for (int64_t row = 0; row < pairs() * shape.queries; ++row) {
    const int64_t i = row % shape.queries, pair = row / shape.queries;
    const int64_t b = pair / shape.heads, h = pair % shape.heads;
    const uint8_t* query = q + shape.q.at(b, h, i);
    for (int64_t j = 0; j < shape.keys; ++j) {
      const uint8_t* key = k + shape.k.at(b, h, j);
      int32_t sum = 0;
      for (int64_t c = 0; c < shape.size; ++c) sum += (query[c] - n.q_zero) * (key[c] - n.k_zero);
      s.scores[j] = static_cast<float>(sum) * n.score_scale;
    }
    softmax(mask == nullptr ? nullptr : mask + shape.mask.at(b, h, i), s.scores, s.scores,
            s.weights);
    for (int64_t c = 0; c < shape.value_size; ++c) {
      int32_t sum = 0;
      for (int64_t j = 0; j < shape.keys; ++j) {
        sum += (s.weights[j] - n.p_zero) * (v[shape.v.at(b, h, j) + c] - n.v_zero);
      }
      const int64_t at = shape.out.at(b, h, i) + c;
      if (n.stage.kind == OutputStage::Kind::codes_u8) {
        static_cast<uint8_t*>(output)[at] = to_code(n.stage, sum, 0);
      } else {
        static_cast<float*>(output)[at] = to_real(n.stage, sum, 0);
      }
    }
  }
}

QAttention::QAttention(const AttentionShape& shape, AttentionNumbers numbers, Isa isa) {
  const std::array extents = {shape.batch, shape.heads, shape.queries,
                              shape.keys,  shape.size,  shape.value_size};
  if (std::ranges::min(extents) < 1) {
    fail(ErrorCode::invalid_argument, "attention of {} x {} heads, {} queries and {} keys is empty",
         shape.batch, shape.heads, shape.queries, shape.keys);
  }
  if (shape.size > QProduct::kMaxDepth || shape.keys > QProduct::kMaxDepth) {
    fail(ErrorCode::unsupported,
         "attention to {} keys of {} elements: sums of more than {} products of 8 bits may be more "
         "than a 32-bit integer holds",
         shape.keys, shape.size, QProduct::kMaxDepth);
  }
  for (const int32_t zero : {numbers.q_zero, numbers.k_zero, numbers.v_zero, numbers.p_zero}) {
    if (zero < 0 || zero > 255) {
      fail(ErrorCode::invalid_argument, "the zero point {} does not fit u8", zero);
    }
  }
  validate(numbers.stage, 1);
  auto impl = std::make_unique<Impl>();
  impl->shape = shape;
  impl->numbers = std::move(numbers);
  impl->isa = isa;
  const int64_t rows = std::max<int64_t>(1, kScoreBytes / (4 * shape.keys));
  const int64_t whole = rows < kTileRows ? rows : rows / kTileRows * kTileRows;
  impl->block = std::min(whole, shape.queries);
  if (isa_row(isa).micro != nullptr) {
    const AttentionNumbers& n = impl->numbers;
    const OutputStage reals = {.kind = OutputStage::Kind::reals_f32, .multiplier = {n.score_scale}};
    impl->scores.emplace(shape.size, shape.keys, reals, n.q_zero, n.k_zero, isa);
    impl->results.emplace(shape.keys, shape.value_size, n.stage, n.p_zero, n.v_zero, isa);
  }
  impl_ = std::move(impl);
}

QAttention::QAttention(QAttention&&) noexcept = default;
QAttention& QAttention::operator=(QAttention&&) noexcept = default;
QAttention::~QAttention() = default;

void QAttention::run(const uint8_t* q, const uint8_t* k, const uint8_t* v, const float* mask,
                     void* output, void* workspace, ThreadPool& pool) const {
  const Impl& impl = *impl_;
  if (!impl.scores) return impl.run_reference(q, k, v, mask, output, workspace);
  const AttentionShape& shape = impl.shape;
  auto* memory = static_cast<std::byte*>(workspace);
  const int64_t pairs = impl.pairs(), units = pairs * impl.blocks();
  const auto packed_of = [&](int64_t pair) {
    return memory + static_cast<size_t>(pair) * impl.pair_bytes();
  };
  pool.parallel_for(pairs, [&](int64_t pair) {
    const int64_t b = pair / shape.heads, h = pair % shape.heads;
    impl.pack(k + shape.k.at(b, h, 0), v + shape.v.at(b, h, 0), packed_of(pair));
  });
  // Each part has memory of its own; no result depends on how many there are.
  const int64_t wanted = pool.threads() == 1 ? 1 : kMostParts;
  const int64_t parts = std::min(units, wanted);
  pool.parallel_for(parts, [&](int64_t part) {
    const Impl::Scratch scratch =
        impl.scratch(packed_of(pairs) + static_cast<size_t>(part) * impl.scratch_bytes());
    for (int64_t unit = units * part / parts; unit < units * (part + 1) / parts; ++unit) {
      const int64_t pair = unit / impl.blocks();
      impl.run_block(pair, unit % impl.blocks() * impl.block, q, mask, output, packed_of(pair),
                     scratch, pool);
    }
  });
}

size_t QAttention::workspace_bytes() const {
  const Impl& impl = *impl_;
  if (!impl.scores) return impl.scratch_bytes();
  const int64_t parts = std::min(impl.pairs() * impl.blocks(), kMostParts);
  return static_cast<size_t>(impl.pairs()) * impl.pair_bytes() +
         static_cast<size_t>(parts) * impl.scratch_bytes();
}

std::string QAttention::describe() const {
  return fmt::format("attention u8 {}", name_of(impl_->isa));
}

}  // namespace nibble
