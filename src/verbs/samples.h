// Where the samples of a verb come from, and what models remember of them.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "nibble/data.h"
#include "nibble/graph.h"
#include "nibble/progress.h"
#include "nibble/ranks.h"

#pragma GCC visibility push(default)
namespace nibble {

class LatencyMeter;

/// What every verb takes.
struct RunSettings {
  int threads = 0;  // 0: one per core
  uint64_t seed = 0;
  ProgressSink* progress = nullptr;
  /// Of a budget of latency. Null: this machine, by the runtime, on `threads` (0: on one).
  LatencyMeter* meter = nullptr;
  Ranks* ranks = nullptr;  // of this job; null: it is one process
};

/// A verb loads its models, calls settle() on all of them, then open() for each.
struct SampleSource {
  std::string spec;                            // as open_dataset() takes it
  std::map<std::string, std::string> sources;  // DataOptions::sources
  Carry carry;                                 // by input; empty: what the models store
  int64_t frame = 0;
  int64_t hop = 0;
  /// The preprocessing that is asked for, where another would be usual. Null: the usual one.
  std::function<Preprocess(Preprocess)> preprocess;
  /// Samples that the caller holds, instead of `spec`: opens the part options.split. Null: none.
  std::function<std::shared_ptr<const Dataset>(const DataOptions& options)> held;
  /// This part, whichever a verb would look at. (Training looks at two.)
  std::optional<Split> only;
  /// Told of every part that open() opened. Null: nobody is.
  std::function<void(Split, const Dataset&)> opened;

  /// There is something to open.
  bool given() const { return !spec.empty() || !sources.empty() || held != nullptr; }
  /// Writes into the models what they are to remember of their data, for open(), for the runs, and
  /// for the file that is written of them: the states of `carry` (store_carry()); those that say
  /// nothing of their states or preprocessing get what the first model says that does. A model
  /// without the inputs and outputs of another's states is left as it is. Throws
  /// Error{invalid_argument} if `carry` does not fit.
  void settle(std::span<Graph> models) const;
  /// Opens one part, preprocessed as is asked for, else as the model stores it, else as is usual
  /// for this data and this model; checks that the samples fit the model's inputs. Throws
  /// Error{invalid_argument} if no data are given.
  std::shared_ptr<const Dataset> open(Split split, const Graph* model, uint64_t seed) const;
};

/// Writes into the models the states that they carry, as SampleSource::settle() does.
void settle_states(std::span<Graph> models, const Carry& carry);

/// "train", "validation" or "test". Throws Error{invalid_argument} for another.
Split split_named(std::string_view name);

/// `usual` with what a JSON object of the keys of preprocess_from_json() says, each for itself: a
/// resize of one kind takes the place of the other. Throws as that does.
Preprocess preprocess_over(const Preprocess& usual, std::string_view json);

/// The model remembers how the samples it was made with were preprocessed.
void store_preprocess_of(Graph& graph, const Dataset& dataset);

}  // namespace nibble
#pragma GCC visibility pop
