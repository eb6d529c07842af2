// Training, quantization-aware training (QAT) and fine-tuning (QAFT). Needs libnibble_train.so
// (libtorch), which is loaded by the first call; Error{unsupported} if it is not installed.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "nibble/quantize.h"

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
  double learning_rate = 0.05;  // cosine schedule to zero after a linear warm-up of `warmup_epochs`
  double warmup_epochs = 1;
  double momentum = 0.9;
  double weight_decay = 5e-4;
  double label_smoothing = 0;
  Augment augment = Augment::given;
  bool flip = false;     // mirror left-right at random
  int crop_padding = 0;  // random crop after padding by this many pixels
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
  /// Written after each epoch and resumed from if it exists; empty: none.
  std::string checkpoint;
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
};

struct TrainResult {
  Graph graph;  // of the best epoch: by validation accuracy, without labels by validation loss
  Epoch start;  // of the network before training, its validation alone
  std::vector<Epoch> epochs;
  int best_epoch = -1;   // -1: none was better than the start, and the graph is as it was
  bool labelled = true;  // judged by labels, not by a teacher

  const Epoch& best() const {
    return best_epoch < 0 ? start : epochs[static_cast<size_t>(best_epoch)];
  }
};

/// Trains a float graph: every float constant that is a weight, bias, gamma or beta of an operator.
/// The first output must be a logit per class (a Softmax at the end is allowed for), or one
/// Sigmoid; samples go to inputs as everywhere (docs/data.md). `validation` chooses the best epoch
/// (a tie: the lower loss; the start counts as one) and is never trained on. The same seed and
/// thread count give the same result. Throws Error{unsupported} naming the node and the operator
/// that cannot be trained, Error{invalid_argument} naming epoch and step when the loss is not
/// finite, and Error{cancelled}, leaving the last checkpoint.
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
