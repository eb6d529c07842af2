// Bits and error of each layer as a heat map: a table whose cells are coloured by what they say, so
// that it reads without colours too.
#include <fmt/format.h>

#include <algorithm>

#include "report/page/html.h"
#include "report/page/sections.h"

namespace nibble::page {
namespace {

// Six classes of SQNR, 10 dB apart: below 10 is the worst, from 50 the best.
std::string heat_of(const std::optional<double>& db) {
  if (!db) return {};
  return fmt::format("heat h{}", std::clamp(static_cast<int>(*db / 10), 0, 5));
}

Cell sqnr_cell(const std::optional<double>& db, std::string_view none) {
  if (!db) return {.text = std::string(none)};
  return {.text = fmt::format("{:.1f}", *db), .style = heat_of(db)};
}

std::string bits_name(int bits) { return bits == 0 ? "" : std::to_string(bits); }

Cell bits_cell(int bits) {
  if (bits == 0) return {.text = "float"};
  return {.text = std::to_string(bits), .style = fmt::format("bits b{}", std::clamp(bits, 2, 8))};
}

std::string legend() {
  std::string html = "<p class=\"legend\">SQNR in dB: ";
  static constexpr const char* kNames[] = {"below 10", "10 to 20", "20 to 30",
                                           "30 to 40", "40 to 50", "50 and more"};
  for (int i = 0; i < 6; ++i) {
    html += fmt::format("<span class=\"heat h{}\">{}</span> ", i, kNames[i]);
  }
  return html + "</p>\n";
}

std::string detail(const Findings& findings, const LayerComparison& comparison) {
  HtmlTable table(fmt::format("{} against {}, {} samples, in execution order",
                              findings.label(comparison.quantized),
                              findings.label(comparison.reference), comparison.samples),
                  {{"node"},
                   {"operator"},
                   {"weight bits", true},
                   {"result bits", true},
                   {"weight alone", true},
                   {"result alone", true},
                   {"before it", true},
                   {"behind it", true},
                   {"adds", true}});
  for (const LayerFinding& layer : comparison.layers) {
    const bool weighted = layer.weight_bits > 0 || layer.weight_db;
    table.add_row({{layer.node},
                   {layer.op},
                   weighted ? bits_cell(layer.weight_bits) : Cell{},
                   bits_cell(layer.activation_bits),
                   sqnr_cell(layer.weight_db, ""),
                   sqnr_cell(layer.result_db, ""),
                   sqnr_cell(layer.before_db, "exact"),
                   sqnr_cell(layer.behind_db, "exact"),
                   {fmt::format("{:.1f} %", layer.share * 100)}});
  }
  return table.html();
}

// Several quantized models of one network: the error behind each layer, side by side.
std::string overview(const Findings& findings,
                     const std::vector<const LayerComparison*>& comparisons) {
  std::vector<HtmlTable::Column> columns = {{"node"}};
  for (const LayerComparison* comparison : comparisons) {
    columns.push_back({findings.label(comparison->quantized), true});
  }
  HtmlTable table(fmt::format("SQNR behind each layer against {}, with the bits of weights (W) and "
                              "results (A)",
                              findings.label(comparisons.front()->reference)),
                  std::move(columns));
  std::vector<std::string> nodes;
  for (const LayerComparison* comparison : comparisons) {
    for (const LayerFinding& layer : comparison->layers) {
      if (std::ranges::find(nodes, layer.node) == nodes.end()) nodes.push_back(layer.node);
    }
  }
  for (const std::string& node : nodes) {
    std::vector<Cell> cells = {{node}};
    for (const LayerComparison* comparison : comparisons) {
      const auto found = std::ranges::find(comparison->layers, node, &LayerFinding::node);
      if (found == comparison->layers.end()) {
        cells.emplace_back();
        continue;
      }
      const std::string weight = bits_name(found->weight_bits);
      const std::string result = bits_name(found->activation_bits);
      const std::string bits =
          (weight.empty() ? "" : "W" + weight + " ") + (result.empty() ? "" : "A" + result + " ");
      const std::string db = found->behind_db ? fmt::format("{:.1f}", *found->behind_db) : "exact";
      cells.push_back({.style = heat_of(found->behind_db),
                       .html = fmt::format("<span class=\"of\">{}</span>{}", bits, db)});
    }
    table.add_row(std::move(cells));
  }
  return table.html();
}

std::string bits_only(const Findings& findings, const Making& made) {
  HtmlTable table("Bits in " + findings.label(made.to),
                  {{"node"}, {"weight bits", true}, {"data bits", true}});
  for (const auto& [node, bits] : made.layers) {
    table.add_row({{node}, bits_cell(bits.weight_bits), bits_cell(bits.activation_bits)});
  }
  return folded(
      fmt::format("Bits of the {} layers of {}", made.layers.size(), findings.label(made.to)),
      table.html());
}

}  // namespace

std::string layers_section(const Findings& findings) {
  std::string html, others;
  std::vector<const LayerComparison*> left;
  for (const LayerComparison& comparison : findings.comparisons) left.push_back(&comparison);
  while (!left.empty()) {
    const ModelName reference = left.front()->reference;
    std::vector<const LayerComparison*> group;
    std::erase_if(left, [&](const LayerComparison* one) {
      if (one->reference != reference) return false;
      group.push_back(one);
      return true;
    });
    if (group.size() == 1) {
      html += detail(findings, *group.front());
      continue;
    }
    html += overview(findings, group);
    for (const LayerComparison* one : group) {
      html += folded("More of " + findings.label(one->quantized), detail(findings, *one));
    }
  }
  if (!html.empty()) {
    html =
        "<p class=\"aside\">Weight alone, result alone: what rounding that tensor and nothing else "
        "would leave. Before it, behind it: in the network that runs, with all errors that came "
        "before.</p>\n" +
        legend() + html;
  }
  for (const Making& made : findings.makings) {
    const bool compared = std::ranges::any_of(
        findings.comparisons,
        [&](const LayerComparison& comparison) { return comparison.quantized == made.to; });
    if (!compared && !made.layers.empty()) html += bits_only(findings, made);
  }
  return html;
}

}  // namespace nibble::page
