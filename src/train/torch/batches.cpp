#include "train/torch/batches.h"

#include <algorithm>
#include <numeric>

#include "base/random.h"
#include "nibble/error.h"
#include "passes/pass.h"
#include "ranges/sample_runner.h"
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

// The same network for any number of samples: none if its types then say that there is no such
// thing.
std::optional<Graph> opened(const Graph& graph, const Binding& binding) {
  Graph open = graph;
  for (const InputBinding& input : binding.inputs) open.value(input.input).type.shape[0] = -1;
  for (const NodeId id : open.nodes()) {
    for (const ValueId value : open.node(id).outputs) {
      if (value) open.value(value).type.shape = Shape::unknown_rank();
    }
  }
  try {
    infer_types(open);
  } catch (const Error&) {
    return std::nullopt;
  }
  return open;
}

}  // namespace

Feed Feed::of(const Graph& graph, const Dataset& data, int64_t wanted, int threads) {
  Feed feed{.binding = bind_samples(graph, data)};
  const SampleRunnerOptions options{.batch = wanted, .threads = threads};
  if (feed.binding.fixed_batch == 1 && !feed.binding.single && wanted > 1) {
    if (const auto open = opened(graph, feed.binding)) {
      feed.batch = SampleRunner(*open, data, options).batch();
      return feed;
    }
  }
  const SampleRunner runner(graph, data, options);
  feed.batch = runner.batch();
  feed.fills = runner.is_fixed() && feed.batch > 1;
  return feed;
}

Feed Feed::of(const Graph& graph, const Graph* teacher, const Dataset& data, int64_t wanted,
              int threads) {
  Feed feed = of(graph, data, wanted, threads);
  if (teacher == nullptr) return feed;
  const Feed theirs = of(*teacher, data, feed.batch, threads);
  feed.batch = std::min(feed.batch, theirs.batch);
  feed.fills = feed.batch > 1 && (feed.fills || theirs.fills);
  return feed;
}

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

Batches Batches::shuffled(const Dataset& data, const Feed& feed, const TrainOptions& options,
                          int epoch, torch::Device device) {
  std::vector<int64_t> order = in_sequence(data.size());
  const uint64_t seed = mix(options.seed, static_cast<uint64_t>(epoch) + 1);
  if (!feed.in_sequence()) Random(seed).shuffle(std::span(order));
  return {data,
          feed,
          std::move(order),
          options.batch,
          options.threads,
          {.flip = options.flip, .crop_padding = options.crop_padding, .seed = seed},
          device};
}

Batches Batches::in_order(const Dataset& data, const Feed& feed, int64_t step, int threads,
                          torch::Device device) {
  return {data, feed, in_sequence(data.size()), step, threads, {}, device};
}

Batches::Batches(const Dataset& data, const Feed& feed, std::vector<int64_t> order, int64_t step,
                 int threads, const Augmentation& augmentation, torch::Device device)
    : data_(&data), feed_(&feed), threads_(threads), augmentation_(augmentation), device_(device) {
  const auto size = static_cast<int64_t>(order.size());
  const int64_t steps = (size + step - 1) / step;
  for (int64_t s = 0; s < steps; ++s) {
    const int64_t begin = size * s / steps, end = size * (s + 1) / steps;
    for (int64_t at = begin; at < end; at += feed.batch) {
      Part part{.count = std::min(feed.batch, end - at), .step_samples = end - begin};
      part.indices.assign(order.begin() + at, order.begin() + at + part.count);
      if (feed.fills) part.indices.resize(static_cast<size_t>(feed.batch), part.indices.back());
      part.ends_step = at + feed.batch >= end;
      parts_.push_back(std::move(part));
    }
  }
  prefetch();
}

std::vector<Tensor> Batches::read(const Dataset& data, const Feed& feed,
                                  const std::vector<int64_t>& indices, int threads,
                                  const Augmentation& augmentation) {
  std::vector<Tensor> fields = read_batch(data, indices, threads);
  if (augmentation.flip || augmentation.crop_padding != 0) {
    Tensor& samples = fields[0];
    if (samples.dtype() != DType::f32) samples = convert(samples, DType::f32);
    const Shape shape = sample_shape(data, "augmentation");
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
  }
  std::vector<Tensor> inputs;
  for (const InputBinding& input : feed.binding.inputs) {
    inputs.push_back(input.carried_from >= 0
                         ? input.first_state(fields)
                         : input.from_batch(fields[static_cast<size_t>(input.field)]));
  }
  return inputs;
}

void Batches::prefetch() {
  if (position_ >= parts_.size()) return;
  pending_ = std::async(
      std::launch::async,
      [data = data_, feed = feed_, chosen = parts_[position_].indices, threads = threads_,
       augmentation = augmentation_] { return read(*data, *feed, chosen, threads, augmentation); });
}

std::optional<Batch> Batches::next() {
  if (position_ >= parts_.size()) return {};
  Batch batch;
  const std::vector<Tensor> inputs = pending_.get();
  batch.starts_sequence = position_ == 0;
  const Part& part = parts_[position_++];
  prefetch();
  for (const Tensor& input : inputs) {
    batch.inputs.push_back(to_torch(input, is_float(input.dtype()) ? device_ : torch::kCPU));
  }
  batch.count = part.count;
  batch.step_samples = part.step_samples;
  batch.ends_step = part.ends_step;
  batch.starts_sequence = batch.starts_sequence || data_->starts_sequence(part.indices[0]);
  if (data_->classes() == 0) return batch;
  std::vector<int64_t> labels;
  for (const int64_t index : part.indices) labels.push_back(data_->label(index));
  batch.labels = torch::tensor(labels).to(device_);
  return batch;
}

}  // namespace nibble
