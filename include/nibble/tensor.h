// Element types, shapes, quantization parameters and tensors: the vocabulary of everything else.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)
namespace nibble {

/// Element types, as ONNX TensorProto names them. Types under 8 bits are stored packed, low bits
/// first.
enum class DType : uint8_t {
  undefined,
  f32,
  f64,
  f16,
  bf16,
  i64,
  i32,
  i16,
  i8,
  i4,
  i2,
  u64,
  u32,
  u16,
  u8,
  u4,
  u2,
  boolean,  // one byte, 0 or 1
};

int bits_of(DType dtype);               // 32 for f32, 4 for i4, ...
std::string_view name_of(DType dtype);  // "f32", "i8", "bool", ...
/// The inverse of name_of.
std::optional<DType> dtype_named(std::string_view name);
bool is_float(DType dtype);
bool is_integer(DType dtype);  // boolean is not one
bool is_signed(DType dtype);   // signed integers only
/// Smallest and largest value of an integer type of at most 32 bits.
int64_t lowest_of(DType dtype);
int64_t highest_of(DType dtype);

/// Extents of a tensor. Value type without heap memory. A dimension of -1 is not known yet (a
/// dynamic batch); rank -1 says that not even the rank is known.
class Shape {
 public:
  static constexpr int kMaxRank = 10;
  static constexpr int64_t kUnknown = -1;

  Shape() = default;  // rank 0: a scalar
  Shape(std::initializer_list<int64_t> dims) : Shape(std::span(dims.begin(), dims.size())) {}
  /// Throws Error{unsupported} above kMaxRank dimensions.
  explicit Shape(std::span<const int64_t> dims);
  static Shape unknown_rank();

  int rank() const { return rank_; }
  bool has_rank() const { return rank_ >= 0; }
  /// All dimensions are known.
  bool is_static() const;
  int64_t operator[](int axis) const { return dims_[static_cast<size_t>(axis)]; }
  int64_t& operator[](int axis) { return dims_[static_cast<size_t>(axis)]; }
  /// Valid as long as this shape is; so not of a temporary.
  std::span<const int64_t> dims() const& {
    return {dims_.data(), static_cast<size_t>(rank_ < 0 ? 0 : rank_)};
  }
  std::span<const int64_t> dims() && = delete;
  const int64_t* begin() const { return dims().data(); }
  const int64_t* end() const { return dims().data() + dims().size(); }

  /// Product of all extents (1 for a scalar); the shape must be static.
  int64_t elements() const;
  /// Product of the extents of axes [begin, end).
  int64_t elements(int begin, int end) const;
  void push_back(int64_t dim);
  /// [1,3,224,224]; unknown dimensions print as ?.
  std::string to_string() const;

  friend bool operator==(const Shape& a, const Shape& b);

 private:
  std::array<int64_t, kMaxRank> dims_{};
  int8_t rank_ = 0;
};

/// What one scale and zero point is shared by.
enum class Granularity : uint8_t { per_tensor, per_channel, per_block };

/// How a real tensor is represented by integers: real = scale * (q - zero_point), with q in [qmin,
/// qmax]. scale and zero_point hold one entry (per_tensor), shape[axis] entries (per_channel), or,
/// for per_block, one entry per block of `block_size` along `axis`, laid out as the tensor with
/// that axis shortened to ceil(extent / block_size).
struct QuantParams {
  DType storage = DType::i8;  // i2 .. i16, u2 .. u16, or i32 for a bias
  int32_t qmin =
      -127;  // within the range of `storage`; narrower for 3 or 6 bits, or for symmetric int8
  int32_t qmax = 127;
  std::vector<float> scale;
  std::vector<int32_t> zero_point;
  Granularity granularity = Granularity::per_tensor;
  int axis = 0;
  int64_t block_size = 0;

  /// Bits needed for the codes qmin..qmax.
  int bits() const;
  bool operator==(const QuantParams&) const = default;
};

/// The type of a graph value. With `quant`, the value is still the real tensor `dtype` (f32),
/// represented by integers.
struct TensorType {
  DType dtype = DType::undefined;
  Shape shape = Shape::unknown_rank();
  std::optional<QuantParams> quant;

  bool operator==(const TensorType&) const = default;
};

/// "f32[1,3,8,8]" or "f32[64,3,3,3] as i8 per channel(0)".
std::string to_string(const TensorType& type);

/// A dense row-major tensor: element type, shape and bytes. Copies share the bytes; clone() does
/// not. The bytes are owned, or borrowed (from a memory plan or a mapped file) and then must
/// outlive the tensor.
class Tensor {
 public:
  Tensor() = default;
  /// Zero-filled; 64-byte aligned. Throws Error{invalid_model} for a shape that is not static or
  /// larger than memory.
  Tensor(DType dtype, const Shape& shape);
  static Tensor borrow(DType dtype, const Shape& shape, void* data);
  template <typename T>
  static Tensor of(const Shape& shape, std::span<const T> values);
  template <typename T>
  static Tensor of(const Shape& shape, std::initializer_list<T> values) {
    return of<T>(shape, std::span(values.begin(), values.size()));
  }
  template <typename T>
  static Tensor scalar(T value) {
    return of<T>(Shape{}, {value});
  }

  bool empty() const { return dtype_ == DType::undefined; }  // no tensor at all; not: zero elements
  DType dtype() const { return dtype_; }
  const Shape& shape() const { return shape_; }
  int64_t elements() const { return elements_; }
  /// Size of the data in bytes; sub-byte types round up.
  size_t bytes() const;

