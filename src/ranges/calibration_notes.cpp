#include "ranges/calibration_notes.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace nibble {
namespace {

// Sample `k` of a batch, borrowed.
Tensor sample_of(const Tensor& batch, int64_t k) {
  const Shape shape(batch.shape().dims().subspan(1));
  auto* bytes = static_cast<std::byte*>(const_cast<void*>(batch.raw()));
  return Tensor::borrow(
      batch.dtype(), shape,
      bytes + static_cast<size_t>(k) * storage_bytes(batch.dtype(), shape.elements()));
}

bool is_equal(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() &&
         (a.bytes() == 0 || std::memcmp(a.raw(), b.raw(), a.bytes()) == 0);
}

}  // namespace

CalibrationNotes::CalibrationNotes(const Dataset& data) : data_(data) {
  for (const Field& field : data.fields()) seen_.push_back({.name = field.name});
}

void CalibrationNotes::see(Seen& seen, const Tensor& sample) const {
  if (seen.first.empty()) seen.first = sample.clone();
  seen.all_equal = seen.all_equal && is_equal(sample, seen.first);
  if (!seen.one_number || sample.elements() == 0) return;
  const Tensor reals = convert(sample, DType::f64);
  const std::span<const double> values = reals.data<double>();
  if (!seen.number) seen.number = values[0];
  seen.one_number = std::ranges::all_of(values, [&](double x) { return x == *seen.number; });
}

void CalibrationNotes::see(const SampleBatch& batch) {
  for (size_t k = 0; k < seen_.size(); ++k) {
    Seen& seen = seen_[k];
    for (int64_t i = 0; i < batch.count && (seen.all_equal || seen.one_number); ++i) {
      see(seen, sample_of(batch.samples[k], i));
    }
  }
  for (int64_t i = 0; i < batch.count && one_class_ && data_.classes() > 0; ++i) {
    const int64_t label = data_.label(batch.begin + i);
    if (label_ < 0) label_ = label;
    one_class_ = label == label_;
  }
  samples_ += batch.count;
}

std::vector<std::string> CalibrationNotes::sentences() const {
  std::vector<std::string> notes;
  const char* follows = "ranges measured on them do not hold for others";
  for (const Seen& seen : seen_) {
    // A rate, a mask or a state may well be one number on purpose: integers and single numbers.
    const bool counts = is_float(seen.first.dtype()) && seen.first.elements() > 1;
    if (!counts || !seen.one_number || !seen.number) continue;
    const std::string name = seen.name.empty() ? "" : " of '" + seen.name + "'";
    notes.push_back(
        fmt::format("Every element of every sample{} is {:g}: {}", name, *seen.number, follows));
  }
  const bool all_equal = std::ranges::all_of(seen_, &Seen::all_equal);
  if (samples_ > 1 && all_equal && notes.empty()) {
    notes.push_back(fmt::format("All {} samples are equal: {}", samples_, follows));
  }
  if (samples_ > 1 && one_class_ && data_.classes() > 1) {
    const auto& names = data_.class_names();
    notes.push_back(fmt::format(
        "All {} samples are of the class {}: {}", samples_,
        names.empty() ? fmt::format("{}", label_) : "'" + names[static_cast<size_t>(label_)] + "'",
        "values that other classes reach may be clipped"));
  }
  return notes;
}

}  // namespace nibble
