// What is in a model, and what the operators are: for `nibble inspect` and `nibble ops`.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/graph.h"
#include "nibble/quantize.h"
#include "onnx/expand/expand.h"
#include "ops/op.h"
#include "verbs/json.h"

#pragma GCC visibility push(default)
namespace nibble {

struct Inspection {
  std::vector<NodeSupport> nodes;
  int64_t parameters = 0;
  int64_t macs = 0;  // at a batch of 1
  int64_t quantizable_macs = 0;
  int quantized_constants = 0;
  std::map<std::string, int> operators;  // how many nodes of each
  std::set<std::string> unsupported;
};
Inspection inspect_model(const Graph& graph);
Json to_json(const Inspection& inspection, const Graph& graph, std::optional<uint64_t> file_bytes);

/// Operators called `name`, or all (but for those that exist only between compile and run).
struct Operators {
  std::vector<const OpRow*> rows;
  std::vector<const ExpansionRow*> read_as_parts;  // that become others when a model is read
};
/// Throws Error{invalid_argument}, with names that are like it, if there is none.
Operators find_operators(std::string_view name);
Json to_json(const Operators& operators);

}  // namespace nibble
#pragma GCC visibility pop
