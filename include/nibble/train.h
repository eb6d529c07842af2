// Training, quantization-aware training (QAT) and fine-tuning (QAFT). Needs libnibble_train.so
// (libtorch), which is loaded by the first call; Error{unsupported} if it is not installed.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "nibble/quantize.h"
#include "nibble/ranks.h"

#pragma GCC visibility push(default)
namespace nibble {

/// A network to be trained from scratch: freshly initialised (He normal, by seed).
struct ArchitectureRow {
  std::string_view name;
  std::string_view summary;
  Shape sample_shape;  // its usual input [C,H,W]
  Graph (*build)(const Shape& sample, int classes, uint64_t seed);
};
std::span<const ArchitectureRow> architectures();
/// Throws Error{invalid_argument} listing the names.
Graph build_architecture(std::string_view name, const Shape& sample, int classes, uint64_t seed);

enum class Optimizer : uint8_t { sgd, adamw };
enum class Device : uint8_t {
  cpu,
  cuda,  // Error{unsupported} if there is none
  best,  // CUDA where there is a device and the installed libtorch has support for it, else the CPU
};

/// What training minimises. Those that learn from a teacher add up over all outputs of reals, in
/// equal shares.
enum class Loss : uint8_t {
  /// With labels cross_entropy, or binary for a network that ends in one Sigmoid; without labels
  /// distill where the only output is a Softmax of class scores, else sqnr.
  automatic,
  cross_entropy,  // of the labels
  binary,         // the same of two classes, told by one Sigmoid
  distill,        // cross entropy of the teacher's class scores at temperature 2 (see `distill`)
  mse,            // mean squared difference from the teacher
  mae,            // mean absolute difference from the teacher
  /// Power of the difference from the teacher over the power of the teacher's output in the
  /// training
  /// data, so that outputs in different units weigh alike: the reciprocal of the SQNR.
  sqnr,
};
/// Whether the loss compares with a teacher (`automatic`: where there are no labels).
bool learns_from_teacher(Loss loss, bool labelled);

/// How good a network is by some metric: a value with its 95 % interval and sample count.
struct EpochScore {
  double value = 0;
  double low = 0, high = 0;
  int64_t samples = 0;
};

/// Judges the network of each epoch on the validation samples.
struct EpochJudge {
  std::string metric;  // its name
  bool larger_is_better = true;
  std::function<EpochScore(const Graph& network)> score;
};

class TrainObserver;

/// How images are changed from epoch to epoch.
enum class Augment : uint8_t {
  given,  // as `flip` and `crop_padding` say
  /// Also mirrored, and cropped after padding by an eighth of their width, where training samples
  /// thus changed are still told apart by the teacher (at most 2 points of accuracy lost): of
  /// labelled images of at least 16 by 16 pixels, with distillation only.
  automatic,
};

struct TrainOptions {
  Optimizer optimizer = Optimizer::sgd;
  int epochs = 30;
  int batch = 64;
  /// A step adds up the gradients of so many batches: it is one of `batch` times as many samples,
  /// in the memory of one. Batch statistics are those of each batch.
  int accumulate = 1;
  double learning_rate = 0.05;  // cosine schedule to zero after a linear warm-up of `warmup_epochs`
  double warmup_epochs = 1;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  double label_smoothing = 0;
  Augment augment = Augment::given;
  // What each training sample goes through at random, as rows of src/train/augmentations/ do it. It
  // depends on seed, epoch and sample alone. All but mixup are for images.
  bool flip = false;      // mirror left-right
  int crop_padding = 0;   // crop after padding by this many pixels
  double brightness = 0;  // factors from 1 - b to 1 + b
  double contrast = 0;
  double saturation = 0;
  int cutout = 0;    // side of a square that is erased, in pixels (arXiv:1708.04552)
  double mixup = 0;  // samples and labels of pairs are mixed: Beta(m, m) (arXiv:1710.09412)
  /// Share of the loss taken from the teacher's outputs instead of the labels, in [0,1]: Hinton et
  /// al. 2015 (arXiv:1503.02531) at temperature 2. Quantized training with labels and a teacher
  /// only.
  double distill = 0;
  /// Quantized training: weight scales stay where no pair of products can saturate in these orders
  /// (Target::pair_orders). Empty: any scale will do.
  std::vector<PairOrder> pair_orders = default_target().pair_orders;
  Loss loss = Loss::automatic;
  /// The float network whose outputs quantized training learns, with the inputs and outputs of the
  /// trained one by name; null: the float graph that it starts from, if there is one.
  const Graph* teacher = nullptr;
  uint64_t seed = 0;
  int threads = 0;  // 0: one per core, or one for a small network. Sums depend on it
  Device device = Device::cpu;
  /// A file that holds all that training needs to go on: from there it does if the file exists,
  /// with the same result, bit for bit, as if it had never stopped. It is written after each epoch,
  /// after `checkpoint_every` steps (0: however many) or `checkpoint_seconds`, whichever is first,
  /// and when the user stops. Empty: none. Threads left to training are those of the checkpoint.
  std::string checkpoint;
  int checkpoint_every = 0;
  double checkpoint_seconds = 300;
  bool resume = false;  // there must be a checkpoint
  /// Training ends after so many epochs in a row that are no better than the best; 0: it does not.
  int patience = 0;
  /// Name of a metric (metric_choices()) that chooses the best epoch. The network is then judged as
  /// `nibble eval` does, run by the runtime. Empty: validation accuracy, without labels the loss.
  std::string metric;
  std::optional<EpochJudge> judge;  // of the caller's own, instead
  /// A file that gets a line of JSON for each `log_every` steps and for each epoch, and a folder
  /// that gets the same as event files for TensorBoard. docs/training.md says what is in them.
  std::string log;
  std::string tensorboard;
  int log_every = 10;
  TrainObserver* observer = nullptr;
  /// That train together: each step's samples are dealt out to them, and the gradients of all added
  /// up, so that the result is that of one rank but for the order of sums. `observer` and
  /// `progress` are told alike on all of them; files are written by rank 0.
  Ranks* ranks = nullptr;
  ProgressSink* progress = nullptr;
};

/// What works for quantization-aware training from a trained float network at these bits: lower
/// learning rates and fewer epochs than from scratch, more of both the fewer bits, distillation
/// below 8 bits, and with it the augmentation that the float network bears.
TrainOptions qat_defaults(int weight_bits, int activation_bits);
/// Likewise for fine-tuning an already quantized network (QAFT).
TrainOptions finetune_defaults();
/// What works for learning from a teacher without labels, after qat_defaults() or
/// finetune_defaults().
TrainOptions without_labels(TrainOptions usual);

struct Epoch {
  double train_loss = 0;
  double validation_loss = 0;
  double validation_accuracy = 0;  // with labels
  int64_t validation_samples = 0;
  /// Without labels: of the outputs against the teacher's, 10 log10(sum x^2 / sum e^2) of each, the
  /// mean over the outputs.
  double validation_sqnr_db = 0;
  double learning_rate = 0;
  /// By the metric, or with labels the accuracy, with its interval.
  std::optional<EpochScore> score;
};

/// A step of the optimizer, after it was taken.
struct TrainStep {
  int epoch = 0;     // from 0
  int64_t step = 0;  // of the whole training, from 1
  int64_t steps = 0;
  double loss = 0;  // the mean over its samples
  double learning_rate = 0;
  double samples_per_second = 0;  // of late
  double waiting = 0;             // the share of that time in which the next samples were not ready
  double seconds_left = 0;        // until the last epoch ends, at this pace
};

/// Is told how training goes, from its thread.
class TrainObserver {
 public:
  virtual ~TrainObserver() = default;
  virtual void on_step(const TrainStep&) {}
  /// The network before the first epoch; of a training that goes on, after the last.
  virtual void on_start(const Epoch&) {}
  /// The epoch with this number, from 0, which ends with step number `step`, from 1.
  virtual void on_epoch(int /*number*/, int64_t /*step*/, const Epoch&, bool /*best*/) {}
};

struct TrainResult {
  /// Of the best epoch: by the metric, else by validation accuracy, without labels by validation
  /// loss.
  Graph graph;
  Epoch start;  // of the network before training, its validation alone
  std::vector<Epoch> epochs;
  int best_epoch = -1;         // -1: none was better than the start, and the graph is as it was
  bool labelled = true;        // judged by labels, not by a teacher
  std::string metric;          // that the best epoch was chosen by, if TrainOptions asked for one
  bool stopped_early = false;  // by `patience`

