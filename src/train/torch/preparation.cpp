#include "train/torch/preparation.h"

#include <algorithm>

#include "train/torch/batches.h"
#include "train/torch/objective.h"

namespace nibble {
namespace {

constexpr int64_t kMeasured = 512;  // samples, for statistics of channels
constexpr int64_t kTried = 2000;    // samples, for each augmentation
constexpr double kBearable = 0.02;  // of the accuracy
constexpr int64_t kLeastExtent = 16;

double accuracy(Network& network, const Dataset& training, const TrainOptions& options,
                torch::Device device) {
  const torch::NoGradGuard no_gradient;
  const Graph& graph = network.graph();
  const Head head = find_head(graph);
  const Feed feed = Feed::of(graph, training, options.batch, options.threads);
  Batches batches = Batches::shuffled(training, feed, options, 0, 0, device);
  int64_t right = 0, seen = 0;
  while (seen < kTried) {
    const auto batch = batches.next();
    if (!batch) break;
    const std::vector<ValueId> wanted = {head.logits};
    const torch::Tensor logits =
        check_logits(network.forward(batch->inputs, wanted, {})[0], head, training.classes());
    const torch::Tensor chosen = head.sigmoid ? logits.squeeze(1) > 0 : logits.argmax(1);
    right += (chosen.narrow(0, 0, batch->count) == batch->labels.narrow(0, 0, batch->count))
                 .sum()
                 .item<int64_t>();
    seen += batch->count;
  }
  return static_cast<double>(right) / static_cast<double>(std::max<int64_t>(seen, 1));
}

}  // namespace

void start_norms(Network& network, const Dataset& training, const TrainOptions& options,
                 torch::Device device) {
  if (network.norms() == 0) return;
  const Feed feed = Feed::of(network.graph(), training, options.batch, options.threads);
  if (feed.batch < 2 || feed.in_sequence()) return;
  const torch::NoGradGuard no_gradient;
  Batches batches = Batches::shuffled(training, feed, options, 0, 0, device);
  for (int64_t seen = 0; seen < kMeasured;) {
    const auto batch = batches.next();
    if (!batch) break;
    network.forward(batch->inputs, network.graph().outputs, {.measures_norms = true});
    seen += batch->count;
  }
  network.start_norms();
}

TrainOptions with_augmentation(Network* teacher, const Dataset& training, TrainOptions options,
                               torch::Device device) {
  if (options.augment != Augment::automatic) return options;
  options.augment = Augment::given;
  if (teacher == nullptr) return options;
  const Binding binding = bind_samples(teacher->graph(), training);
  if (training.classes() == 0 || binding.inputs.size() != 1 || binding.carries()) return options;
  const Shape shape = sample_shape(training, "augmentation");
  if (shape.rank() != 3 || shape[0] > 4 || std::min(shape[1], shape[2]) < kLeastExtent) {
    return options;
  }
  const TrainOptions plain{
      .batch = std::max(options.batch, 64), .seed = options.seed, .threads = options.threads};
  const double usual = accuracy(*teacher, training, plain, device);
  const auto bears = [&](const TrainOptions& changed) {
    return accuracy(*teacher, training, changed, device) >= usual - kBearable;
  };
  TrainOptions mirrored = plain, cropped = plain;
  mirrored.flip = true;
  cropped.crop_padding = static_cast<int>(shape[2] / 8);
  options.flip = options.flip || bears(mirrored);
  if (options.crop_padding == 0 && bears(cropped)) options.crop_padding = cropped.crop_padding;
  return options;
}

}  // namespace nibble
