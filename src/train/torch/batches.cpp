#include "train/torch/batches.h"

#include <algorithm>
#include <chrono>
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

Batches Batches::shuffled(const Dataset& data, const Feed& feed, const TrainOptions& options,
                          int epoch, int64_t steps_done, torch::Device device, RankGroup* ranks) {
  std::vector<int64_t> order = in_sequence(data.size());
  const uint64_t seed = mix(options.seed, static_cast<uint64_t>(epoch) + 1);
  if (!feed.in_sequence()) Random(seed).shuffle(std::span(order));
  return {std::move(order),
          {.step = int64_t{options.batch} * options.accumulate,
           .accumulate = options.accumulate,
           .steps_done = steps_done,
           .ranks = ranks},
          {&data, &feed, options.threads, Augmenter(data, options), seed, options.mixup},
          device};
}

Batches Batches::in_order(const Dataset& data, const Feed& feed, int64_t step, int threads,
                          torch::Device device, RankGroup* ranks) {
  return {in_sequence(data.size()),
          {.step = step, .ranks = ranks, .by_step = true},
          {&data, &feed, threads, {data, {}}, 0, 0},
          device};
}

Batches::Batches(std::vector<int64_t> order, const Division& division, Reading reading,
                 torch::Device device)
    : reading_(std::make_shared<const Reading>(std::move(reading))), device_(device) {
  const auto size = static_cast<int64_t>(order.size());
  const int64_t steps = (size + division.step - 1) / division.step;
  const Share mine = division.by_step ? share_of(division.ranks, steps) : Share{0, steps};
  for (int64_t s = std::max(division.steps_done, mine.begin); s < mine.end; ++s) {
    const int64_t begin = size * s / steps, end = size * (s + 1) / steps;
    add_step(std::span(order).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
             division, s, begin);
  }
  prefetch();
}

// Each sample's partner is another of the same step.
void Batches::add_step(std::span<const int64_t> samples, const Division& division, int64_t number,
                       int64_t first) {
  const auto size = static_cast<int64_t>(samples.size());
  const auto sample = [&](int64_t at) { return samples[static_cast<size_t>(at % size)]; };
  const int64_t batch = reading_->feed->batch, accumulate = division.accumulate;
  RankGroup* const ranks = division.by_step ? nullptr : division.ranks;
  Random random(mix(~reading_->seed, static_cast<uint64_t>(number) + 1));
  const bool mixes = reading_->mixup > 0 && size > 1;
  const double share = mixes ? mixup_share(reading_->mixup, random) : 1;
  const auto away =
      mixes ? 1 + static_cast<int64_t>(random.below(static_cast<uint64_t>(size - 1))) : 0;
  int64_t of_step = 0;
  for (int64_t w = 0; w < accumulate; ++w) {
    const int64_t begin = size * w / accumulate, all = size * (w + 1) / accumulate - begin;
    const Share mine = share_of(ranks, all);
    const int64_t end = begin + mine.end;
    for (int64_t at = begin + mine.begin; at < end; at += batch) {
      Part part;
      part.batch.count = std::min(batch, end - at);
      part.batch.first = first + at;
      part.batch.step_samples = size;
      part.batch.number = of_step++;
      part.batch.whole = all <= batch;
      part.batch.among = {ranks, mine.begin, mine.size(), all};
      part.batch.ends_whole = at + batch >= end;
      part.batch.ends_step = part.batch.ends_whole && w + 1 == accumulate;
      part.batch.share = share;
      part.batch.starts_sequence = number == 0 && at == 0;
      for (int64_t i = at; i < at + part.batch.count; ++i) {
        part.indices.push_back(sample(i));
        if (mixes) part.partners.push_back(sample(i + away));
      }
      if (reading_->feed->fills) {
        part.indices.resize(static_cast<size_t>(batch), part.indices.back());
        if (mixes) part.partners.resize(static_cast<size_t>(batch), part.partners.back());
      }
      parts_.push_back(std::move(part));
    }
  }
}

