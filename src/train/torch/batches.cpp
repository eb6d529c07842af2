#include "train/torch/batches.h"

#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "train/torch/tensors.h"

namespace nibble {
namespace {

uint64_t mix(uint64_t seed, uint64_t salt) {
  return Random(seed + 0x632be59bd9b4e019ULL * salt).next();
}

std::vector<int64_t> in_sequence(int64_t count) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

}  // namespace

void augment_image(std::span<float> image, const Shape& shape, bool flip, int64_t dy, int64_t dx) {
  const int64_t height = shape[1], width = shape[2];
  const std::vector<float> source(image.begin(), image.end());
  for (int64_t c = 0; c < shape[0]; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        const int64_t from_y = y - dy;
        const int64_t shifted = x - dx;
        const bool outside = from_y < 0 || from_y >= height || shifted < 0 || shifted >= width;
        const int64_t from_x = flip ? width - 1 - shifted : shifted;
        image[static_cast<size_t>((c * height + y) * width + x)] =
            outside ? 0 : source[static_cast<size_t>((c * height + from_y) * width + from_x)];
      }
    }
  }
}

Batches Batches::shuffled(const Dataset& data, const TrainOptions& options, int epoch,
                          torch::Device device) {
  std::vector<int64_t> order = in_sequence(data.size());
  const uint64_t seed = mix(options.seed, static_cast<uint64_t>(epoch) + 1);
  Random(seed).shuffle(std::span(order));
  return {data,
          std::move(order),
          options.batch,
          options.threads,
          {.flip = options.flip, .crop_padding = options.crop_padding, .seed = seed},
          device};
}

Batches Batches::in_order(const Dataset& data, int batch, int threads, torch::Device device) {
  return {data, in_sequence(data.size()), batch, threads, {}, device};
}

Batches::Batches(const Dataset& data, std::vector<int64_t> order, int64_t batch, int threads,
                 const Augmentation& augmentation, torch::Device device)
    : data_(&data),
      order_(std::move(order)),
      count_((static_cast<int64_t>(order_.size()) + batch - 1) / batch),
      threads_(threads),
      augmentation_(augmentation),
      device_(device) {
  prefetch();
}

std::vector<int64_t> Batches::indices(int64_t batch) const {
  const auto size = static_cast<int64_t>(order_.size());
  return {order_.begin() + size * batch / count_, order_.begin() + size * (batch + 1) / count_};
}

Tensor Batches::read(const Dataset& data, const std::vector<int64_t>& indices, int threads,
                     const Augmentation& augmentation) {
  Tensor samples = read_batch(data, indices, threads)[0];
  if (samples.dtype() != DType::f32) samples = convert(samples, DType::f32);
  if (!augmentation.flip && augmentation.crop_padding == 0) return samples;
  const Shape shape = sample_shape(data, "training");
  const auto elements = static_cast<size_t>(shape.elements());
  const std::span<float> all = samples.data<float>();
  for (size_t i = 0; i < indices.size(); ++i) {
    Random random(mix(augmentation.seed, static_cast<uint64_t>(indices[i]) + 1));
    const bool flip = augmentation.flip && random.below(2) == 1;
    const int64_t padding = augmentation.crop_padding;
    const auto shift = [&] {
      return static_cast<int64_t>(random.below(static_cast<uint64_t>(2 * padding + 1))) - padding;
    };
    const int64_t dy = shift();
    augment_image(all.subspan(i * elements, elements), shape, flip, dy, shift());
  }
  return samples;
}

void Batches::prefetch() {
  if (position_ >= count_) return;
  pending_ = std::async(std::launch::async, [data = data_, chosen = indices(position_),
                                             threads = threads_, augmentation = augmentation_] {
    return read(*data, chosen, threads, augmentation);
  });
}

std::optional<Batch> Batches::next() {
  if (position_ >= count_) return {};
  const Tensor samples = pending_.get();
  std::vector<int64_t> labels;
  for (int64_t index : indices(position_)) labels.push_back(data_->label(index));
  ++position_;
  prefetch();
  return Batch{to_torch(samples, device_), torch::tensor(labels).to(device_)};
}

}  // namespace nibble
