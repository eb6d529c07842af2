// Attention (opset 23 on): softmax(softcap(scale * Q K^T) + bias) V for several heads; queries may
// share the keys and values of a smaller number of heads. Keys and values may follow those of a
// cache.
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"
#include "kernels/vector_math.h"
#include "ops/families.h"
#include "ops/support/compute.h"
#include "ops/support/float_eval.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

enum Input : size_t { kQ, kK, kV, kMask, kPastKey, kPastValue, kLengths };
enum Output : size_t { kY, kPresentKey, kPresentValue, kScores };

// What arithmetic of extents gives when one of them is not known.
int64_t plus(int64_t a, int64_t b) { return a < 0 || b < 0 ? Shape::kUnknown : a + b; }
int64_t times(int64_t a, int64_t b) { return a < 0 || b < 0 ? Shape::kUnknown : a * b; }
int64_t over(int64_t a, int64_t b) { return a < 0 || b <= 0 ? Shape::kUnknown : a / b; }

/// Extents; -1 where not known.
struct Problem {
  bool packed = false;  // [batch, length, heads * size], else [batch, heads, length, size]
  int64_t batch = 0;
  int64_t heads = 0;
  int64_t kv_heads = 0;
  int64_t queries = 0;
  int64_t keys = 0;  // without the cached ones
  int64_t past = 0;
  int64_t size = 0;
  int64_t value_size = 0;

  int64_t total() const { return plus(past, keys); }
  Shape present(int64_t of_size) const { return {batch, kv_heads, total(), of_size}; }
  Shape scores() const { return {batch, heads, queries, total()}; }
  Shape result() const {
    if (packed) return {batch, queries, times(heads, value_size)};
    return {batch, heads, queries, value_size};
  }
};

Problem problem_of(const Node& node, const std::array<Shape, 5>& shapes) {
  const auto& [q, k, v, mask, past] = shapes;
  if (q.rank() != k.rank() || q.rank() != v.rank() || (q.rank() != 3 && q.rank() != 4)) {
    fail(ErrorCode::invalid_model, "Q {}, K {} and V {} must all have 3 or all 4 dimensions",
         q.to_string(), k.to_string(), v.to_string());
  }
  Problem p{.packed = q.rank() == 3, .batch = q[0]};
  if (p.packed) {
    p.heads = node.attributes.required_integer("q_num_heads");
    p.kv_heads = node.attributes.required_integer("kv_num_heads");
    p.queries = q[1];
    p.keys = k[1];
    p.size = over(q[2], p.heads);
    p.value_size = over(v[2], p.kv_heads);
  } else {
    p.heads = q[1];
    p.kv_heads = k[1];
    p.queries = q[2];
    p.keys = k[2];
    p.size = q[3];
    p.value_size = v[3];
  }
  if (past.rank() == 4) p.past = past[2];
  const bool known = p.heads >= 0 && p.kv_heads >= 0;
  if (known && (p.heads <= 0 || p.kv_heads <= 0 || p.heads % p.kv_heads != 0)) {
    fail(ErrorCode::invalid_model, "{} query heads cannot share {} heads of keys and values",
         p.heads, p.kv_heads);
  }
  return p;
}

void require_shape(std::string_view what, const Tensor& tensor, const Shape& expected) {
  if (tensor.shape() == expected) return;
  fail(ErrorCode::invalid_model, "{} has shape {}, expected {}", what, tensor.shape().to_string(),
       expected.to_string());
}

/// Cached and new keys (or values) as [batch, heads, total, size], in `to`.
void concatenate(const Problem& p, const Tensor& fresh, const Tensor& past, int64_t size,
                 std::span<float> to) {
  const float* from = fresh.data<float>().data();
  for (int64_t b = 0; b < p.batch; ++b) {
    for (int64_t h = 0; h < p.kv_heads; ++h) {
      float* head = to.data() + (b * p.kv_heads + h) * p.total() * size;
      if (p.past > 0) {
        const float* old = past.data<float>().data() + (b * p.kv_heads + h) * p.past * size;
        head = std::copy_n(old, p.past * size, head);
      }
      for (int64_t s = 0; s < p.keys; ++s) {
        const int64_t row =
            p.packed ? (b * p.keys + s) * p.kv_heads + h : (b * p.kv_heads + h) * p.keys + s;
        head = std::copy_n(from + row * size, size, head);
      }
    }
  }
}

/// The mask broadcast to [batch, heads, queries, total]; beyond its last axis all is masked out.
struct Mask {
  const Tensor* tensor = nullptr;
  std::array<int64_t, 3> stride{};  // over batch, heads, queries
  int64_t length = 0;

