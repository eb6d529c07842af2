// RotaryEmbedding (opset 23 on): pairs of a head's elements are rotated by an angle that depends on
// the position; cosines and sines come as tables. Pairs are (i, i + half), or (2i, 2i + 1) if
// interleaved.
#include <array>
#include <vector>

#include "base/check.h"
#include "ops/families.h"
#include "ops/support/axes.h"
#include "ops/support/compute.h"
#include "ops/support/float_eval.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

/// X is [batch, heads, length, size], or [batch, length, heads * size].
struct RotaryProblem {
  int64_t batch, heads, length, size;
  bool packed;
  int64_t rotated;  // leading elements of a head that are rotated

  RotaryProblem(const Node& node, const Shape& shape) : packed(shape.rank() == 3) {
    if (shape.rank() != 3 && shape.rank() != 4) {
      fail(ErrorCode::invalid_model, "X is {}, expected 3 or 4 dimensions", shape.to_string());
    }
    batch = shape[0];
    heads = packed ? node.attributes.required_integer("num_heads") : shape[1];
    length = packed ? shape[1] : shape[2];
    if (packed && (heads < 1 || shape[2] % heads != 0)) {
      fail(ErrorCode::invalid_model, "{} elements do not divide into {} heads", shape[2], heads);
    }
    size = packed ? shape[2] / heads : shape[3];
    rotated = node.attributes.integer("rotary_embedding_dim", 0);
    if (rotated == 0) rotated = size;
    if (rotated < 0 || rotated > size || rotated % 2 != 0) {
      fail(ErrorCode::invalid_model, "{} elements of {} cannot be rotated in pairs", rotated, size);
    }
  }
};

/// Row of the tables for each [batch, position].
std::vector<int64_t> table_rows(const EvalContext& context, const RotaryProblem& p) {
  const Shape& table = context.input(1).shape();
  const int64_t positions = p.batch * p.length;
  std::vector<int64_t> rows(static_cast<size_t>(positions));
  for (size_t i = 0; i < rows.size(); ++i) rows[i] = static_cast<int64_t>(i);
  if (context.has(3)) rows = to_int64s(context.input(3));
  const int64_t width = table.rank() > 0 ? table[table.rank() - 1] : 0;
  const int64_t available = width > 0 ? table.elements() / width : 0;
  bool fits = table == context.input(2).shape() && width >= p.rotated / 2 &&
              static_cast<int64_t>(rows.size()) == positions;
  for (int64_t row : rows) fits = fits && row >= 0 && row < available;
  if (!fits) {
    fail(ErrorCode::invalid_model, "tables {} and {} do not fit positions and elements of X {}",
         table.to_string(), context.input(2).shape().to_string(),
         context.input(0).shape().to_string());
  }
  return rows;
}

void eval_rotary(EvalContext& context) {
  const Tensor& in = context.input(0);
  if (is_half(in.dtype())) return eval_as_f32(context, eval_rotary);
  const RotaryProblem p(context.node, in.shape());
  const std::vector<int64_t> rows = table_rows(context, p);
  const bool interleaved = context.node.attributes.integer("interleaved", 0) != 0;
  Tensor& out = context.output(0, DType::f32, in.shape());
  const float* x = in.data<float>().data();
  const float* cosine = context.input(1).data<float>().data();
  const float* sine = context.input(2).data<float>().data();
  float* y = out.data<float>().data();
  const Shape& table = context.input(1).shape();
  const int64_t width = table[table.rank() - 1];
  const int64_t half = p.rotated / 2;
  const int64_t step = interleaved ? 2 : 1;
  const int64_t apart = interleaved ? 1 : half;
  const int64_t grain = std::max<int64_t>(1, kCheapGrain / std::max<int64_t>(1, p.size));
  context.pool.parallel_ranges(
      p.batch * p.heads * p.length, grain, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
          // Rows of X in memory order: [batch, heads, length] or [batch, length, heads].
          const int64_t b = row / (p.heads * p.length);
          const int64_t s = p.packed ? row / p.heads % p.length : row % p.length;
          const int64_t at = rows[static_cast<size_t>(b * p.length + s)] * width;
          const float* from = x + row * p.size;
          float* to = y + row * p.size;
          for (int64_t i = 0; i < half; ++i) {
            const float first = from[i * step];
            const float second = from[i * step + apart];
            to[i * step] = cosine[at + i] * first - sine[at + i] * second;
            to[i * step + apart] = sine[at + i] * first + cosine[at + i] * second;
          }
          std::copy(from + p.rotated, from + p.size, to + p.rotated);
        }
      });
}

constexpr std::array kRows = {
    OpRow{.name = "RotaryEmbedding",
          .min_inputs = 3,
          .max_inputs = 4,
          .infer = infer_same,
          .eval = eval_rotary,
          .kernels = "eval already runs row by row",
          .why_float = "products with tables of reals: stays in float",
          .gradient = Gradient::none},
};

}  // namespace

std::span<const OpRow> rotary_ops() { return kRows; }

}  // namespace nibble
