// How a quantized model came about, as its file tells it, and making it again.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "verbs/goal.h"
#include "verbs/quantize.h"
#include "verbs/train.h"

#pragma GCC visibility push(default)
namespace nibble {

/// What the model's metadata `nibble.provenance` holds (docs/file-format.md says what): nullopt if
/// there is none. Throws Error{invalid_model} for what is no such thing.
std::optional<nlohmann::ordered_json> provenance_of(const Graph& graph);

/// SHA-256 of a network: its nodes and constants, not its metadata.
std::string digest_of_network(const Graph& graph);

/// A quantization, for the file that it makes.
struct QuantizationRecord {
  std::string model;  // digest_of_network() of the float model, as it was given
  std::string data;   // a SHA-256 of the samples that calibrated; empty: there were none
  int64_t samples = 0;
  uint64_t seed = 0;
  /// SHA-256 of a range report that was given instead of samples, or beside them; empty: none was.
  std::string ranges = {};
};
QuantizationRecord record_of(const Graph& model, const Dataset* calibration, uint64_t seed);
/// Writes it into the metadata of `result`. `settings` are those that quantize_model() makes
/// `result` with where the bits that a budget chose are given instead.
void store_provenance(Quantized& result, const QuantizationRecord& record,
                      const QuantizeSettings& settings);
/// Bytes that this takes in a file at most, whatever bits the layers get: for `samples` samples
/// that calibrate.
int64_t provenance_bytes(const Graph& graph, int64_t samples, uint64_t seed,
                         const QuantizeSettings& settings);
/// Adds how the model was judged on samples that decided nothing.
void store_score(Graph& graph, const Verdict& verdict);
/// Adds that it was trained by the verb of this name with these options.
void store_training(Trained& trained, std::string_view verb, const Dataset& training,
                    const TrainOptions& options);

/// How the file says that quantize_model() made it.
struct Recipe {
  QuantizeSettings settings;
  uint64_t seed = 0;
};
/// Throws Error{invalid_model} without provenance, Error{unsupported} if the model was trained
/// afterwards.
Recipe recipe_of(const Graph& quantized);

/// What came of doing it again.
struct Reproduction {
  Quantized result;
  /// What is not as it was, in sentences: the version, the float model, the samples. None: the file
  /// must be the same, byte for byte.
  std::vector<std::string> differences;
};
/// Quantizes `model` as the file of `quantized` says that it was made. Preprocessing and states are
/// those that it stores, unless `data` or the model say others. Throws as recipe_of().
/// `ranges`: the report that it was made from, where it was; throws Error{invalid_argument} if it
/// was and there is none.
Reproduction reproduce(const Graph& quantized, Graph model, const SampleSource& data,
                       const RunSettings& run, const RangeReport* ranges = nullptr);

}  // namespace nibble
#pragma GCC visibility pop
