#include "train/torch/run_facts.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "data/digest.h"
#include "train/options.h"
#include "train/torch/tensors.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kTrainingSamples = "the number of training samples";
constexpr const char* kValidationSamples = "the number of validation samples";

void add_tensor(Sha256& digest, const Tensor& tensor) {
  digest.add(tensor.shape().to_string());
  digest.add(std::span(static_cast<const std::byte*>(tensor.raw()), tensor.bytes()));
}

// Its nodes, and all numbers in it.
std::string digest_of(const Graph& graph) {
  Sha256 digest;
  for (const NodeId id : graph.nodes()) {
    const Node& node = graph.node(id);
    digest.add(describe(node));
    for (const ValueId input : node.inputs) digest.add(input ? graph.value(input).name : "");
  }
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    digest.add(to_string(value.type));
    if (!value.is_constant()) continue;
    digest.add(value.name);
    add_tensor(digest, value.data);
  }
  return digest.hex();
}

// What it starts from: that may be another network's weights.
std::string digest_of(const Network& network) {
  Sha256 digest;
  digest.add(digest_of(network.graph()));
  for (const torch::Tensor& tensor : network.state()) add_tensor(digest, from_torch(tensor));
  return digest.hex();
}

}  // namespace

RunFacts facts_of(const Network& network, const Network* teacher, const Dataset& training,
                  const Dataset& validation, const TrainOptions& options, torch::Device device) {
  RunFacts facts = {{"the network", "#" + digest_of(network)}};
  facts.emplace_back("the teacher", teacher != nullptr ? "#" + digest_of(teacher->graph()) : "#");
  for (auto& [name, value] : told_facts(training, validation, options, device)) {
    facts.emplace_back(name, value);
    if (name == kTrainingSamples) {
      facts.emplace_back("the training samples", "#" + digest_of(training));
    } else if (name == kValidationSamples) {
      facts.emplace_back("the validation samples", "#" + digest_of(validation));
    }
  }
  facts.emplace_back("the guard of pairs", network.keeps_pairs_safe() ? "on" : "off");
  facts.emplace_back("--threads", std::to_string(options.threads));
  return facts;
}

RunFacts told_facts(const Dataset& training, const Dataset& validation, const TrainOptions& options,
                    torch::Device device) {
  RunFacts facts = {{kTrainingSamples, std::to_string(training.size())},
                    {kValidationSamples, std::to_string(validation.size())}};
  for (const OptionRow<TrainOptions>& row : train_option_rows()) {
    const auto value = row.get(options);
    if (!shapes_result(row.spec) || row.spec.key == "device" || !value) continue;
    facts.emplace_back(row.spec.flag, option_to_json(*value).dump());
  }
  facts.emplace_back("momentum", fmt::format("{}", options.momentum));
  facts.emplace_back("the warm-up in epochs", fmt::format("{}", options.warmup_epochs));
  facts.emplace_back("--seed", std::to_string(options.seed));
  facts.emplace_back("--device", device.is_cuda() ? "cuda" : "cpu");
  return facts;
}

std::string to_json(const RunFacts& facts) {
  Json json = Json::array();
  for (const auto& [name, value] : facts) json.push_back({name, value});
  return json.dump();
}

RunFacts facts_from_json(const std::string& json) { return Json::parse(json).get<RunFacts>(); }

std::string differences(const RunFacts& before, const RunFacts& now) {
  std::string text;
  const auto value_of = [](const RunFacts& facts, const std::string& name) -> std::string {
    const auto found = std::ranges::find(facts, name, &RunFacts::value_type::first);
    return found == facts.end() ? "unknown" : found->second;
  };
  const auto compare = [&](const std::string& name) {
    const std::string was = value_of(before, name), is = value_of(now, name);
    if (was == is) return;
    if (!text.empty()) text += "; ";
    const bool told = !was.starts_with('#') && !is.starts_with('#');
    const bool many = name.ends_with("samples");
    text += told ? fmt::format("{} was {} and is {}", name, was, is)
                 : fmt::format("{} {}", name, many ? "are others" : "is another");
  };
  for (const auto& [name, value] : now) compare(name);
  const auto gone = [&](const auto& fact) { return value_of(now, fact.first) == "unknown"; };
  for (const auto& fact : before) {
    if (gone(fact)) compare(fact.first);
  }
  return text;
}

}  // namespace nibble
