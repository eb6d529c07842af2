// What other budgets would have given: the front of cost and predicted error that a choice of bits
// is of.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/format.h"
#include "report/page/html.h"
#include "report/page/sections.h"
#include "report/page/svg.h"

namespace nibble::page {
namespace {

constexpr double kWidth = 560, kHeight = 320;
constexpr double kNothingLost = 140;  // dB

std::string bits(double value) { return fmt::format("{:.2f}", value); }
std::string bytes(double value) { return format_bytes(static_cast<uint64_t>(value + 0.5)); }
std::string operations(double value) { return format_count(static_cast<uint64_t>(value + 0.5)); }

// What is counted, by the key that JSON has of it.
struct Unit {
  std::string_view key, title, of_all;
  std::string (*format)(double);
};
constexpr Unit kUnits[] = {
    {"average_weight_bits", "bits of a weight, on average", "bits of a weight", bits},
    {"file_bytes", "size of the file", "file", bytes},
    {"bit_operations", "bit operations", "bit operations", operations},
    {"latency_s", "predicted latency", "latency", format_duration},
};

const Unit& unit_of(const BudgetFront& front) {
  const auto found = std::ranges::find(kUnits, front.unit, &Unit::key);
  return found == std::end(kUnits) ? kUnits[0] : *found;
}

// The measured SQNR of the network that was made, where it is of its only output.
const Score* measured(const Findings& findings, const Making& made) {
  const Score* found = nullptr;
  for (const ScoreTable& table : findings.scores) {
    if (table.metric != "sqnr" || table.against != made.from) continue;
    for (const Score& score : table.scores) {
      if (score.model != made.to || !score.value) continue;
      if (found != nullptr) return nullptr;
      found = &score;
    }
  }
  return found;
}

std::string measured_text(const Score& score) {
  if (!score.interval) return fmt::format("{:.1f} dB", *score.value);
  return fmt::format("{:.1f} [{:.1f}, {:.1f}] dB, n = {}", *score.value, score.interval->low,
                     score.interval->high, group_digits(score.samples));
}

struct Span {
  double low = INFINITY, high = -INFINITY;
  void add(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
};

void draw_measured(Svg& svg, const Axis& y, double x, const Score& score) {
  if (const auto& ends = score.interval) {
    const double bottom = y.at(ends->low), top = y.at(ends->high);
    svg.line({x, bottom}, {x, top}, "whisker");
    svg.line({x - 5, bottom}, {x + 5, bottom}, "whisker");
    svg.line({x - 5, top}, {x + 5, top}, "whisker");
  }
  svg.circle({x, y.at(*score.value)}, 4, "dot base", "measured: " + measured_text(score));
}

std::string figure(const std::string& id, const std::string& caption, const BudgetFront& front,
                   const Score* score) {
  const Unit& unit = unit_of(front);
  Span across, up;
  // Where all layers are in float nothing is lost: a number that only stands for that.
  std::vector<BudgetFront::Point> points = front.points;
  std::erase_if(points, [](const auto& point) { return point.sqnr_db >= kNothingLost; });
  for (const BudgetFront::Point& point : points) {
    across.add(point.cost);
    up.add(point.sqnr_db);
  }
  const BudgetFront::Point& chosen = front.chosen;
  across.add(chosen.cost);
  up.add(chosen.sqnr_db);
  if (score != nullptr) {
    up.add(*score->value);
    if (score->interval) up.add(score->interval->low);
  }
  // A budget far beyond what can be used would leave the front a corner.
  const bool budget_shown = front.budget <= across.high + 0.25 * (across.high - across.low);
  if (budget_shown) across.add(front.budget);
  const Axis x = axis_over(across.low, across.high, 52, kWidth - 16);
  const Axis y = axis_over(up.low, up.high, kHeight - 46, 30);
  const auto tip = [&](const BudgetFront::Point& point) {
    return fmt::format("{}, {:.1f} dB predicted, {:.2f} bits of a weight", unit.format(point.cost),
                       point.sqnr_db, point.average_bits);
  };
  Svg svg(id, kWidth, kHeight, caption,
          fmt::format("{} choices that no other beats, from {} and {:.1f} dB to {} and {:.1f} dB. "
                      "Chosen: {}.{}",
                      front.points.size(), unit.format(front.points.front().cost),
                      front.points.front().sqnr_db, unit.format(front.points.back().cost),
                      front.points.back().sqnr_db, tip(chosen),
                      score != nullptr ? " Measured: " + measured_text(*score) + "." : ""));
  draw_axes(svg, x, y, {std::string(unit.title), unit.format, 5},
            {"SQNR of the output (dB)", [](double v) { return fmt::format("{:.6g}", v); }});
  if (budget_shown) {
    svg.line({x.at(front.budget), y.from}, {x.at(front.budget), y.to}, "clip k1");
    const bool left = x.at(front.budget) > (x.from + x.to) / 2;
    svg.text({x.at(front.budget) + (left ? -6 : 6), y.to + 12},
             "budget " + unit.format(front.budget), "tick", left ? Anchor::end : Anchor::start);
  }
  std::vector<Point> line;
  for (const BudgetFront::Point& point : points) {
    line.push_back({x.at(point.cost), y.at(point.sqnr_db)});
  }
  svg.curve(line, "line k0");
  for (size_t i = 0; i < line.size(); ++i) svg.circle(line[i], 3, "dot", tip(points[i]));
  const Point at = {x.at(chosen.cost), y.at(chosen.sqnr_db)};
  svg.circle(at, 7, "dot chosen", "chosen: " + tip(chosen));
  const bool left = at.x > (x.from + x.to) / 2;
  svg.text({at.x + (left ? -12 : 12), at.y + (left ? -4 : 14)}, "chosen", "label",
           left ? Anchor::end : Anchor::start);
  if (score != nullptr) draw_measured(svg, y, at.x, *score);
  return fmt::format("<figure>\n<figcaption>{}</figcaption>\n{}</figure>\n", escape(caption),
                     svg.svg());
}

std::string table_of(const BudgetFront& front) {
  const Unit& unit = unit_of(front);
  std::vector<const Unit*> columns;
  for (const Unit& one : kUnits) {
    if (one.key == unit.key || one.key == "average_weight_bits" ||
        (one.key == "bit_operations" && front.points.front().bit_operations)) {
      columns.push_back(&one);
    }
  }
  std::vector<HtmlTable::Column> heads = {{"point"}};
  for (const Unit* one : columns) heads.push_back({std::string(one->of_all), true});
  heads.push_back({"SQNR, predicted", true});
  HtmlTable table("What no other choice beats", std::move(heads));
  for (size_t i = 0; i < front.points.size(); ++i) {
    const BudgetFront::Point& point = front.points[i];
    std::vector<Cell> cells = {{std::to_string(i + 1)}};
    for (const Unit* one : columns) {
      const double value = one->key == unit.key           ? point.cost
                           : one->key == "bit_operations" ? point.bit_operations.value_or(0)
                                                          : point.average_bits;
      cells.push_back({one->format(value)});
    }
    cells.push_back({fmt::format("{:.2f} dB", point.sqnr_db)});
    table.add_row(std::move(cells));
  }
  return folded(fmt::format("All {} points", front.points.size()), table.html());
}

std::string latency_text(const BudgetFront& front) {
  if (!front.latency) return {};
  const auto& l = *front.latency;
  return fmt::format(
      "<p>The network that was made takes {} [{}, {}] (median of {} runs, 95 %), {} as predicted, "
      "of {} that were allowed; {} networks were timed. {}.</p>\n",
      format_duration(l.median_s), format_duration(l.interval.low),
      format_duration(l.interval.high), l.runs, format_duration(l.predicted_s),
      format_duration(front.budget), l.networks, escape(l.conditions));
}

}  // namespace

std::string front_section(const Findings& findings) {
  std::string html;
  int drawn = 0;
  for (const Making& made : findings.makings) {
    if (!made.front || made.front->points.empty()) continue;
    const BudgetFront& front = *made.front;
    const Score* score = measured(findings, made);
    const std::string caption =
        fmt::format("From {} to {}: {} against the error of the output", findings.label(made.from),
                    findings.label(made.to), unit_of(front).title);
    if (front.points.size() > 1) {
      html += figure(fmt::format("front-{}", ++drawn), caption, front, score);
    }
    html += latency_text(front);
    html += fmt::format(
        "<p class=\"notes\">Predicted: the sum of what each layer was measured to cost alone{}. "
        "{}</p>\n",
        front.latency ? ""
                      : ", by its weights; activations cost the same everywhere, and come on top",
        score != nullptr ? "Measured, the ring: " + escape(measured_text(*score)) + "." : "");
    html += table_of(front);
  }
  return html;
}

}  // namespace nibble::page