  Mask(const Problem& p, const Tensor* mask) : tensor(mask) {
    if (mask == nullptr) return;
    const Shape& shape = mask->shape();
    const std::array<int64_t, 3> extent = {p.batch, p.heads, p.queries};
    bool fits = shape.rank() >= 1 && shape.rank() <= 4;
    if (fits) length = shape[shape.rank() - 1];
    int64_t step = length;
    for (int i = 2; fits && i >= 0; --i) {
      const int axis = shape.rank() - 4 + i;
      if (axis < 0) break;
      fits = shape[axis] == 1 || shape[axis] == extent[static_cast<size_t>(i)];
      stride[static_cast<size_t>(i)] = shape[axis] == 1 ? 0 : step;
      step *= shape[axis];
    }
    if (!fits || length > p.total()) {
      fail(ErrorCode::invalid_model, "mask {} does not fit scores {}", shape.to_string(),
           p.scores().to_string());
    }
  }

  /// Adds the mask to the scores of one query.
  void add(int64_t b, int64_t h, int64_t i, std::span<float> scores) const {
    if (tensor == nullptr) return;
    constexpr float kOut = -std::numeric_limits<float>::infinity();
    const auto at = static_cast<size_t>(b * stride[0] + h * stride[1] + i * stride[2]);
    const auto count = static_cast<size_t>(length);
    if (tensor->dtype() == DType::boolean) {
      const bool* row = tensor->data<bool>().data() + at;
      for (size_t j = 0; j < count; ++j) scores[j] = row[j] ? scores[j] : kOut;
    } else {
      const float* row = tensor->data<float>().data() + at;
      for (size_t j = 0; j < count; ++j) scores[j] += row[j];
    }
    std::fill(scores.begin() + length, scores.end(), kOut);
  }
};

float dot(const float* a, const float* b, int64_t count) {
  constexpr int64_t kLanes = 8;
  std::array<float, kLanes> lanes{};
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane)
      lanes[static_cast<size_t>(lane)] += a[i + lane] * b[i + lane];
  }
  float sum = 0;
  for (; i < count; ++i) sum += a[i] * b[i];
  for (float lane : lanes) sum += lane;
  return sum;
}

/// A row without any key left becomes zeros.
void softmax_row(std::span<float> row) {
  float top = -std::numeric_limits<float>::infinity();
  for (float v : row) top = v > top ? v : top;
  if (std::isinf(top) && top < 0) return std::fill(row.begin(), row.end(), 0.0F);
  double sum = 0;
  for (float& v : row) {
    v = std::isinf(v) ? 0.0F : exp_f32(v - top);
    sum += static_cast<double>(v);
  }
  const float scale = static_cast<float>(1 / sum);
  for (float& v : row) v *= scale;
}

struct Options {
  float scale;
  float softcap;
  bool causal;
  int64_t mode;  // which stage output kScores shows
  int64_t left_window;
  int64_t right_window;

  Options(const Attributes& attributes, int64_t size)
      : scale(attributes.real("scale", 1 / std::sqrt(static_cast<float>(size)))),
        softcap(attributes.real("softcap", 0)),
        causal(attributes.integer("is_causal", 0) != 0),
        mode(attributes.integer("qk_matmul_output_mode", 0)),
        left_window(attributes.integer("left_window_size", -1)),
        right_window(attributes.integer("right_window_size", -1)) {}
};

class Attention {
 public:
  explicit Attention(EvalContext& context, const Problem& p)
      : p_(p),
        options_(context.node.attributes, p.size),
        mask_(p, context.has(kMask) ? &context.input(kMask) : nullptr) {
    queries_ = context.input(kQ).data<float>().data();
    keys_ = state(context, kK, kPastKey, kPresentKey, p.size);
    values_ = state(context, kV, kPastValue, kPresentValue, p.value_size);
    if (context.has(kLengths)) {
      const Tensor wide = convert(context.input(kLengths), DType::i64);
      if (wide.elements() != p.batch) require_shape("nonpad_kv_seqlen", wide, {p.batch});
      lengths_.assign(wide.data<int64_t>().begin(), wide.data<int64_t>().end());
    }
    out_ = context.output(kY, DType::f32, p.result()).data<float>().data();
    if (context.wants(kScores)) {
      shown_ = context.output(kScores, DType::f32, p.scores()).data<float>().data();
    }
  }

  /// Query head `task` of all batches.
  void run(int64_t task, std::span<float> scores) const {
    const int64_t b = task / p_.heads;
    const int64_t h = task % p_.heads;
    const int64_t kv = b * p_.kv_heads + h / (p_.heads / p_.kv_heads);
    const float* keys = keys_.data<float>().data() + kv * p_.total() * p_.size;
    const float* values = values_.data<float>().data() + kv * p_.total() * p_.value_size;
    for (int64_t i = 0; i < p_.queries; ++i) {
      const int64_t row = p_.packed ? (b * p_.queries + i) * p_.heads + h : task * p_.queries + i;
      for (int64_t j = 0; j < p_.total(); ++j) {
        scores[static_cast<size_t>(j)] =
            dot(queries_ + row * p_.size, keys + j * p_.size, p_.size) * options_.scale;
      }
      show(0, task, i, scores);
      if (options_.softcap > 0) {
        for (float& s : scores) s = std::tanh(s / options_.softcap) * options_.softcap;
      }
      show(1, task, i, scores);
      mask_.add(b, h, i, scores);
      limit(b, i, scores);
      show(2, task, i, scores);
      softmax_row(scores);
      show(3, task, i, scores);
      float* to = out_ + row * p_.value_size;
      std::fill_n(to, p_.value_size, 0.0F);
      for (int64_t j = 0; j < p_.total(); ++j) {
        const float weight = scores[static_cast<size_t>(j)];
        const float* from = values + j * p_.value_size;
        for (int64_t d = 0; d < p_.value_size; ++d) to[d] += weight * from[d];
      }
    }
  }