  void* raw() { return data_; }
  const void* raw() const { return data_; }
  /// Typed access; the element type must match (checked).
  template <typename T>
  std::span<T> data();
  template <typename T>
  std::span<const T> data() const;

  Tensor clone() const;
  /// The same bytes under another shape with as many elements.
  Tensor reshaped(const Shape& shape) const;

 private:
  DType dtype_ = DType::undefined;
  Shape shape_;
  int64_t elements_ = 0;
  void* data_ = nullptr;
  std::shared_ptr<void> owner_;
};

/// Bytes that `elements` of `dtype` take; sub-byte types round up. Throws Error{invalid_model} if
/// memory cannot address that many.
size_t storage_bytes(DType dtype, int64_t elements);

/// IEEE half precision and bfloat16 as storage; converted for arithmetic. Rounding is to nearest,
/// ties to even.
struct Half {
  uint16_t bits = 0;
};
struct BFloat16 {
  uint16_t bits = 0;
};
float to_float(Half value);
float to_float(BFloat16 value);
Half to_half(float value);
BFloat16 to_bfloat16(float value);

/// The DType that stores a C++ type.
template <typename T>
constexpr DType dtype_of();
template <>
constexpr DType dtype_of<float>() {
  return DType::f32;
}
template <>
constexpr DType dtype_of<double>() {
  return DType::f64;
}
template <>
constexpr DType dtype_of<Half>() {
  return DType::f16;
}
template <>
constexpr DType dtype_of<BFloat16>() {
  return DType::bf16;
}
template <>
constexpr DType dtype_of<int64_t>() {
  return DType::i64;
}
template <>
constexpr DType dtype_of<int32_t>() {
  return DType::i32;
}
template <>
constexpr DType dtype_of<int16_t>() {
  return DType::i16;
}
template <>
constexpr DType dtype_of<int8_t>() {
  return DType::i8;
}
template <>
constexpr DType dtype_of<uint64_t>() {
  return DType::u64;
}
template <>
constexpr DType dtype_of<uint32_t>() {
  return DType::u32;
}
template <>
constexpr DType dtype_of<uint16_t>() {
  return DType::u16;
}
template <>
constexpr DType dtype_of<uint8_t>() {
  return DType::u8;
}
template <>
constexpr DType dtype_of<bool>() {
  return DType::boolean;
}

namespace detail {
[[noreturn]] void fail_dtype(DType wanted, DType have);
[[noreturn]] void fail_count(int64_t wanted, size_t have);
}  // namespace detail

template <typename T>
std::span<T> Tensor::data() {
  if (dtype_of<T>() != dtype_) detail::fail_dtype(dtype_of<T>(), dtype_);
  return {static_cast<T*>(data_), static_cast<size_t>(elements_)};
}
template <typename T>
std::span<const T> Tensor::data() const {
  if (dtype_of<T>() != dtype_) detail::fail_dtype(dtype_of<T>(), dtype_);
  return {static_cast<const T*>(data_), static_cast<size_t>(elements_)};
}
template <typename T>
Tensor Tensor::of(const Shape& shape, std::span<const T> values) {
  Tensor result(dtype_of<T>(), shape);
  if (static_cast<int64_t>(values.size()) != result.elements_) {
    detail::fail_count(result.elements_, values.size());
  }
  std::span<T> out = result.template data<T>();
  for (size_t i = 0; i < out.size(); ++i) out[i] = values[i];
  return result;
}

/// Calls `body(T{})` with the C++ type that stores `dtype` (8 bits and more); throws
/// Error{unsupported} for others.
template <typename Body>
decltype(auto) with_type(DType dtype, Body&& body) {
  switch (dtype) {
    case DType::f32:
      return body(float{});
    case DType::f64:
      return body(double{});
    case DType::f16:
      return body(Half{});
    case DType::bf16:
      return body(BFloat16{});
    case DType::i64:
      return body(int64_t{});
    case DType::i32:
      return body(int32_t{});
    case DType::i16:
      return body(int16_t{});
    case DType::i8:
      return body(int8_t{});
    case DType::u64:
      return body(uint64_t{});
    case DType::u32:
      return body(uint32_t{});
    case DType::u16:
      return body(uint16_t{});
    case DType::u8:
      return body(uint8_t{});
    case DType::boolean:
      return body(bool{});
    default:
      detail::fail_dtype(DType::undefined, dtype);
  }
}

/// Element-wise conversion as of operator Cast: float to integer truncates; what does not fit
/// wraps, and what does not even fit int64 (NaN too) becomes its lowest value. Sub-byte types
/// unpack and pack (their values must fit).
Tensor convert(const Tensor& tensor, DType dtype);

/// The integers of an integer tensor (any storage, packed or not) as int32, in row-major order.
std::vector<int32_t> unpack_integers(const Tensor& tensor);
/// The inverse: values must fit `dtype` (checked).
Tensor pack_integers(DType dtype, const Shape& shape, std::span<const int32_t> values);

/// Index into scale/zero_point of element `index` (row-major) of a tensor of `shape`.
int64_t quant_group(const QuantParams& params, const Shape& shape, int64_t index);
/// Number of entries scale and zero_point must have for `shape`.
int64_t quant_groups(const QuantParams& params, const Shape& shape);

/// q = clamp(round_half_to_even(real / scale) + zero_point, qmin, qmax). Division in f32. NaN
/// throws Error{invalid_data}.
Tensor quantize_tensor(const Tensor& real, const QuantParams& params);
/// real = scale * (q - zero_point), in f32.
Tensor dequantize_tensor(const Tensor& quantized, const QuantParams& params);

}  // namespace nibble
#pragma GCC visibility pop
