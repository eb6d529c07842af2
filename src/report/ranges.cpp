// The range report as a table.
#include "nibble/ranges.h"

#include <fmt/format.h>

#include <algorithm>

#include "report/format.h"
#include "report/table.h"

namespace nibble {
namespace {

std::string number(double value) {
  if (value == 0) return "0";
  const double size = value < 0 ? -value : value;
  if (size >= 1e5 || size < 1e-3) return fmt::format("{:.1e}", value);
  return fmt::format("{:.{}f}", value, size >= 1000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3);
}

std::string share(double value) { return value == 0 ? "0" : fmt::format("{:.1f}", 100 * value); }

// Widest channel over the median one: how much a scale per tensor would waste.
std::string spread(const TensorRange& range) {
  if (range.channels.size() < 2) return "";
  std::vector<double> widths;
  for (const Moments& channel : range.channels) {
    widths.push_back(std::max(
        {0.0, -static_cast<double>(channel.minimum), static_cast<double>(channel.maximum)}));
  }
  std::ranges::sort(widths);
  const double median = widths[widths.size() / 2];
  return median > 0 ? fmt::format("{:.1f}", widths.back() / median) : "";
}

// The bit-widths that errors were predicted for: the same for every tensor that has any.
std::vector<BitError> predicted(const RangeReport& report) {
  for (const TensorRange& range : report.tensors) {
    if (!range.errors.empty()) return range.errors;
  }
  return {};
}

const TensorRange* worst(const RangeReport& report, bool is_weight, size_t error) {
  const TensorRange* found = nullptr;
  for (const TensorRange& range : report.tensors) {
    if (range.is_weight != is_weight || error >= range.errors.size()) continue;
    if (found == nullptr || range.errors[error].sqnr_db < found->errors[error].sqnr_db) {
      found = &range;
    }
  }
  return found;
}

std::string worst_line(const RangeReport& report, bool is_weight, size_t error) {
  const TensorRange* range = worst(report, is_weight, error);
  if (range == nullptr) return "";
  return fmt::format("Hardest {} at {} bits: {} ({:.1f} dB)\n", is_weight ? "weight" : "activation",
                     range->errors[error].bits, range->name, range->errors[error].sqnr_db);
}

}  // namespace

std::string to_table(const RangeReport& report, int columns) {
  std::vector<Table::Column> titles = {{"tensor"},
                                       {"kind"},
                                       {"min", Align::right},
                                       {"max", Align::right},
                                       {"mean", Align::right},
                                       {"std", Align::right},
                                       {"zero%", Align::right},
                                       {"out%", Align::right},
                                       {"spread", Align::right}};
  for (const BitError& error : predicted(report)) {
    titles.push_back({fmt::format("{}b", error.bits), Align::right});
  }
  Table table(titles);
  for (const TensorRange& range : report.tensors) {
    if (!range.unusable.empty()) continue;
    const double count = static_cast<double>(std::max<int64_t>(range.total.count, 1));
    std::vector<std::string> cells = {range.name,
                                      range.is_weight ? "W" : "A",
                                      number(range.total.minimum),
                                      number(range.total.maximum),
                                      number(range.total.mean),
                                      number(range.total.stddev()),
                                      share(static_cast<double>(range.total.zeros) / count),
                                      share(range.outlier_share),
                                      spread(range)};
    for (const BitError& error : range.errors)
      cells.push_back(fmt::format("{:.0f}", error.sqnr_db));
    table.add_row(std::move(cells));
  }
  std::string text = table.to_string(columns);
  text += fmt::format(
      "\n{} samples. W: weight, A: activation. zero%: exact zeros. out%: beyond 4 standard\n"
      "deviations. spread: widest channel over the median channel. 8b ... 2b: predicted SQNR in\n"
      "dB (weights per channel, activations per tensor, with the clipping of least error).\n",
      report.samples);
  for (const bool is_weight : {true, false}) {
    for (const size_t error : {size_t{0}, size_t{2}}) text += worst_line(report, is_weight, error);
  }
  for (const TensorRange& range : report.tensors) {
    if (range.unusable.empty()) continue;
    text += fmt::format("{} '{}' has no range: {}.\n", range.is_weight ? "Constant" : "Value",
                        range.name, range.unusable);
  }
  for (const std::string& note : report.notes) text += note + ".\n";
  return text;
}

}  // namespace nibble