 private:
  Tensor state(EvalContext& context, size_t input, size_t past, size_t present, int64_t size) {
    const Tensor& fresh = context.input(input);
    const Tensor old = context.has(past) ? context.input(past) : Tensor();
    if (!old.empty()) require_shape("the cache", old, {p_.batch, p_.kv_heads, p_.past, size});
    const bool wanted = context.wants(present);
    if (old.empty() && !p_.packed && !wanted) return fresh;
    const Shape shape = p_.present(size);
    Tensor joined = wanted ? context.output(present, DType::f32, shape) : Tensor(DType::f32, shape);
    concatenate(p_, fresh, old, size, joined.data<float>());
    return joined;
  }

  void show(int64_t stage, int64_t task, int64_t i, std::span<const float> scores) const {
    if (shown_ == nullptr || options_.mode != stage) return;
    std::ranges::copy(scores, shown_ + (task * p_.queries + i) * p_.total());
  }

  /// Masks out keys after query `i`, outside its window, and padding.
  void limit(int64_t b, int64_t i, std::span<float> scores) const {
    const int64_t valid = lengths_.empty() ? p_.total() : lengths_[static_cast<size_t>(b)];
    const int64_t at = i + (lengths_.empty() ? p_.past : valid - p_.queries);
    for (int64_t j = 0; j < p_.total(); ++j) {
      const bool out = j >= valid || (options_.causal && j > at) ||
                       (options_.left_window >= 0 && j < at - options_.left_window) ||
                       (options_.right_window >= 0 && j > at + options_.right_window);
      if (out) scores[static_cast<size_t>(j)] = -std::numeric_limits<float>::infinity();
    }
  }

  const Problem& p_;
  Options options_;
  Mask mask_;
  const float* queries_ = nullptr;
  Tensor keys_;
  Tensor values_;
  std::vector<int64_t> lengths_;
  float* out_ = nullptr;
  float* shown_ = nullptr;
};

Shape shape_or_none(const EvalContext& context, size_t i) {
  return context.has(i) ? context.input(i).shape() : Shape{};
}

void eval_attention(EvalContext& context) {
  const DType dtype = context.input(kQ).dtype();
  if (is_half(dtype)) return eval_as_f32(context, eval_attention);
  if (dtype != DType::f32) {
    fail(ErrorCode::unsupported, "element type {} is not supported", name_of(dtype));
  }
  const Problem p = problem_of(
      context.node, {shape_or_none(context, kQ), shape_or_none(context, kK),
                     shape_or_none(context, kV), Shape{}, shape_or_none(context, kPastKey)});
  const auto state = [&p](int64_t size) {
    return p.packed ? Shape{p.batch, p.keys, p.kv_heads * size}
                    : Shape{p.batch, p.kv_heads, p.keys, size};
  };
  if (p.packed) require_shape("Q", context.input(kQ), {p.batch, p.queries, p.heads * p.size});
  require_shape("K", context.input(kK), state(p.size));
  require_shape("V", context.input(kV), state(p.value_size));
  const Attention attention(context, p);
  context.pool.parallel_ranges(p.batch * p.heads, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scores(static_cast<size_t>(p.total()));
    for (int64_t task = begin; task < end; ++task) attention.run(task, scores);
  });
}

std::vector<TensorType> infer_attention(const NodeTypes& types) {
  const DType dtype = types.input(kQ).dtype;
  std::vector<TensorType> outputs(types.node.outputs.size(), typed(dtype, Shape::unknown_rank()));
  for (size_t i : {kQ, kK, kV}) {
    if (!types.shape(i).has_rank()) return outputs;
  }
  const Shape past = types.has(kPastKey) ? types.shape(kPastKey) : Shape{};
  Problem p =
      problem_of(types.node, {types.shape(kQ), types.shape(kK), types.shape(kV), Shape{}, past});
  if (!past.has_rank()) p.past = Shape::kUnknown;
  const std::array<Shape, 4> shapes = {p.result(), p.present(p.size), p.present(p.value_size),
                                       p.scores()};
  for (size_t i = 0; i < outputs.size() && i < shapes.size(); ++i) outputs[i].shape = shapes[i];
  return outputs;
}

constexpr std::array kRows = {
    OpRow{.name = "Attention",
          .min_inputs = 3,
          .max_inputs = 7,
          .max_outputs = 4,
          .infer = infer_attention,
          .eval = eval_attention,
          .kernels = "eval already works row by row over contiguous keys",
          .why_float = "a product of two activations and a softmax: stays in float",
          .gradient = Gradient::none,
          .tolerance = 1e-4},
};

}  // namespace

std::span<const OpRow> attention_ops() { return kRows; }

}  // namespace nibble
