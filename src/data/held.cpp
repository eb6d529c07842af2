#include "data/held.h"

#include <algorithm>

#include "base/check.h"
#include "data/array_set.h"
#include "data/records.h"

namespace nibble {
namespace {

Array to_array(HeldArray held) {
  const auto* begin = static_cast<const uint8_t*>(held.tensor.raw());
  const std::span<const uint8_t> bytes(begin, held.tensor.bytes());
  const auto keep = std::make_shared<std::pair<Tensor, std::shared_ptr<const void>>>(
      held.tensor, std::move(held.owner));
  return {Bytes::share(bytes, keep), std::move(held.tensor),
          held.name.empty() ? "the samples" : std::move(held.name)};
}

Record to_record(std::vector<HeldArray> arrays, const DataOptions& options) {
  Record record;
  for (HeldArray& array : arrays) {
    record.push_back({.array = array.name.empty() ? "the sample" : array.name,
                      .role = array.name.empty() ? ArrayRole{} : role_of(array.name, options),
                      .dtype = array.tensor.dtype(),
                      .shape = array.tensor.shape(),
                      .tensor = std::move(array.tensor)});
  }
  return record;
}

}  // namespace

std::unique_ptr<Dataset> open_held_arrays(const std::string& name, std::vector<HeldArray> arrays,
                                          const DataOptions& options) {
  ArrayCollection collection{.name = name};
  const auto all = std::make_shared<const std::vector<HeldArray>>(std::move(arrays));
  for (const HeldArray& array : *all) collection.arrays.push_back(array.name);
  collection.load = [all](size_t index) { return to_array((*all)[index]); };
  return open_part(source_of_arrays(std::move(collection), options), options);
}

std::unique_ptr<Dataset> open_held_samples(HeldSamples samples, const DataOptions& options) {
  RecordSource records{.name = samples.name, .samples = samples.count};
  records.place = [name = samples.name](int64_t index) {
    return fmt::format("{}, sample {}", name, index);
  };
  records.read = [read = std::move(samples.read), options](int64_t index) {
    return to_record(read(index), options);
  };
  records.types = records.read;
  Source source{.name = records.name, .whole = true};
  const std::shared_ptr<const Dataset> data = open_records(std::move(records));
  source.parts[Split::train] = [data] { return data; };
  return open_part(std::move(source), options);
}

}  // namespace nibble