  const Epoch& best() const {
    return best_epoch < 0 ? start : epochs[static_cast<size_t>(best_epoch)];
  }
};

/// Makes this process one of the ranks of a job: waits for all of them. Throws
/// Error{unsupported} if libnibble_train is not installed or its libtorch has no Gloo, LostRank if
/// the others do not come.
std::shared_ptr<Ranks> join_ranks(const RankPlace& place);

/// Trains a float graph: every float constant that is a weight, bias, gamma or beta of an operator.
/// The first output must be a logit per class (a Softmax at the end is allowed for), or one
/// Sigmoid; samples go to inputs as everywhere (docs/data.md). `validation` chooses the best epoch
/// (a tie: the lower loss; the start counts as one) and is never trained on. The same seed and
/// thread count give the same result. Throws Error{unsupported} naming the node and the operator
/// that cannot be trained, Error{invalid_argument} naming epoch and step when the loss is not
/// finite, or what differs where the checkpoint is of another network, data or options, and
/// Error{cancelled}, leaving a checkpoint of where it was.
TrainResult train(const Graph& graph, const Dataset& training, const Dataset& validation,
                  const TrainOptions& options);

/// Trains with quantization in the loop: every quantized value of `graph` (as quantize() typed it)
/// is fake-quantized with a straight-through estimator and a learned step size (LSQ, Esser et al.
/// 2020, arXiv:1902.08153). `float_graph` gives the real-valued weights to start from; with none,
/// they are the dequantized ones: that is fine-tuning (QAFT). The result is quantized as `graph`
/// was. Without labels (or with a `loss` that learns from a teacher) it learns the outputs of the
/// teacher: of any number, of a network with any inputs. States are carried through sequences in
/// order; gradients flow back through the `batch` samples of a step and no further. Networks that
/// take one sample at a time (lengths that differ, states, a fixed batch of 1) add up the gradients
/// of a step's samples. Batch normalisation and dropout are then as in inference. Throws
/// Error{invalid_argument} if there is neither a label nor a teacher, or the teacher does not fit.
TrainResult train_quantized(const Graph& graph, const Graph* float_graph, const Dataset& training,
                            const Dataset& validation, const TrainOptions& options);

}  // namespace nibble
#pragma GCC visibility pop
