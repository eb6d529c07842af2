// The embedded handwritten digits; see data/digits.LICENSE.md and scripts/make_digits.py.
#include <algorithm>

#include "data/samples.h"
#include "data/source.h"

namespace nibble {

extern const unsigned char digits_bytes[];
extern const unsigned long digits_bytes_size;

namespace {

constexpr size_t kPixels = 64;
constexpr size_t kRecord = 1 + kPixels * 5 / 8;  // the digit, then 5 bits a pixel
// Of the stratified order by kSplitSeed, the first 500 are the test part, the next 297 validation.
constexpr uint64_t kSplitSeed = 20;
constexpr int64_t kTest = 500;
constexpr int64_t kValidation = 297;

uint8_t pixel(const unsigned char* record, size_t index) {
  const size_t bit = index * 5;
  const unsigned char* from = record + 1 + bit / 8;
  const unsigned pair = from[0] | (bit % 8 > 3 ? static_cast<unsigned>(from[1]) << 8U : 0U);
  return static_cast<uint8_t>(pair >> (bit % 8) & 31U);
}

std::shared_ptr<const Dataset> open_digits(Split split, const Preprocess& preprocess) {
  const size_t count = digits_bytes_size / kRecord;
  std::vector<uint8_t> pixels(count * kPixels);
  Labels labels{.values = std::vector<int32_t>(count), .classes = 10};
  for (size_t i = 0; i < count; ++i) {
    const unsigned char* record = digits_bytes + i * kRecord;
    labels.values[i] = record[0];
    for (size_t p = 0; p < kPixels; ++p) pixels[i * kPixels + p] = pixel(record, p);
  }
  const std::vector<int64_t> order = stratified_order(labels.values, kSplitSeed);
  const auto validation = order.begin() + kTest;
  const auto train = validation + kValidation;
  std::vector<int64_t> indices = split == Split::test ? std::vector(order.begin(), validation)
                                 : split == Split::validation ? std::vector(validation, train)
                                                              : std::vector(train, order.end());
  std::sort(indices.begin(), indices.end());
  auto all = std::make_shared<PixelDataset>(
      "digits", std::move(labels), PixelBlock{Bytes(std::move(pixels)), 0, kPixels, 8, 8, 1, false},
      preprocess);
  const char* name = split == Split::test         ? "digits/test"
                     : split == Split::validation ? "digits/validation"
                                                  : "digits/train";
  return named_subset(std::move(all), std::move(indices), name);
}

}  // namespace

std::optional<Source> find_digits(const std::string& spec, const DataOptions& options) {
  if (spec != "digits") return std::nullopt;
  const Preprocess own{.color = Preprocess::Color::grey, .scale = 1.0F / 16.0F};
  Source source{.name = spec};
  for (Split split : {Split::train, Split::validation, Split::test}) {
    source.parts[split] = [=] { return open_digits(split, chosen_preprocess(own, options)); };
  }
  return source;
}

}  // namespace nibble
