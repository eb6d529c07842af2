// Whether a model, whoever made it, is as a runtime wants it: for `nibble check`.
#pragma once

#include <string>
#include <vector>

#include "nibble/choice.h"
#include "nibble/graph.h"
#include "nibble/target.h"
#include "verbs/checks/checks.h"
#include "verbs/json.h"

#pragma GCC visibility push(default)
namespace nibble {

/// What each row of checks/checks.h finds, in their order; within a row in execution order, bodies
/// last. Runs nothing.
std::vector<Finding> check_model(const Graph& graph, const Target& target);
/// The rows: names and summaries.
std::vector<Choice> check_choices();
/// {"target", "clean", "checks": [{"check", "summary"}], "findings": [{"check", "where",
/// "sentence"}]}.
Json to_json(const std::vector<Finding>& findings, const Target& target);

}  // namespace nibble
#pragma GCC visibility pop
