#include "report/output_stream.h"

#include <cstring>

#include "base/check.h"
#include "ranges/binding.h"

namespace nibble {
namespace {

// Part `index` of `parts` equal ones along `axis`: borrowed along the first axis, else copied.
Tensor part_of(const Tensor& whole, int axis, int64_t index, int64_t parts) {
  Shape shape = whole.shape();
  shape[axis] /= parts;
  const int rank = shape.rank();
  const auto run = storage_bytes(whole.dtype(), shape.elements(axis, rank));
  const auto* from = static_cast<const std::byte*>(whole.raw()) + static_cast<size_t>(index) * run;
  if (axis == 0) {
    return Tensor::borrow(whole.dtype(), shape, const_cast<std::byte*>(from));
  }
  Tensor result(whole.dtype(), shape);
  auto* to = static_cast<std::byte*>(result.raw());
  for (int64_t i = 0; i < shape.elements(0, axis); ++i) {
    std::memcpy(to, from, run);
    to += run;
    from += run * static_cast<size_t>(parts);
  }
  return result;
}

const Graph& checked(const Graph& graph, const Dataset& data) {
  if (graph.outputs.empty()) fail(ErrorCode::invalid_model, "the model has no outputs");
  if (data.size() == 0) {
    fail(ErrorCode::invalid_data, "the data set is empty: {}", data.describe());
  }
  return graph;
}

}  // namespace

OutputStream::OutputStream(const Graph& graph, const Dataset& data,
                           const SampleRunnerOptions& options)
    : graph_(checked(graph, data)),
      carries_(bind_samples(graph, data).carries()),
      runner_(graph, data, options) {
  reader_ = runner_.reader(data.size());
}

void OutputStream::go_to(const Share& samples) {
  reader_ = runner_.reader(samples);
  batch_.reset();
}

const std::string& OutputStream::output_name(size_t output) const {
  return graph_.value(graph_.outputs[output]).name;
}

Tensor OutputStream::slice(const Tensor& result, size_t output) const {
  const int64_t samples = batch_->fed();
  if (samples == 1) return result;
  const Shape& shape = result.shape();
  const auto known = runner_.batch_axis().find(graph_.outputs[output]);
  const int axis = known == runner_.batch_axis().end() ? 0 : known->second;
  if (axis < shape.rank() && shape[axis] % samples == 0 && shape[axis] > 0) {
    return part_of(result, axis, at_, samples);
  }
  return {};
}

std::span<const Tensor> OutputStream::next() {
  if (!batch_ || at_ == batch_->count) {
    batch_ = reader_->next();
    check(batch_.has_value(), "the stream is asked for no more samples than there are");
    at_ = 0;
    results_.clear();
    for (const Tensor& result : runner_.run(*batch_)) {
      const bool packed = bits_of(result.dtype()) < 8;
      results_.push_back(packed ? convert(result, DType::i32) : result);
    }
  }
  sample_.clear();
  for (size_t i = 0; i < results_.size(); ++i) sample_.push_back(slice(results_[i], i));
  ++at_;
  return sample_;
}

}  // namespace nibble
