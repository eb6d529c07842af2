// The histogram of each tensor, with the lines where each observer would end its codes.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/text.h"
#include "report/page/html.h"
#include "report/page/sections.h"
#include "report/page/svg.h"

namespace nibble::page {
namespace {

constexpr size_t kShown = 6;   // open from the start; the others are folded
constexpr size_t kMost = 400;  // drawn at all
constexpr int kBars = 96;
constexpr double kWidth = 360, kHeight = 176;

std::string number(double value) { return fmt::format("{:.3g}", value); }

// The bits whose lines are drawn: 8, or the fewest there are.
int bits_shown(const TensorHistogram& tensor) {
  int fewest = 0;
  for (const ClippingLine& line : tensor.lines) {
    if (fewest == 0 || line.bits < fewest) fewest = line.bits;
  }
  return fewest;
}

// How much of its range the observers would cut away: what is most worth a look.
double disagreement(const TensorHistogram& tensor) {
  double narrowest = INFINITY;
  const int bits = bits_shown(tensor);
  for (const ClippingLine& line : tensor.lines) {
    if (line.bits != bits) continue;
    const double low = std::max(line.low, tensor.minimum);
    const double high = std::min(line.high, tensor.maximum);
    narrowest = std::min(narrowest, high - low);
  }
  const double width = tensor.maximum - tensor.minimum;
  return std::isfinite(narrowest) && width > 0 ? 1 - narrowest / width : 0;
}

// Counts in kBars equal parts of [low, high].
std::vector<double> bars_of(const TensorHistogram& tensor, double low, double high) {
  std::vector<double> bars(kBars, 0.0);
  const double width = (high - low) / kBars;
  for (size_t i = 0; i < tensor.counts.size(); ++i) {
    if (tensor.counts[i] <= 0) continue;
    const double left = tensor.low + static_cast<double>(i) * tensor.bin_width;
    const double from = std::max(left, low), to = std::min(left + tensor.bin_width, high);
    if (!(to > from)) continue;
    const int first = std::clamp(static_cast<int>((from - low) / width), 0, kBars - 1);
    const int last = std::clamp(static_cast<int>((to - low) / width), 0, kBars - 1);
    for (int bar = first; bar <= last; ++bar) {
      const double a = std::max(from, low + bar * width);
      const double b = std::min(to, low + (bar + 1) * width);
      if (b > a) bars[static_cast<size_t>(bar)] += tensor.counts[i] * (b - a) / tensor.bin_width;
    }
  }
  return bars;
}

// One line for both ends of each observer: its number tells them apart without colours.
void draw_lines(Svg& svg, const TensorHistogram& tensor, const Axis& x, double top, double bottom) {
  const int bits = bits_shown(tensor);
  int number = 0;
  for (const ClippingLine& line : tensor.lines) {
    if (line.bits != bits) continue;
    const std::string style = fmt::format("clip k{}", number % 4);
    const double label = top - 4;
    for (const double end : {line.low, line.high}) {
      if (end < x.low || end > x.high) continue;
      const double at = x.at(end);
      svg.line({at, top + 4.0 + 9.0 * number}, {at, bottom}, style);
      svg.text({at, label + 9.0 * number + 6}, std::to_string(number + 1),
               fmt::format("mark k{}", number % 4), Anchor::middle);
    }
    ++number;
  }
}

std::string lines_text(const TensorHistogram& tensor) {
  std::string text;
  const int bits = bits_shown(tensor);
  int number_of_line = 0;
  for (const ClippingLine& line : tensor.lines) {
    if (line.bits != bits) continue;
    ++number_of_line;
    text += fmt::format("{}{} {} [{}, {}]", text.empty() ? "" : "; ", number_of_line, line.observer,
                        number(line.low), number(line.high));
  }
  return text;
}

std::string figure(const std::string& id, const TensorHistogram& tensor) {
  double low = tensor.minimum, high = tensor.maximum;
  const double room = (high - low) * 0.04;
  const int bits = bits_shown(tensor);
  for (const ClippingLine& line : tensor.lines) {
    if (line.bits != bits) continue;
    // Codes that reach far beyond the values would squeeze the picture.
    low = std::max(std::min(low, line.low), tensor.minimum - 8 * room);
    high = std::min(std::max(high, line.high), tensor.maximum + 8 * room);
  }
  const Axis x{low - room, high + room, 8, kWidth - 8, false};
  const double top = 40, bottom = kHeight - 24;
  const std::vector<double> bars = bars_of(tensor, x.low, x.high);
  const double most = std::max(1.0, *std::ranges::max_element(bars));
  const std::string kind = tensor.is_weight ? "weight" : "activation";
  Svg svg(
      id, kWidth, kHeight, fmt::format("Histogram of {}", tensor.name),
      fmt::format("{} of node {}, values from {} to {}, counts on a logarithmic scale. Codes of "
                  "{} bits end at: {}.",
                  kind, tensor.node, number(tensor.minimum), number(tensor.maximum), bits,
                  lines_text(tensor)));
  std::vector<Point> outline = {{x.from, bottom}};
  const double step = (x.to - x.from) / kBars;
  for (size_t i = 0; i < bars.size(); ++i) {
    const double height = std::log1p(bars[i]) / std::log1p(most) * (bottom - top);
    outline.push_back({x.from + step * static_cast<double>(i), bottom - height});
    outline.push_back({x.from + step * static_cast<double>(i + 1), bottom - height});
  }
  outline.push_back({x.to, bottom});
  svg.curve(outline, "bars", true);
  svg.line({x.from, bottom}, {x.to, bottom}, "axis");
  for (const double tick : x.ticks(5)) {
    svg.line({x.at(tick), bottom}, {x.at(tick), bottom + 4}, "axis");
    svg.text({x.at(tick), bottom + 16}, number(tick), "tick", Anchor::middle);
  }
  draw_lines(svg, tensor, x, 12, bottom);
  std::string keys;
  int number_of_line = 0;
  for (const ClippingLine& line : tensor.lines) {
    if (line.bits != bits) continue;
    keys +=
        fmt::format(" <span class=\"key k{}\">{} {} [{}, {}]</span>", number_of_line % 4,
                    number_of_line + 1, escape(line.observer), number(line.low), number(line.high));
    ++number_of_line;
  }
  return fmt::format(
      "<figure>\n<figcaption>{} <span class=\"of\">{} of {}{}</span><br>{}</figcaption>\n"
      "{}</figure>\n",
      escape(tensor.name), kind, escape(tensor.node),
      keys.empty() ? "" : fmt::format(", {} bits", bits), keys, svg.svg());
}

std::string table_of(const RangeSet& set) {
  std::vector<std::pair<int, std::string>> kinds;  // bits and observer, in the order of the lines
  for (const TensorHistogram& tensor : set.tensors) {
    for (const ClippingLine& line : tensor.lines) {
      const std::pair kind{line.bits, line.observer};
      if (std::ranges::find(kinds, kind) == kinds.end()) kinds.push_back(kind);
    }
  }
  std::vector<HtmlTable::Column> columns = {
      {"tensor"}, {"kind"}, {"node"}, {"min", true}, {"max", true}};
  for (const auto& [bits, observer] : kinds) {
    columns.push_back({fmt::format("{}, {} bits", observer, bits), true});
  }
  HtmlTable table("Ranges, and where the codes of each observer end", std::move(columns));
  for (const TensorHistogram& tensor : set.tensors) {
    std::vector<Cell> cells = {{tensor.name},
                               {tensor.is_weight ? "weight" : "activation"},
                               {tensor.node},
                               {number(tensor.minimum)},
                               {number(tensor.maximum)}};
    for (const auto& [bits, observer] : kinds) {
      const auto found = std::ranges::find_if(
          tensor.lines, [&, &b = bits, &name = observer](const ClippingLine& line) {
            return line.bits == b && line.observer == name;
          });
      cells.push_back({found == tensor.lines.end()
                           ? ""
                           : fmt::format("[{}, {}]", number(found->low), number(found->high))});
    }
    table.add_row(std::move(cells));
  }
  return folded("All ranges as a table", table.html());
}

}  // namespace

std::string histograms_section(const Findings& findings) {
  std::string html;
  int drawn = 0;
  for (const RangeSet& set : findings.ranges) {
    std::vector<const TensorHistogram*> order;
    for (const TensorHistogram& tensor : set.tensors) order.push_back(&tensor);
    std::ranges::stable_sort(order, [](const TensorHistogram* a, const TensorHistogram* b) {
      return disagreement(*a) > disagreement(*b);
    });
    html += fmt::format(
        "<h3>{}</h3>\n<p>On {} samples{}. First those of which the observers would cut away "
        "most.</p>\n",
        escape(findings.label(set.model)), group_digits(set.samples),
        set.data.empty() ? "" : " of " + escape(set.data));
    std::string shown, more;
    for (size_t i = 0; i < order.size() && i < kMost; ++i) {
      (i < kShown ? shown : more) += figure(fmt::format("histogram-{}", ++drawn), *order[i]);
    }
    html += "<div class=\"charts small\">\n" + shown + "</div>\n";
    if (!more.empty()) {
      html += folded(fmt::format("{} more histograms", std::min(order.size(), kMost) - kShown),
                     "<div class=\"charts small\">\n" + more + "</div>\n");
    }
    html += table_of(set);
  }
  if (html.empty()) return {};
  return "<p class=\"aside\">Numbered lines are where the codes end that each observer would "
         "choose: values beyond them are clipped. For weights, which have a scale for each "
         "channel, "
         "they are those of the widest channel. Heights are logarithmic, so that few values far "
         "out can be seen.</p>\n" +
         html;
}

}  // namespace nibble::page
