#include "train/augmentations/augmentation.h"

#include <fmt/format.h>

#include "base/check.h"
#include "train/augmentations/list.h"

namespace nibble {
namespace {

uint64_t mix(uint64_t seed, uint64_t salt) {
  return Random(seed + 0x632be59bd9b4e019ULL * salt).next();
}

}  // namespace

std::span<const AugmentationRow> augmentations() {
  static const std::vector<AugmentationRow> rows = augmentation_rows();
  return rows;
}

ImageFormat image_format(const Dataset& data, std::string_view flag) {
  const Shape shape = sample_shape(data, fmt::format("augmentation by {}", flag));
  if (shape.rank() != 3) {
    fail(ErrorCode::invalid_argument, "{} is for images [C,H,W], the samples are {}", flag,
         shape.to_string());
  }
  const auto preprocess = data.preprocess();
  ImageFormat format;
  format.channels_last = preprocess && preprocess->layout == Preprocess::Layout::hwc;
  format.channels = shape[format.channels_last ? 2 : 0];
  format.height = shape[format.channels_last ? 0 : 1];
  format.width = shape[format.channels_last ? 1 : 2];
  const auto count = static_cast<size_t>(format.channels);
  if (preprocess) {
    format.mean = preprocess->mean;
    format.std = preprocess->std;
    format.white = 255 * preprocess->scale;
  }
  format.mean.resize(count, 0);
  format.std.resize(count, 1);
  format.luma.assign(count, 1 / static_cast<float>(count));
  if (count == 3) {
    const bool bgr = preprocess && preprocess->color == Preprocess::Color::bgr;
    format.luma = {bgr ? 0.114F : 0.299F, 0.587F, bgr ? 0.299F : 0.114F};
  }
  return format;
}

Augmenter::Augmenter(const Dataset& data, const TrainOptions& options) : options_(options) {
  const TrainOptions usual;
  for (const AugmentationRow& row : augmentations()) {
    if (row.apply == nullptr || row.option.get(options) == row.option.get(usual)) continue;
    const std::string_view flag = row.option.spec.flag;
    if (rows_.empty()) format_ = image_format(data, flag);
    if (row.needs_colour && format_.channels != 3) {
      fail(ErrorCode::invalid_argument, "{} is for colour images, the samples have {} channel{}",
           flag, format_.channels, format_.channels == 1 ? "" : "s");
    }
    rows_.push_back(&row);
  }
}

void Augmenter::apply(std::span<float> image, uint64_t seed, int64_t index) const {
  Random random(mix(seed, static_cast<uint64_t>(index) + 1));
  for (const AugmentationRow* row : rows_) row->apply({format_, image}, options_, random);
}

}  // namespace nibble
