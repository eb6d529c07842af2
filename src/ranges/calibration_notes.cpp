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

CalibrationNotes::CalibrationNotes(const Dataset& data) : data_(&data) {
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
  for (int64_t i = 0; i < batch.count && one_class_ && data_->classes() > 0; ++i) {
    const int64_t label = data_->label(batch.begin + i);
    if (label_ < 0) label_ = label;
    one_class_ = label == label_;
  }
  samples_ += batch.count;
}

void CalibrationNotes::pack(Packer& packer) const {
  packer.put(samples_);
  packer.put(label_);
  packer.put(one_class_);
  for (const Seen& seen : seen_) {
    packer.put(seen.all_equal);
    packer.put(seen.one_number);
    packer.put(seen.number.has_value());
    packer.put(seen.number.value_or(0));
    packer.put(seen.first.dtype());
    packer.put(seen.first.shape());
    packer.put(std::string_view(static_cast<const char*>(seen.first.raw()), seen.first.bytes()));
  }
}

void CalibrationNotes::append(Unpacker& packed) {
  const auto samples = packed.get<int64_t>(), label = packed.get<int64_t>();
  const bool one_class = packed.get<bool>();
  for (Seen& seen : seen_) {
    const bool all_equal = packed.get<bool>(), one_number = packed.get<bool>();
    const bool numbered = packed.get<bool>();
    const auto number = packed.get<double>();
    const auto dtype = packed.get<DType>();
    const auto shape = packed.get<Shape>();
    const std::string bytes = packed.text();
    if (samples == 0) continue;
    Tensor first(dtype, shape);
    std::memcpy(first.raw(), bytes.data(), bytes.size());
    if (seen.first.empty()) seen.first = first.clone();
    seen.all_equal = seen.all_equal && all_equal && is_equal(first, seen.first);
    if (numbered && !seen.number) seen.number = number;
    seen.one_number = seen.one_number && one_number && (!numbered || number == *seen.number);
  }
  if (samples == 0) return;
  if (samples_ == 0) label_ = label;
  one_class_ = one_class_ && one_class && label == label_;
  samples_ += samples;
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
  if (samples_ > 1 && one_class_ && data_->classes() > 1) {
    const auto& names = data_->class_names();
    notes.push_back(fmt::format(
        "All {} samples are of the class {}: {}", samples_,
        names.empty() ? fmt::format("{}", label_) : "'" + names[static_cast<size_t>(label_)] + "'",
        "values that other classes reach may be clipped"));
  }
  return notes;
}

}  // namespace nibble
