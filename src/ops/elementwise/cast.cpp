// Cast and CastLike: conversion between element types.
#include <array>

#include "ops/families.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"
#include "ops/support/onnx_dtype.h"
#include "tensor/convert.h"

namespace nibble {
namespace {

template <typename From, typename To>
void cast_elements(ThreadPool& pool, const Tensor& in, Tensor& out) {
  const From* from = in.data<From>().data();
  To* to = out.data<To>().data();
  pool.parallel_ranges(in.elements(), kCheapGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = convert_element<From, To>(from[i]);
  });
}

void cast_tensor(ThreadPool& pool, const Tensor& in, Tensor& out) {
  with_type(in.dtype(), [&](auto from) {
    with_type(out.dtype(),
              [&](auto to) { cast_elements<decltype(from), decltype(to)>(pool, in, out); });
  });
}

bool is_packed(DType dtype) { return bits_of(dtype) < 8; }

// Sub-byte codes: the low bits of the truncated integer, sign-extended.
Tensor cast_to_packed(ThreadPool& pool, const Tensor& in, DType dtype) {
  Tensor wide(DType::i64, in.shape());
  cast_tensor(pool, in, wide);
  const std::span<const int64_t> from = wide.data<int64_t>();
  std::vector<int32_t> codes(from.size());
  const int bits = bits_of(dtype);
  const int32_t sign = is_signed(dtype) ? 1 << (bits - 1) : 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto low = static_cast<int32_t>(from[i] & ((1 << bits) - 1));
    codes[i] = (low ^ sign) - sign;
  }
  return pack_integers(dtype, in.shape(), codes);
}

void cast_to(EvalContext& context, DType dtype) {
  Tensor in = context.input(0);
  if (in.dtype() == dtype) return context.set_output(0, in);
  if (is_packed(in.dtype())) in = Tensor::of<int32_t>(in.shape(), unpack_integers(in));
  if (is_packed(dtype)) return context.set_output(0, cast_to_packed(context.pool, in, dtype));
  cast_tensor(context.pool, in, context.output(0, dtype, in.shape()));
}

void eval_cast(EvalContext& context) {
  cast_to(context, dtype_of_onnx(context.node.attributes.required_integer("to")));
}

void eval_cast_like(EvalContext& context) { cast_to(context, context.input(1).dtype()); }

std::vector<TensorType> infer_cast(const NodeTypes& types) {
  return one_output(dtype_of_onnx(types.node.attributes.required_integer("to")), types.shape(0));
}

std::vector<TensorType> infer_cast_like(const NodeTypes& types) {
  return one_output(types.input(1).dtype, types.shape(0));
}

constexpr OpRow conversion(std::string_view name, int inputs, InferSignature* infer,
                           EvalSignature* eval) {
  return {.name = name,
          .min_inputs = inputs,
          .max_inputs = inputs,
          .infer = infer,
          .eval = eval,
          .kernels = "one pass over memory in eval already",
          .why_float = "changes what the numbers mean: stays as it is",
          .gradient = Gradient::autograd,
          .layout = inputs == 1 ? LayoutRole::elementwise : LayoutRole::fixed,
          .tolerance = 0};
}

constexpr std::array kRows = {
    conversion("Cast", 1, infer_cast, eval_cast),
    conversion("CastLike", 2, infer_cast_like, eval_cast_like),
};

}  // namespace

std::span<const OpRow> cast_ops() { return kRows; }

}  // namespace nibble
