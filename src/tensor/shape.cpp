#include <algorithm>

#include "base/check.h"
#include "nibble/tensor.h"

namespace nibble {

Shape::Shape(std::span<const int64_t> dims) {
  for (int64_t dim : dims) push_back(dim);
}

Shape Shape::unknown_rank() {
  Shape shape;
  shape.rank_ = -1;
  return shape;
}

bool Shape::is_static() const {
  return has_rank() && std::ranges::all_of(dims(), [](int64_t dim) { return dim >= 0; });
}

int64_t Shape::elements() const { return elements(0, rank_); }

int64_t Shape::elements(int begin, int end) const {
  check(has_rank() && begin >= 0 && end <= rank_, "elements() of axes that the shape has not");
  int64_t product = 1;
  for (int axis = begin; axis < end; ++axis) {
    if ((*this)[axis] < 0) {
      fail(ErrorCode::invalid_model, "shape {} has a dimension that is negative or not known",
           to_string());
    }
    if (__builtin_mul_overflow(product, (*this)[axis], &product)) {
      fail(ErrorCode::invalid_model, "shape {} has more elements than memory can address",
           to_string());
    }
  }
  return product;
}

void Shape::push_back(int64_t dim) {
  if (rank_ >= kMaxRank) {
    fail(ErrorCode::unsupported, "a tensor has more than {} dimensions", kMaxRank);
  }
  dims_[static_cast<size_t>(rank_++)] = dim;
}

std::string Shape::to_string() const {
  if (!has_rank()) return "[...]";
  std::string text = "[";
  for (int axis = 0; axis < rank_; ++axis) {
    if (axis > 0) text += ',';
    text += (*this)[axis] < 0 ? "?" : std::to_string((*this)[axis]);
  }
  return text + "]";
}

// The pragma of tensor.h does not reach a function that is declared as a friend only.
[[gnu::visibility("default")]] bool operator==(const Shape& a, const Shape& b) {
  return a.rank_ == b.rank_ && std::ranges::equal(a.dims(), b.dims());
}

std::string to_string(const TensorType& type) {
  std::string text = std::string(name_of(type.dtype)) + type.shape.to_string();
  if (!type.quant) return text;
  const QuantParams& q = *type.quant;
  text += fmt::format(" as {}", name_of(q.storage));
  if (q.bits() != bits_of(q.storage)) {
    text += fmt::format(" in [{},{}]", q.qmin, q.qmax);
  }
  if (q.granularity == Granularity::per_channel) text += fmt::format(" per channel({})", q.axis);
  if (q.granularity == Granularity::per_block) {
    text += fmt::format(" per block({}, {})", q.axis, q.block_size);
  }
  return text;
}

}  // namespace nibble