namespace {

Tensor as_floats(const Tensor& tensor) {
  return tensor.dtype() == DType::f32 ? tensor : convert(tensor, DType::f32);
}

// The samples as they are seen in this epoch, by field.
std::vector<Tensor> read_augmented(const Dataset& data, const std::vector<int64_t>& indices,
                                   int threads, const Augmenter& augmenter, uint64_t seed) {
  std::vector<Tensor> fields = read_batch(data, indices, threads);
  if (!augmenter.active()) return fields;
  fields[0] = as_floats(fields[0]);
  const std::span<float> all = fields[0].data<float>();
  const size_t elements = all.size() / indices.size();
  for (size_t i = 0; i < indices.size(); ++i) {
    augmenter.apply(all.subspan(i * elements, elements), seed, indices[i]);
  }
  return fields;
}

// Row i becomes share * row i + (1 - share) * row others[i]; there are as many as there are others.
Tensor mixed(const Tensor& given, const std::vector<size_t>& others, double share) {
  const Tensor samples = as_floats(given);
  Shape shape = samples.shape();
  const auto elements = static_cast<size_t>(samples.elements() / shape[0]);
  shape[0] = std::ssize(others);
  Tensor result(DType::f32, shape);
  const std::span<const float> from = samples.data<float>();
  const std::span<float> to = result.data<float>();
  const auto mine = static_cast<float>(share);
  for (size_t i = 0; i < others.size(); ++i) {
    for (size_t k = 0; k < elements; ++k) {
      to[i * elements + k] =
          mine * from[i * elements + k] + (1 - mine) * from[others[i] * elements + k];
    }
  }
  return result;
}

}  // namespace

std::vector<Tensor> Batches::read(const Reading& reading, const Part& part) {
  // Partners that are in the batch themselves are read once.
  std::vector<int64_t> wanted = part.indices;
  std::vector<size_t> others;
  for (const int64_t partner : part.partners) {
    const auto found = std::ranges::find(wanted, partner);
    others.push_back(static_cast<size_t>(found - wanted.begin()));
    if (found == wanted.end()) wanted.push_back(partner);
  }
  std::vector<Tensor> fields =
      read_augmented(*reading.data, wanted, reading.threads, reading.augmenter, reading.seed);
  for (Tensor& field : fields) {
    if (!others.empty()) field = mixed(field, others, part.batch.share);
  }
  std::vector<Tensor> inputs;
  for (const InputBinding& input : reading.feed->binding.inputs) {
    inputs.push_back(input.carried_from >= 0
                         ? input.first_state(fields)
                         : input.from_batch(fields[static_cast<size_t>(input.field)]));
  }
  return inputs;
}

void Batches::prefetch() {
  if (position_ >= parts_.size()) return;
  pending_ = std::async(std::launch::async, [reading = reading_, part = parts_[position_]] {
    return read(*reading, part);
  });
}

std::optional<Batch> Batches::next() {
  if (position_ >= parts_.size()) return {};
  const auto asked = std::chrono::steady_clock::now();
  const std::vector<Tensor> inputs = pending_.get();
  waited_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - asked).count();
  const Part& part = parts_[position_];
  Batch batch = part.batch;
  batch.starts_sequence = batch.starts_sequence || reading_->data->starts_sequence(part.indices[0]);
  ++position_;
  prefetch();
  for (const Tensor& input : inputs) {
    batch.inputs.push_back(to_torch(input, is_float(input.dtype()) ? device_ : torch::kCPU));
  }
  if (reading_->data->classes() == 0) return batch;
  const auto labels_of = [&](const std::vector<int64_t>& indices) {
    std::vector<int64_t> labels;
    for (const int64_t index : indices) labels.push_back(reading_->data->label(index));
    return torch::tensor(labels).to(device_);
  };
  batch.labels = labels_of(part.indices);
  if (!part.partners.empty()) batch.other_labels = labels_of(part.partners);
  return batch;
}

}  // namespace nibble
