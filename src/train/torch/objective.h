// What a training minimises, and by what its epochs are judged: losses on outputs of the network.
#pragma once

#include <torch/torch.h>

#include <vector>

#include "nibble/train.h"
#include "train/torch/batches.h"
#include "train/torch/losses.h"
#include "train/torch/network.h"

namespace nibble {

/// Where a classifier's scores are.
struct Head {
  ValueId logits;
  bool sigmoid = false;  // one output: the probability of class 1
  bool softmax = false;
};
/// The first output, or what its Softmax, LogSoftmax or Sigmoid reads.
Head find_head(const Graph& graph);

/// Logits as [n, outputs]. Throws Error{invalid_argument} if their number does not fit the classes.
torch::Tensor check_logits(const torch::Tensor& logits, const Head& head, int classes);

/// Sums over samples that an epoch is judged by.
struct Tally {
  double loss = 0;                    // times samples
  int64_t samples = 0;                // judged
  int64_t correct = 0;                // with labels
  std::vector<double> signal, error;  // by judged output: sums of squares

  void merge(Tally&& other);
  /// Of the outputs against the teacher's, in dB, the mean over outputs.
  double sqnr_db() const;
};

class Objective {
 public:
  /// `teacher` may be null. Throws Error{invalid_argument} where the loss that is asked for does
  /// not fit the network or the data.
  Objective(const Graph& graph, const Graph* teacher, const Dataset& data,
            const TrainOptions& options);

  bool labelled() const { return labelled_; }
  /// What the networks have to compute for it. Empty of the teacher where it is not asked.
  const std::vector<ValueId>& wanted() const { return wanted_; }
  const std::vector<ValueId>& wanted_of_teacher() const { return wanted_of_teacher_; }

  /// Adds what the teacher gives to the power of its outputs; settle() ends that.
  void measure(const std::vector<torch::Tensor>& teacher, const Batch& batch);
  void settle();
  bool needs_measuring() const { return !wanted_of_teacher_.empty() && !labelled_; }

  /// The mean over the samples of a batch.
  torch::Tensor loss(const std::vector<torch::Tensor>& outputs,
                     const std::vector<torch::Tensor>& teacher, const Batch& batch) const;
  void judge(const std::vector<torch::Tensor>& outputs, const std::vector<torch::Tensor>& teacher,
             const Batch& batch, Tally& tally) const;

 private:
  struct Term {
    const LossRow* row = nullptr;
    size_t output = 0;  // index into wanted(), and into wanted_of_teacher()
    double share = 1;
    bool sigmoid = false;
    bool from_teacher = false;
    double power = 1;
    double squares = 0;  // measured so far
    int64_t elements = 0;
    std::string name;
  };
  void add_labelled(const Graph* teacher, const TrainOptions& options);
  void add_taught(const Graph& graph, const Graph& teacher, Loss loss);
  torch::Tensor term_loss(const Term& term, const std::vector<torch::Tensor>& outputs,
                          const std::vector<torch::Tensor>& teacher, const Batch& batch) const;

  bool labelled_ = true;
  int classes_ = 0;
  double smoothing_ = 0;
  Head head_;
  std::vector<ValueId> wanted_, wanted_of_teacher_;
  std::vector<Term> terms_;
  std::vector<size_t> judged_;  // indices of wanted(): outputs of the graph, without labels
};

}  // namespace nibble
