// Element loops. Arithmetic is done in four types only: float (f32, f16, bf16), double, int64
// (signed integers) and uint64 (unsigned ones); narrower storage is converted in chunks on the
// stack, so that an operator is instantiated four times and not thirteen. f32 is read and written
// in place.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "base/check.h"
#include "ops/op.h"
#include "ops/support/broadcast.h"

namespace nibble {

/// Which element types an operator takes; or-ed together.
enum : unsigned { kFloats = 1, kSigned = 2, kUnsigned = 4, kBool = 8 };
inline constexpr unsigned kIntegers = kSigned | kUnsigned;
inline constexpr unsigned kNumbers = kFloats | kIntegers;

inline constexpr int64_t kChunk = 512;
/// Fewest elements worth giving to another thread: cheap arithmetic, and functions like exp.
inline constexpr int64_t kCheapGrain = 16384;
inline constexpr int64_t kCostlyGrain = 2048;

/// Elements [first, first + count) of a tensor as C (float, double, int64_t, uint64_t or bool): the
/// tensor's own memory where it stores C, else `buffer` (of `count` elements), filled.
template <typename C>
const C* load(const Tensor& tensor, int64_t first, int64_t count, C* buffer);
/// Where to write elements from `first` on, before store(): the tensor's memory or `buffer`.
template <typename C>
C* place(Tensor& tensor, int64_t first, C* buffer) {
  return tensor.dtype() == dtype_of<C>() ? static_cast<C*>(tensor.raw()) + first : buffer;
}
/// Converts what was written to place() into the tensor; nothing to do if that was its memory.
/// Integers wrap; floats round to nearest even.
template <typename C>
void store(Tensor& tensor, int64_t first, int64_t count, const C* values);

/// Calls body(C{}) with the arithmetic type for `dtype`; throws Error{unsupported} for a type
/// outside kTypes.
template <unsigned kTypes, typename Body>
void with_compute_type(DType dtype, const Body& body) {
  if constexpr ((kTypes & kFloats) != 0) {
    if (dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16) return body(float{});
    if (dtype == DType::f64) return body(double{});
  }
  if (is_integer(dtype) && bits_of(dtype) >= 8) {
    if constexpr ((kTypes & kSigned) != 0) {
      if (is_signed(dtype)) return body(int64_t{});
    }
    if constexpr ((kTypes & kUnsigned) != 0) {
      if (!is_signed(dtype)) return body(uint64_t{});
    }
  }
  if constexpr ((kTypes & kBool) != 0) {
    if (dtype == DType::boolean) return body(bool{});
  }
  fail(ErrorCode::unsupported, "element type {} is not supported", name_of(dtype));
}

/// The result's element type: boolean for a predicate, else that of the operand.
template <typename R>
DType result_dtype(DType operand) {
  return std::is_same_v<R, bool> ? DType::boolean : operand;
}

/// output 0 = f(input 0), element by element.
template <unsigned kTypes, typename F>
void map(EvalContext& context, const F& f, int64_t grain = kCheapGrain) {
  const Tensor& in = context.input(0);
  with_compute_type<kTypes>(in.dtype(), [&](auto zero) {
    using C = decltype(zero);
    using R = decltype(f(zero));
    Tensor& out = context.output(0, result_dtype<R>(in.dtype()), in.shape());
    context.pool.parallel_ranges(in.elements(), grain, [&](int64_t begin, int64_t end) {
      alignas(64) C from[kChunk];
      alignas(64) R to[kChunk];
      for (int64_t at = begin; at < end; at += kChunk) {
        const int64_t count = std::min(kChunk, end - at);
        const C* x = load(in, at, count, from);
        R* y = place(out, at, to);
        for (int64_t i = 0; i < count; ++i) y[i] = f(x[i]);
        store(out, at, count, y);
      }
    });
  });
}

namespace detail {

/// `count` elements from `first`, or the same one `count` times if step is 0.
template <typename C>
const C* load_run(const Tensor& tensor, int64_t first, int64_t step, int64_t count, C* buffer) {
  if (step != 0) return load(tensor, first, count, buffer);
  std::fill_n(buffer, count, *load(tensor, first, 1, buffer));
  return buffer;
}

template <typename F>
void zip_f32(const float* a, int64_t step_a, const float* b, int64_t step_b, float* out,
             int64_t count, const F& f) {
  if (step_a == step_b) {
    for (int64_t i = 0; i < count; ++i) out[i] = f(a[i], b[i]);
  } else if (step_b == 0) {
    const float right = *b;
    for (int64_t i = 0; i < count; ++i) out[i] = f(a[i], right);
  } else {
    const float left = *a;
    for (int64_t i = 0; i < count; ++i) out[i] = f(left, b[i]);
  }
}

}  // namespace detail

/// out = f(a, b) with broadcasting; `a`, `b` have one element type and `out` the broadcast shape.
/// `out` may be `a` itself if a has the broadcast shape.
template <unsigned kTypes, typename F>
void zip(ThreadPool& pool, const Tensor& a, const Tensor& b, Tensor& out, const F& f,
         int64_t grain = kCheapGrain) {
  const auto loop = broadcast_loop<2>(out.shape(), {&a.shape(), &b.shape()});
  with_compute_type<kTypes>(a.dtype(), [&](auto zero) {
    using C = decltype(zero);
    using R = decltype(f(zero, zero));
    pool.parallel_ranges(loop.elements, grain, [&](int64_t begin, int64_t end) {
      loop.walk(begin, end, [&](int64_t first, int64_t count, const auto& offsets) {
        if constexpr (std::is_same_v<C, float> && std::is_same_v<R, float>) {
          if (a.dtype() == DType::f32) {
            detail::zip_f32(a.data<float>().data() + offsets[0], loop.step(0),
                            b.data<float>().data() + offsets[1], loop.step(1),
                            out.data<float>().data() + first, count, f);
            return;
          }
        }
        alignas(64) C from_a[kChunk];
        alignas(64) C from_b[kChunk];
        alignas(64) R to[kChunk];
        for (int64_t at = 0; at < count; at += kChunk) {
          const int64_t n = std::min(kChunk, count - at);
          const int64_t step_a = loop.step(0);
          const int64_t step_b = loop.step(1);
          const C* x = detail::load_run(a, offsets[0] + at * step_a, step_a, n, from_a);
          const C* y = detail::load_run(b, offsets[1] + at * step_b, step_b, n, from_b);
          R* z = place(out, first + at, to);
          for (int64_t i = 0; i < n; ++i) z[i] = f(x[i], y[i]);
          store(out, first + at, n, z);
        }
      });
    });
  });
}

/// output 0 = f(input 0, input 1) with broadcasting. Throws if the element types differ.
template <unsigned kTypes, typename F>
void zip(EvalContext& context, const F& f, int64_t grain = kCheapGrain) {
  const Tensor& a = context.input(0);
  const Tensor& b = context.input(1);
  if (a.dtype() != b.dtype()) {
    fail(ErrorCode::invalid_model, "operands have different element types, {} and {}",
         name_of(a.dtype()), name_of(b.dtype()));
  }
  using Probe = std::conditional_t<(kTypes & kFloats) != 0, float,
                                   std::conditional_t<kTypes == kBool, bool, uint64_t>>;
  using R = decltype(f(Probe{}, Probe{}));
  Tensor& out =
      context.output(0, result_dtype<R>(a.dtype()), broadcast_shapes(a.shape(), b.shape()));
  zip<kTypes>(context.pool, a, b, out, f, grain);
}

/// The eval column for a stateless function object.
template <unsigned kTypes, auto f>
void eval_map(EvalContext& context) {
  map<kTypes>(context, f);
}
template <unsigned kTypes, auto f>
void eval_costly_map(EvalContext& context) {
  map<kTypes>(context, f, kCostlyGrain);
}
template <unsigned kTypes, auto f>
void eval_zip(EvalContext& context) {
  zip<kTypes>(context, f);
}

}  // namespace nibble
