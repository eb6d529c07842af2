// Which layers cost most accuracy, the cause where statistics show one, and what to try; then where
// the arithmetic and the parameters are.
#include <fmt/format.h>

#include <algorithm>

#include "report/format.h"
#include "report/page/html.h"
#include "report/page/sections.h"

namespace nibble::page {
namespace {

// What stands between backticks is code.
std::string with_code(const std::string& text) {
  std::string html;
  bool code = false;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('`', begin), text.size());
    html += escape(std::string_view(text).substr(begin, end - begin));
    if (end < text.size()) html += code ? "</code>" : "<code>";
    if (end < text.size()) code = !code;
    begin = end + 1;
  }
  return html + (code ? "</code>" : "");
}

std::string costliest_layers(const Findings& findings, const LayerComparison& comparison) {
  std::vector<const LayerFinding*> named;
  for (const LayerFinding& layer : comparison.layers) {
    if (!layer.cost.empty()) named.push_back(&layer);
  }
  std::ranges::stable_sort(named, std::greater<>(), &LayerFinding::share);
  std::string html =
      fmt::format("<h3>{} against {}</h3>\n", escape(findings.label(comparison.quantized)),
                  escape(findings.label(comparison.reference)));
  if (named.empty()) {
    return html + "<p>No layer stands out: all keep 50 dB, or none adds 5 % of the noise.</p>\n";
  }
  std::string told, others;
  for (const LayerFinding* layer : named) {
    if (layer->sentence.empty()) {
      others += fmt::format("<li>{}.</li>\n", escape(layer->cost));
      continue;
    }
    told += fmt::format("<li>{}. <strong>{}</strong>: {}.", escape(layer->cost),
                        escape(layer->cause), escape(layer->sentence));
    if (!layer->remedy.empty()) told += "<br>Try: " + with_code(layer->remedy);
    told += "</li>\n";
  }
  if (!told.empty()) html += "<ol class=\"costs\">\n" + told + "</ol>\n";
  if (!others.empty()) {
    html += fmt::format(
        "<p>{}hese statistics show no cause:</p>\n<ul class=\"costs\">\n{}</ul>\n",
        told.empty() ? "For the layers that add most, t" : "For others that add much, t", others);
  }
  return html;
}

std::string share_of(int64_t part, int64_t all) {
  if (all <= 0) return {};
  return fmt::format("{:.1f} %", 100 * static_cast<double>(part) / static_cast<double>(all));
}

std::string arithmetic(const Findings& findings, const ModelCosts& costs) {
  constexpr size_t kMost = 10;
  std::vector<const NodeCost*> nodes;
  for (const NodeCost& node : costs.nodes) {
    if (node.macs > 0 || node.parameters > 0) nodes.push_back(&node);
  }
  std::ranges::stable_sort(nodes, [](const NodeCost* a, const NodeCost* b) {
    return a->macs != b->macs ? a->macs > b->macs : a->parameters > b->parameters;
  });
  if (nodes.empty()) return {};
  HtmlTable table(
      fmt::format("Where the arithmetic of {} is: {} multiply-accumulates and {} "
                  "parameters in all",
                  findings.label(costs.model), format_count(static_cast<uint64_t>(costs.macs)),
                  format_count(static_cast<uint64_t>(costs.parameters))),
      {{"node"},
       {"operator"},
       {"MACs", true},
       {"of all", true},
       {"parameters", true},
       {"of all", true},
       {"can be quantized"}});
  for (size_t i = 0; i < nodes.size() && i < kMost; ++i) {
    const NodeCost& node = *nodes[i];
    table.add_row({{node.node},
                   {node.op},
                   {format_count(static_cast<uint64_t>(node.macs))},
                   {share_of(node.macs, costs.macs)},
                   {format_count(static_cast<uint64_t>(node.parameters))},
                   {share_of(node.parameters, costs.parameters)},
                   {node.quantizable ? "yes" : "no: " + node.reason}});
  }
  std::string html = table.html();
  if (nodes.size() > kMost) {
    html += fmt::format("<p class=\"aside\">{} more have less.</p>\n", nodes.size() - kMost);
  }
  return html;
}

}  // namespace

std::string costs_section(const Findings& findings) {
  std::string html;
  for (const LayerComparison& comparison : findings.comparisons) {
    html += costliest_layers(findings, comparison);
  }
  if (!html.empty()) {
    html =
        "<p class=\"aside\">Noise is the difference from the float network, relative to the "
        "signal; SQNR is signal to noise, and 6 dB are one bit. What a layer adds is the noise "
        "behind it less that before it; shares are of what all layers add. Causes are what the "
        "statistics of its weights and values show; remedies are worth a try, and the next report "
        "tells whether they helped.</p>\n" +
        html;
  }
  std::string arithmetics;
  for (const ModelCosts& costs : findings.costs) arithmetics += arithmetic(findings, costs);
  return html + arithmetics;
}

}  // namespace nibble::page
