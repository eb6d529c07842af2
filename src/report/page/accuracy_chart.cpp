// Accuracy, with its intervals, against size and latency: the table of all models, then two charts.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/format.h"
#include "report/page/html.h"
#include "report/page/sections.h"
#include "report/page/sentences.h"
#include "report/page/svg.h"

namespace nibble::page {
namespace {

// The scores that charts and the overview show: by labels or targets if there are any, else by the
// other model's answers; of several, those of most models.
const ScoreTable* main_scores(const Findings& findings) {
  const ScoreTable* best = nullptr;
  const auto rank = [](const ScoreTable& table) {
    return std::pair(table.against.empty()    ? 2
                     : table.metric == "sqnr" ? 1
                                              : 0,
                     table.scores.size());
  };
  for (const ScoreTable& table : findings.scores) {
    if (best == nullptr || rank(table) > rank(*best)) best = &table;
  }
  return best;
}

const Score* score_of(const ScoreTable* table, const ModelName& model) {
  if (table == nullptr) return nullptr;
  for (const Score& score : table->scores) {
    if (score.model == model) return &score;
  }
  return nullptr;
}

// Of the first benchmark that has the model: at the thread count and batch that come first there.
const Timing* timing_of(const Findings& findings, const ModelName& model) {
  for (const Benchmark& benchmark : findings.benchmarks) {
    const Timing& first = benchmark.timings.front();
    for (const Timing& timing : benchmark.timings) {
      if (timing.model == model && timing.threads == first.threads) return &timing;
    }
  }
  return nullptr;
}

std::string title_of(const ScoreTable& table, const Findings& findings) {
  std::string title = metric_title(table.metric);
  if (!table.output.empty()) title += fmt::format(" of '{}'", table.output);
  if (!table.against.empty()) title += " to " + findings.label(table.against);
  return title;
}

std::string unit_suffix(MetricUnit unit) {
  if (unit == MetricUnit::share) return " (%)";
  return unit == MetricUnit::decibels ? " (dB)" : "";
}

double shown(double value, MetricUnit unit) {
  return unit == MetricUnit::share ? value * 100 : value;
}

// Models with something to show, in their order: rows of the table, points of the charts.
std::vector<const ModelFacts*> rows_of(const Findings& findings, const ScoreTable* scores) {
  std::vector<const ModelFacts*> rows;
  for (const ModelFacts& facts : findings.models) {
    if (facts.bytes || score_of(scores, facts.name) || timing_of(findings, facts.name)) {
      rows.push_back(&facts);
    }
  }
  return rows;
}

// What the models' bits are, as far as the run says.
std::string bits_of(const Findings& findings, const ModelName& model) {
  std::string bits;
  for (const Making& made : findings.makings) {
    if (made.to == model && (made.verb == "train" || !made.layers.empty())) {
      bits = short_bits(made.layers);
    }
    if (made.from == model && bits.empty() && made.verb != "finetune") bits = "float";
    // Fine-tuning keeps the bits.
    if (made.to == model && made.verb == "finetune" && made.from != model) {
      bits = bits_of(findings, made.from);
    }
  }
  return bits;
}

// The number of samples of all scores, if they are equal.
std::optional<int64_t> common_samples(const ScoreTable& table) {
  for (const Score& score : table.scores) {
    if (score.samples != table.scores.front().samples) return std::nullopt;
  }
  return table.scores.front().samples;
}

std::string overview(const Findings& findings, const ScoreTable* scores,
                     const std::vector<const ModelFacts*>& rows) {
  std::vector<HtmlTable::Column> columns = {
      {"model"}, {"no.", true}, {"bits", true}, {"file", true}};
  const bool timed = !findings.benchmarks.empty();
  if (timed) columns.push_back({"latency", true});
  std::string caption = "All models";
  bool told = false;
  const bool paired =
      scores != nullptr && std::ranges::any_of(scores->scores, [](const Score& score) {
        return score.difference.has_value();
      });
  if (scores != nullptr) {
    columns.push_back({title_of(*scores, findings), true});
    if (paired) columns.push_back({"difference", true});
    if (paired) columns.push_back({"says"});
    if (const auto samples = common_samples(*scores)) {
      caption += fmt::format("; {} samples, intervals of 95 %", group_digits(*samples));
      told = true;
    }
  }
  HtmlTable table(caption, std::move(columns));
  for (size_t i = 0; i < rows.size(); ++i) {
    const ModelFacts& facts = *rows[i];
    std::vector<Cell> cells = {{facts.label},
                               {std::to_string(i + 1)},
                               {bits_of(findings, facts.name)},
                               {facts.bytes ? format_bytes(*facts.bytes) : ""}};
    if (timed) {
      const Timing* timing = timing_of(findings, facts.name);
      cells.push_back({timing != nullptr ? format_duration(timing->median_s) : ""});
    }
    if (const Score* score = score_of(scores, facts.name)) {
      cells.push_back({score_text(*score, scores->unit, !told)});
      if (!paired) {
        table.add_row(std::move(cells));
        continue;
      }
      const auto& difference = score->difference;
      cells.push_back({difference ? difference_text(*difference, scores->unit) : ""});
      const Verdict verdict =
          difference ? verdict_of(*difference, scores->larger_is_better) : Verdict::none;
      cells.push_back({std::string(say(verdict)), verdict == Verdict::worse    ? "worse"
                                                  : verdict == Verdict::better ? "better"
                                                                               : ""});
    } else if (scores != nullptr) {
      cells.insert(cells.end(), paired ? 3 : 1, Cell{});
    }
    table.add_row(std::move(cells));
  }
  return table.html();
}

struct Dot {
  std::string label;  // the number in the table
  std::string name;
  double x = 0;
  const Score* score = nullptr;
};

// Numbers beside points, where no other number or point is.
void draw_labels(Svg& svg, const std::vector<std::pair<Point, std::string>>& labels) {
  constexpr Point kOffsets[] = {{9, -6}, {9, 14}, {-9, -6}, {-9, 14}, {9, -20}, {-9, -20}};
  std::vector<Point> taken;
  for (const auto& [at, label] : labels) taken.push_back(at);
  for (const auto& [at, label] : labels) {
    const auto place = [&, &from = at](Point offset) {
      return Point{from.x + offset.x + (offset.x > 0 ? 4 : -4), from.y + offset.y - 4};
    };
    Point best = kOffsets[0];
    for (const Point& offset : kOffsets) {
      const Point middle = place(offset);
      const bool free = std::ranges::none_of(taken, [&](const Point& other) {
        return std::abs(other.x - middle.x) < 11 && std::abs(other.y - middle.y) < 11;
      });
      if (!free) continue;
      best = offset;
      break;
    }
    taken.push_back(place(best));
    svg.text({at.x + best.x, at.y + best.y}, label, "label",
             best.x > 0 ? Anchor::start : Anchor::end);
  }
}

std::string chart(const std::string& id, const std::string& title, const ScoreTable& scores,
                  const Findings& findings, const std::vector<Dot>& dots, const AxisText& x_text) {
  if (dots.size() < 2) return {};
  constexpr double kWidth = 400, kHeight = 300;
  double left = INFINITY, right = -INFINITY, low = INFINITY, high = -INFINITY;
  std::string told;
  for (const Dot& dot : dots) {
    left = std::min(left, dot.x);
    right = std::max(right, dot.x);
    const double value = shown(*dot.score->value, scores.unit);
    low = std::min(low, value);
    high = std::max(high, value);
    if (dot.score->interval) {
      low = std::min(low, shown(dot.score->interval->low, scores.unit));
      high = std::max(high, shown(dot.score->interval->high, scores.unit));
    }
    told += fmt::format(" {}: {}, {}.", dot.name, x_text.format(dot.x),
                        score_text(*dot.score, scores.unit));
  }
  const Axis x = axis_over(left, right, 52, kWidth - 14, true);
  Axis y = axis_over(low, high, kHeight - 48, 30);
  if (scores.unit == MetricUnit::share && high <= 100) y.high = std::min(y.high, 100.0);
  Svg svg(id, kWidth, kHeight, title,
          "One point for each model, its number as in the table; lines are 95 % intervals; "
          "points that would lie upon each other stand side by side." +
              told);
  draw_axes(svg, x, y, x_text,
            {title_of(scores, findings) + unit_suffix(scores.unit),
             [](double v) { return fmt::format("{:.6g}", v); }});
  std::vector<std::pair<Point, std::string>> labels;
  for (const Dot& dot : dots) {
    Point at = {x.at(dot.x), y.at(shown(*dot.score->value, scores.unit))};
    // Whiskers that would lie upon each other stand side by side, about where they belong.
    constexpr double kApart = 4;
    const double belongs = at.x;
    for (int i = 1; std::ranges::any_of(
             labels, [&](const auto& other) { return std::abs(other.first.x - at.x) < kApart; });
         ++i) {
      at.x = belongs + (i % 2 == 1 ? 1 : -1) * kApart * ((i + 1) / 2);
    }
    if (const auto& ends = dot.score->interval) {
      const double bottom = y.at(shown(ends->low, scores.unit));
      const double top = y.at(shown(ends->high, scores.unit));
      svg.line({at.x, bottom}, {at.x, top}, "whisker");
      svg.line({at.x - 4, bottom}, {at.x + 4, bottom}, "whisker");
      svg.line({at.x - 4, top}, {at.x + 4, top}, "whisker");
    }
    const bool base = !dot.score->difference;
    svg.circle(at, 5, base ? "dot base" : "dot",
               fmt::format("{}: {}, {}", dot.name, x_text.format(dot.x),
                           score_text(*dot.score, scores.unit)));
    labels.emplace_back(at, dot.label);
  }
  draw_labels(svg, labels);
  return fmt::format("<figure>\n<figcaption>{}</figcaption>\n{}</figure>\n", escape(title),
                     svg.svg());
}

std::string charts(const Findings& findings, const ScoreTable& scores,
                   const std::vector<const ModelFacts*>& rows) {
  std::vector<Dot> sizes, latencies;
  const Timing* timing = nullptr;
  for (size_t i = 0; i < rows.size(); ++i) {
    const Score* score = score_of(&scores, rows[i]->name);
    if (score == nullptr || !score->value) continue;
    const Dot dot{.label = std::to_string(i + 1), .name = rows[i]->label, .score = score};
    if (rows[i]->bytes && *rows[i]->bytes > 0) {
      sizes.push_back(dot);
      sizes.back().x = static_cast<double>(*rows[i]->bytes);
    }
    if (const Timing* one = timing_of(findings, rows[i]->name)) {
      timing = one;
      latencies.push_back(dot);
      latencies.back().x = one->median_s;
    }
  }
  const auto size = [](double bytes) { return format_bytes(static_cast<uint64_t>(bytes + 0.5)); };
  std::string html = chart("chart-size", "Against the size of the file", scores, findings, sizes,
                           {"file", size, 4});
  if (timing != nullptr) {
    const std::string at = fmt::format("median latency, {} {}, batch {}", timing->threads,
                                       timing->threads == 1 ? "thread" : "threads", timing->batch);
    html += chart("chart-latency", "Against the latency", scores, findings, latencies,
                  {at, format_duration, 4});
  }
  if (html.empty()) return {};
  return "<div class=\"charts\">\n" + html + "</div>\n";
}

std::string all_scores(const Findings& findings) {
  HtmlTable table("All scores", {{"model"},
                                 {"metric"},
                                 {"data"},
                                 {"value [95 %]", true},
                                 {"difference [95 %]", true},
                                 {"from"},
                                 {"p", true}});
  size_t rows = 0;
  for (const ScoreTable& scores : findings.scores) {
    for (const Score& score : scores.scores) {
      const auto& difference = score.difference;
      std::string value = score_text(score, scores.unit);
      if (score.left_out > 0) value += fmt::format(", {} left out", group_digits(score.left_out));
      table.add_row(
          {{findings.label(score.model)},
           {title_of(scores, findings)},
           {scores.data},
           {value},
           {difference ? difference_text(*difference, scores.unit) : ""},
           {difference ? findings.label(difference->from) : ""},
           {difference && difference->p_value ? fmt::format("{:.2g}", *difference->p_value) : ""}});
      ++rows;
    }
  }
  if (rows == 0) return {};
  return folded(fmt::format("All scores ({})", rows), table.html());
}

std::string all_timings(const Findings& findings) {
  HtmlTable table("All latencies", {{"model"},
                                    {"threads", true},
                                    {"batch", true},
                                    {"median", true},
                                    {"95th percentile", true},
                                    {"against the first", true},
                                    {"peak memory", true},
                                    {"machine"}});
  size_t rows = 0;
  for (const Benchmark& benchmark : findings.benchmarks) {
    for (const Timing& timing : benchmark.timings) {
      const Timing* first = nullptr;
      for (const Timing& other : benchmark.timings) {
        if (first == nullptr && other.threads == timing.threads) first = &other;
      }
      const ModelFacts* facts = findings.find(timing.model);
      table.add_row({{findings.label(timing.model)},
                     {std::to_string(timing.threads)},
                     {std::to_string(timing.batch)},
                     {format_duration(timing.median_s)},
                     {format_duration(timing.p95_s)},
                     {fmt::format("{:.2f}x", first->median_s / timing.median_s)},
                     {facts != nullptr && facts->memory ? format_bytes(*facts->memory) : ""},
                     {benchmark.machine}});
      ++rows;
    }
  }
  if (rows == 0) return {};
  return folded(fmt::format("All latencies ({})", rows), table.html());
}

std::string notes(const Findings& findings) {
  std::vector<std::string> lines;
  for (const ScoreTable& table : findings.scores) {
    for (const Score& score : table.scores) {
      for (const std::string& note : score.notes) {
        const std::string line =
            fmt::format("<li>{}: {}.</li>\n", escape(findings.label(score.model)), escape(note));
        if (std::ranges::find(lines, line) == lines.end()) lines.push_back(line);
      }
    }
  }
  return lines.empty() ? "" : fmt::format("<ul class=\"notes\">\n{}</ul>\n", fmt::join(lines, ""));
}

}  // namespace

std::string accuracy_section(const Findings& findings) {
  const ScoreTable* scores = main_scores(findings);
  const auto rows = rows_of(findings, scores);
  if (rows.empty()) return {};
  std::string html = overview(findings, scores, rows);
  if (scores != nullptr) html += charts(findings, *scores, rows);
  return html + all_scores(findings) + all_timings(findings) + notes(findings);
}

}  // namespace nibble::page
