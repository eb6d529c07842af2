#include "nibble/tensor.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/check.h"
#include "tensor/convert.h"
#include "tensor/integers.h"

namespace nibble {
namespace {

constexpr size_t kAlignment = 64;

std::shared_ptr<void> allocate(size_t bytes) {
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment + kAlignment;
  // calloc() knows which memory is zero already; aligned_alloc() does not say, and all of a large
  // tensor would be written twice.
  size_t room = rounded + kAlignment;
  const std::shared_ptr<void> block(std::calloc(1, room), std::free);
  if (block == nullptr) {
    fail(ErrorCode::invalid_model, "there is no memory for a tensor of {} bytes", bytes);
  }
  void* aligned = block.get();
  std::align(kAlignment, rounded, aligned, room);
  return {block, aligned};
}

}  // namespace

size_t storage_bytes(DType dtype, int64_t elements) {
  constexpr int64_t kMost = PTRDIFF_MAX / 64;  // leaves room for rounding and for sums
  const int64_t bits = bits_of(dtype);
  if (elements < 0 || elements > kMost / std::max<int64_t>(bits, 1)) {
    fail(ErrorCode::invalid_model, "{} elements of {} are more than memory can address", elements,
         name_of(dtype));
  }
  return static_cast<size_t>((elements * bits + 7) / 8);
}

namespace detail {

void fail_dtype(DType wanted, DType have) {
  if (wanted == DType::undefined) {
    fail(ErrorCode::unsupported, "element type {} is not supported here", name_of(have));
  }
  if (have == DType::undefined) {
    fail(ErrorCode::invalid_model, "it needs an input that was left out");
  }
  fail(ErrorCode::invalid_model, "a tensor of {} is used where {} is expected", name_of(have),
       name_of(wanted));
}

void fail_count(int64_t wanted, size_t have) {
  throw InternalError(
      fmt::format("internal error: a tensor of {} elements was given {}", wanted, have));
}

}  // namespace detail

Tensor::Tensor(DType dtype, const Shape& shape)
    : dtype_(dtype), shape_(shape), elements_(shape.elements()) {
  owner_ = allocate(storage_bytes(dtype, elements_));
  data_ = owner_.get();
}

Tensor Tensor::borrow(DType dtype, const Shape& shape, void* data) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = shape;
  tensor.elements_ = shape.elements();
  tensor.data_ = data;
  return tensor;
}

size_t Tensor::bytes() const { return storage_bytes(dtype_, elements_); }

Tensor Tensor::clone() const {
  if (empty()) return {};
  Tensor copy(dtype_, shape_);
  if (bytes() > 0) std::memcpy(copy.data_, data_, bytes());
  return copy;
}

Tensor Tensor::reshaped(const Shape& shape) const {
  check(shape.elements() == elements_, "reshaped() must keep the number of elements");
  Tensor result = *this;
  result.shape_ = shape;
  return result;
}

Tensor convert(const Tensor& tensor, DType dtype) {
  if (tensor.dtype() == dtype) return tensor;
  if (is_integer(tensor.dtype()) && bits_of(tensor.dtype()) < 8) {
    return convert(Tensor::of<int32_t>(tensor.shape(), unpack_integers(tensor)), dtype);
  }
  if (is_integer(dtype) && bits_of(dtype) < 8) {
    return pack_integers(dtype, tensor.shape(), convert(tensor, DType::i32).data<int32_t>());
  }
  Tensor result(dtype, tensor.shape());
  with_type(tensor.dtype(), [&](auto from) {
    with_type(dtype, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      const std::span<const From> in = tensor.data<From>();
      const std::span<To> out = result.data<To>();
      for (size_t i = 0; i < in.size(); ++i) out[i] = convert_element<From, To>(in[i]);
    });
  });
  return result;
}

std::vector<int32_t> unpack_integers(const Tensor& tensor) {
  std::vector<int32_t> values(static_cast<size_t>(tensor.elements()));
  unpack_integers(tensor, 0, values);
  return values;
}

void unpack_integers(const Tensor& tensor, int64_t first, std::span<int32_t> values) {
  const DType dtype = tensor.dtype();
  if (!is_integer(dtype)) {
    fail(ErrorCode::invalid_model, "integers were expected, found {}{}", name_of(dtype),
         tensor.shape().to_string());
  }
  const auto begin = static_cast<size_t>(first);
  const int bits = bits_of(dtype);
  if (bits >= 8) {
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      const std::span<const T> in = tensor.data<T>().subspan(begin, values.size());
      for (size_t i = 0; i < in.size(); ++i) values[i] = convert_element<T, int32_t>(in[i]);
    });
    return;
  }
  const auto* bytes = static_cast<const uint8_t*>(tensor.raw());
  const size_t per_byte = static_cast<size_t>(8 / bits);
  const int mask = (1 << bits) - 1;
  const int sign = is_signed(dtype) ? 1 << (bits - 1) : 0;
  for (size_t i = 0; i < values.size(); ++i) {
    const size_t at = begin + i;
    const int code = (bytes[at / per_byte] >> (static_cast<int>(at % per_byte) * bits)) & mask;
    values[i] = (code ^ sign) - sign;  // sign extension
  }
}

Tensor pack_integers(DType dtype, const Shape& shape, std::span<const int32_t> values) {
  Tensor result(dtype, shape);
  check(static_cast<int64_t>(values.size()) == result.elements(),
        "pack_integers: wrong number of values");
  const int bits = bits_of(dtype);
  const int64_t low = lowest_of(dtype);
  const int64_t high = highest_of(dtype);
  for (int32_t value : values) {
    check(value >= low && value <= high, "pack_integers: a value does not fit its type");
  }
  if (bits >= 8) {
    with_type(dtype, [&](auto zero) {
      using T = decltype(zero);
      const std::span<T> out = result.data<T>();
      for (size_t i = 0; i < out.size(); ++i) out[i] = convert_element<int32_t, T>(values[i]);
    });
    return result;
  }
  auto* bytes = static_cast<uint8_t*>(result.raw());
  const size_t per_byte = static_cast<size_t>(8 / bits);
  const int mask = (1 << bits) - 1;
  for (size_t i = 0; i < values.size(); ++i) {
    const int shift = static_cast<int>(i % per_byte) * bits;
    bytes[i / per_byte] = static_cast<uint8_t>(bytes[i / per_byte] | ((values[i] & mask) << shift));
  }
  return result;
}

}  // namespace nibble
