// Tensors for tests, and how they are compared.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/random.h"
#include "nibble/tensor.h"

namespace nibble::testing {

/// Normal values, the next of `random`.
inline Tensor random_tensor(const Shape& shape, Random& random, double deviation = 1,
                            double mean = 0) {
  Tensor tensor(DType::f32, shape);
  for (float& x : tensor.data<float>()) {
    x = static_cast<float>(mean + deviation * random.normal());
  }
  return tensor;
}

/// Normal values, the same for the same seed.
inline Tensor random_tensor(const Shape& shape, uint64_t seed, double deviation = 1,
                            double mean = 0) {
  Random random(seed);
  return random_tensor(shape, random, deviation, mean);
}

/// f32 tensors: the largest |a - b| / max(1, |b|); infinite if the shapes differ, or for a NaN.
inline double max_error(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  if (!(a.shape() == b.shape())) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < a.data<float>().size(); ++i) {
    const double x = a.data<float>()[i], y = b.data<float>()[i];
    const double error = std::abs(x - y);
    worst = std::max(worst, std::isnan(error) ? INFINITY : error / std::max(1.0, std::abs(y)));
  }
  return worst;
}

/// f32 tensors: the largest |a - b|; infinite if the shapes differ, or for a NaN.
inline double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  if (!(a.shape() == b.shape())) return INFINITY;
  double worst = 0;
  for (size_t i = 0; i < a.data<float>().size(); ++i) {
    const double error = std::abs(double{a.data<float>()[i]} - double{b.data<float>()[i]});
    worst = std::max(worst, std::isnan(error) ? INFINITY : error);
  }
  return worst;
}

inline bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

}  // namespace nibble::testing
