// How an output of a model says which class a sample is of.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nibble/graph.h"

namespace nibble {

/// How to read one output.
struct ClassReading {
  enum class Kind : uint8_t {
    none,    // it says nothing of classes
    scores,  // one for each class: the largest is the answer
    score,   // a single one: class 1 above the cut, else class 0
    index,   // an integer: the class itself
  };
  size_t output = 0;  // of the graph
  std::string name;
  Kind kind = Kind::none;
  int64_t classes = 0;       // that it tells apart; index: 0, not known
  bool probability = false;  // the number comes from a Sigmoid or Softmax: 0.5 is the middle, not 0
  float cut = 0;
  std::vector<std::string> notes;  // what was assumed, sentences without their ends
};

/// What is asked for; nothing by default.
struct ReadingRequest {
  std::string output;              // name; empty: the first that fits
  std::optional<float> threshold;  // the cut of a single score
  int classes = 0;                 // that the labels tell apart; 0: there are none
  bool scores_only = false;        // not the class itself
};

/// The output comes from a Sigmoid, HardSigmoid or Softmax, perhaps by way of nodes that only move
/// elements.
bool is_probability(const Graph& graph, ValueId value);

/// Of output number `output`, given what it is for one sample.
ClassReading reading_of(const Graph& graph, size_t output, const Tensor& sample, int classes);

/// The output that answers the request: the first with a score for each class there is, else the
/// first that is a single score or the class itself, else the first with more scores, else with
/// fewer. `sample` is what the outputs are for one sample. Throws Error{invalid_argument} if none
/// does, naming the outputs and what to do instead.
ClassReading find_reading(const Graph& graph, std::span<const Tensor> sample,
                          const ReadingRequest& request);
/// The output of that name; throws Error{invalid_argument} listing those that there are.
size_t find_output(const Graph& graph, const std::string& name);

/// The class of one sample; -1 if a score is NaN. Equal scores: the first. Throws
/// Error{invalid_model} if the output does not keep to the reading.
int64_t predicted_class(const ClassReading& reading, const Tensor& output);
/// What the answers of one model to a whole data set say of how they were read.
class AnswerWatch {
 public:
  void see(const ClassReading& reading, const Tensor& output);
  /// Adds what was seen of the samples behind those seen here.
  void merge(const AnswerWatch& later);
  /// Sentences without their ends: how many samples have NaN, that scores taken for logits look
  /// like probabilities, that all answers are the same.
  std::vector<std::string> notes(const ClassReading& reading) const;
  int64_t nan_samples() const { return nan_samples_; }

 private:
  int64_t samples_ = 0;
  int64_t nan_samples_ = 0;
  int64_t answers_ = 0;         // of the others, as the reading has it
  int64_t answer_ = 0;          // the first
  bool same_ = true;            // as all others
  float least_ = 0, most_ = 0;  // of single scores
};
/// The numbers of an output as they are compared and ranked.
std::vector<float> as_floats(const Tensor& output);

}  // namespace nibble
