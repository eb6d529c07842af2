#include "verbs/check.h"

#include <algorithm>

#include "ops/roles.h"
#include "passes/every_graph.h"
#include "passes/insert_qdq.h"

namespace nibble {
namespace {

// By types, or by operators on integers.
bool has_quantized_layers(const Graph& graph) {
  bool found = is_quantized(graph);
  visit_every_graph(graph, [&](const Graph& one, const std::string&) {
    for (const NodeId id : one.nodes()) {
      found |= one.node(id).domain.empty() && opset_of_integer_operator(one.node(id).op) > 0;
    }
  });
  return found;
}

}  // namespace

std::vector<Finding> check_model(const Graph& graph, const Target& target) {
  Graph copy = graph;
  const bool quantized = has_quantized_layers(graph);
  const OpenGraphs open(copy);
  for (const auto& scope : open.all()) hand_constants_to_bodies(*scope->graph);
  Findings findings;
  for (const CheckRow* row : check_rows()) {
    findings.row = row->name;
    for (const auto& scope : open.all()) {
      row->run({*scope->graph, scope->path, target, quantized}, findings);
    }
  }
  return std::move(findings.list);
}

std::vector<Choice> check_choices() {
  std::vector<Choice> choices;
  for (const CheckRow* row : check_rows()) choices.push_back({row->name, row->summary});
  return choices;
}

Json to_json(const std::vector<Finding>& findings, const Target& target) {
  Json json = {{"target", target.name},
               {"clean", findings.empty()},
               {"checks", Json::array()},
               {"findings", Json::array()}};
  for (const CheckRow* row : check_rows()) {
    json["checks"].push_back({{"check", row->name}, {"summary", row->summary}});
  }
  for (const Finding& finding : findings) {
    json["findings"].push_back(
        {{"check", finding.check}, {"where", finding.where}, {"sentence", finding.sentence}});
  }
  return json;
}

}  // namespace nibble
