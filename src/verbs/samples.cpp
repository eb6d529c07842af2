#include "verbs/samples.h"

#include <nlohmann/json.hpp>

#include "base/check.h"
#include "ranges/binding.h"

namespace nibble {
namespace {

// A model with other inputs or outputs cannot carry them.
bool has_states(const Graph& graph, const Carry& carry) {
  for (const auto& [input, output] : carry) {
    const auto in = graph.find_value(input), out = graph.find_value(output);
    if (!in || !graph.is_input(*in) || !out) return false;
  }
  return true;
}

}  // namespace

void settle_states(std::span<Graph> models, const Carry& carry) {
  Carry states = carry;
  for (const Graph& model : models) {
    if (states.empty()) states = stored_carry(model);
  }
  for (Graph& model : models) {
    const bool wanted =
        !carry.empty() || (stored_carry(model).empty() && has_states(model, states));
    if (wanted && !states.empty()) store_carry(model, states);
  }
}

void SampleSource::settle(std::span<Graph> models) const {
  std::optional<Preprocess> known;
  for (const Graph& model : models) {
    if (!known) known = stored_preprocess(model);
  }
  for (Graph& model : models) {
    if (known && !stored_preprocess(model)) store_preprocess(model, *known);
  }
  settle_states(models, carry);
}

std::shared_ptr<const Dataset> SampleSource::open(Split split, const Graph* model,
                                                  uint64_t seed) const {
  if (!given()) {
    fail(ErrorCode::invalid_argument,
         "no data are given: name them with --data (see --help), or a file for each input with "
         "--input NAME=FILE");
  }
  DataOptions options{
      .split = only.value_or(split), .sources = sources, .frame = frame, .hop = hop, .seed = seed};
  if (model != nullptr) {
    options.preprocess = stored_preprocess(*model);
    describe_model(*model, options);
  }
  const auto open_with = [&]() -> std::shared_ptr<const Dataset> {
    return held != nullptr ? held(options) : open_dataset(spec, options);
  };
  if (preprocess != nullptr) {
    // What is not asked for is as usual for this data.
    if (!options.preprocess) options.preprocess = open_with()->preprocess();
    options.preprocess = preprocess(options.preprocess.value_or(Preprocess{}));
  }
  const std::shared_ptr<const Dataset> dataset = open_with();
  if (model != nullptr) bind_samples(*model, *dataset);  // throws if the samples do not fit
  if (opened != nullptr) opened(options.split, *dataset);
  return dataset;
}

Split split_named(std::string_view name) {
  if (name == "train") return Split::train;
  if (name == "validation") return Split::validation;
  if (name == "test") return Split::test;
  fail(ErrorCode::invalid_argument, "'{}' is no part of a data set: train, validation or test",
       name);
}

Preprocess preprocess_over(const Preprocess& usual, std::string_view json) {
  using Json = nlohmann::ordered_json;
  const Json given = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!given.is_object()) return preprocess_from_json(json);  // which says what is wrong
  Json all = Json::parse(to_json(usual));
  const auto replace = [&](const char* key, std::initializer_list<const char*> others) {
    if (!given.contains(key)) return;
    for (const char* other : others) all.erase(other);
  };
  replace("resize_shorter", {"resize_height", "resize_width", "letterbox", "pad_value"});
  replace("resize_height", {"resize_shorter"});
  replace("letterbox", {"resize_shorter", "crop_height", "crop_width"});
  all.update(given);
  return preprocess_from_json(all.dump());
}

void store_preprocess_of(Graph& graph, const Dataset& dataset) {
  if (const std::optional<Preprocess> preprocess = dataset.preprocess())
    store_preprocess(graph, *preprocess);
}

}  // namespace nibble
