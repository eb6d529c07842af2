// The states of a model, in its metadata.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "nibble/data.h"
#include "tensor/agree.h"

namespace nibble {
namespace {

constexpr const char* kMetadataKey = "nibble.carry";

const Value* find_among(const Graph& graph, const std::vector<ValueId>& ids,
                        const std::string& name) {
  const auto at =
      std::ranges::find_if(ids, [&](ValueId id) { return graph.value(id).name == name; });
  return at == ids.end() ? nullptr : &graph.value(*at);
}

bool may_be_equal(const Shape& a, const Shape& b) {
  return !a.has_rank() || !b.has_rank() || agree(a.dims(), b.dims());
}

// Why `output` cannot be fed to `input`, as a sentence; empty if it can.
std::string why_not(const Graph& graph, const std::string& input, const std::string& output) {
  const Value* to = find_among(graph, graph.inputs, input);
  const Value* from = find_among(graph, graph.outputs, output);
  if (to == nullptr) return fmt::format("the model has no input '{}'", input);
  if (from == nullptr) return fmt::format("the model has no output '{}'", output);
  if (to->type.dtype != from->type.dtype || !may_be_equal(to->type.shape, from->type.shape)) {
    return fmt::format("output '{}' is {} and input '{}' is {}", output, to_string(from->type),
                       input, to_string(to->type));
  }
  return {};
}

void check_carry(const Graph& graph, const Carry& carry, ErrorCode code) {
  for (const auto& [input, output] : carry) {
    const std::string reason = why_not(graph, input, output);
    if (!reason.empty()) {
      fail(code, "the state {}={} cannot be carried: {}", output, input, reason);
    }
  }
}

}  // namespace

Carry stored_carry(const Graph& graph) {
  const auto entry = graph.metadata.find(kMetadataKey);
  if (entry == graph.metadata.end()) return {};
  const auto json = nlohmann::json::parse(entry->second, nullptr, false);
  Carry carry;
  const bool is_map = json.is_object() && std::ranges::all_of(json, [](const auto& output) {
                        return output.is_string();
                      });
  if (!is_map) {
    fail(ErrorCode::invalid_model, "metadata {}: expected an object of strings, got '{}'",
         kMetadataKey, entry->second);
  }
  for (const auto& [input, output] : json.items()) carry[input] = output.get<std::string>();
  check_carry(graph, carry, ErrorCode::invalid_model);
  return carry;
}

void store_carry(Graph& graph, const Carry& carry) {
  check_carry(graph, carry, ErrorCode::invalid_argument);
  if (carry.empty()) {
    graph.metadata.erase(kMetadataKey);
  } else {
    graph.metadata[kMetadataKey] = nlohmann::json(carry).dump();
  }
}

}  // namespace nibble
