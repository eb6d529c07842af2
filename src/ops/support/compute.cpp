#include "ops/support/compute.h"

namespace nibble {
namespace {

template <typename From, typename To>
To converted(From value) {
  if constexpr (std::is_same_v<From, Half> || std::is_same_v<From, BFloat16>) {
    return static_cast<To>(to_float(value));
  } else if constexpr (std::is_same_v<To, Half>) {
    return to_half(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return to_bfloat16(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

// Only floats meet floats and integers integers: no conversion here loses more than width.
template <typename C, typename T>
constexpr bool kMeets = (std::is_same_v<C, float> &&
                         (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>)) ||
                        (std::is_integral_v<C> && !std::is_same_v<C, bool> &&
                         std::is_integral_v<T>);

}  // namespace

template <typename C>
const C* load(const Tensor& tensor, int64_t first, int64_t count, C* buffer) {
  if (tensor.dtype() == dtype_of<C>()) return static_cast<const C*>(tensor.raw()) + first;
  with_type(tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (kMeets<C, T>) {
      const T* from = static_cast<const T*>(tensor.raw()) + first;
      for (int64_t i = 0; i < count; ++i) buffer[i] = converted<T, C>(from[i]);
    } else {
      detail::fail_dtype(dtype_of<C>(), tensor.dtype());
    }
  });
  return buffer;
}

template <typename C>
void store(Tensor& tensor, int64_t first, int64_t count, const C* values) {
  if (tensor.dtype() == dtype_of<C>()) return;
  with_type(tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    if constexpr (kMeets<C, T>) {
      T* to = static_cast<T*>(tensor.raw()) + first;
      for (int64_t i = 0; i < count; ++i) to[i] = converted<C, T>(values[i]);
    } else {
      detail::fail_dtype(dtype_of<C>(), tensor.dtype());
    }
  });
}

template const float* load(const Tensor&, int64_t, int64_t, float*);
template const double* load(const Tensor&, int64_t, int64_t, double*);
template const int64_t* load(const Tensor&, int64_t, int64_t, int64_t*);
template const uint64_t* load(const Tensor&, int64_t, int64_t, uint64_t*);
template const bool* load(const Tensor&, int64_t, int64_t, bool*);
template void store(Tensor&, int64_t, int64_t, const float*);
template void store(Tensor&, int64_t, int64_t, const double*);
template void store(Tensor&, int64_t, int64_t, const int64_t*);
template void store(Tensor&, int64_t, int64_t, const uint64_t*);
template void store(Tensor&, int64_t, int64_t, const bool*);

}  // namespace nibble
