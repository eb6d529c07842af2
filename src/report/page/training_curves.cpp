// How training went: loss and validation accuracy, epoch by epoch.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/format.h"
#include "report/page/html.h"
#include "report/page/sections.h"
#include "report/page/svg.h"

namespace nibble::page {
namespace {

constexpr double kWidth = 400, kHeight = 240;

struct Series {
  std::string name;
  std::string_view style;
  std::vector<double> values;  // by epoch
};

std::string figure(const std::string& id, const std::string& caption, const std::string& y_title,
                   const std::vector<Series>& series, int64_t best) {
  double low = INFINITY, high = -INFINITY;
  size_t epochs = 0;
  for (const Series& one : series) {
    for (const double value : one.values) {
      low = std::min(low, value);
      high = std::max(high, value);
    }
    epochs = std::max(epochs, one.values.size());
  }
  if (epochs < 2) return {};
  const Axis x{1, static_cast<double>(epochs), 48, kWidth - 14, false};
  Axis y = axis_over(low, high, kHeight - 44, 28);
  if (y_title.ends_with("(%)") && high <= 100) y.high = std::min(y.high, 100.0);
  std::string told;
  for (const Series& one : series) {
    told += fmt::format(" {}: from {:.4g} in epoch 1 to {:.4g} in epoch {}.", one.name,
                        one.values.front(), one.values.back(), one.values.size());
  }
  Svg svg(id, kWidth, kHeight, caption, y_title + " by epoch." + told);
  draw_axes(svg, x, y, {"epoch", [](double v) { return fmt::format("{:g}", v); }, 6},
            {y_title, [](double v) { return fmt::format("{:.6g}", v); }});
  for (const Series& one : series) {
    std::vector<Point> points;
    for (size_t i = 0; i < one.values.size(); ++i) {
      points.push_back({x.at(static_cast<double>(i + 1)), y.at(one.values[i])});
    }
    svg.curve(points, fmt::format("line {}", one.style));
  }
  if (best >= 1 && static_cast<size_t>(best) <= series.back().values.size()) {
    const Point at = {x.at(static_cast<double>(best)),
                      y.at(series.back().values[static_cast<size_t>(best - 1)])};
    svg.circle(at, 4.5, "dot", fmt::format("best epoch, {}", best));
    const bool right = at.x < (x.from + x.to) / 2;
    svg.text({at.x + (right ? 9 : -9), at.y + 16}, fmt::format("epoch {}", best), "label",
             right ? Anchor::start : Anchor::end);
  }
  std::string legend;
  if (series.size() > 1) {
    for (const Series& one : series) {
      legend += fmt::format(" <span class=\"key {}\">{}</span>", one.style, escape(one.name));
    }
  }
  return fmt::format("<figure>\n<figcaption>{}{}</figcaption>\n{}</figure>\n", escape(caption),
                     legend, svg.svg());
}

// What the epochs were judged by.
std::string judged_by(const Making& made) {
  return made.labelled ? "validation accuracy" : "validation SQNR (dB)";
}

std::string table_of(const Findings& findings, const Making& made) {
  HtmlTable table("Epochs of " + findings.label(made.to), {{"epoch"},
                                                           {"training loss", true},
                                                           {"validation loss", true},
                                                           {judged_by(made), true},
                                                           {"learning rate", true}});
  for (size_t i = 0; i < made.epochs.size(); ++i) {
    const Epoch& epoch = made.epochs[i];
    const bool best = static_cast<int64_t>(i + 1) == made.best_epoch;
    table.add_row({{fmt::format("{}{}", i + 1, best ? " (best)" : "")},
                   {fmt::format("{:.4f}", epoch.train_loss)},
                   {fmt::format("{:.4f}", epoch.validation_loss)},
                   {made.labelled ? format_percent(epoch.validation_accuracy)
                                  : fmt::format("{:.2f}", epoch.validation_sqnr_db)},
                   {fmt::format("{:.2g}", epoch.learning_rate)}});
  }
  return folded("All epochs as a table", table.html());
}

std::string title_of(const Findings& findings, const Making& made) {
  const std::string& to = findings.label(made.to);
  if (made.verb == "train") return "From scratch: " + to;
  const std::string& from = findings.label(made.from);
  return fmt::format("{}: {} to {}",
                     made.verb == "qat" ? "With quantization in the loop" : "Fine-tuning", from,
                     to);
}

}  // namespace

std::string training_section(const Findings& findings) {
  std::string html;
  int drawn = 0;
  for (const Making& made : findings.makings) {
    if (made.epochs.empty()) continue;
    Series training{"training", "k0", {}}, validation{"validation", "k1", {}},
        judged{judged_by(made), "k1", {}};
    for (const Epoch& epoch : made.epochs) {
      training.values.push_back(epoch.train_loss);
      validation.values.push_back(epoch.validation_loss);
      judged.values.push_back(made.labelled ? epoch.validation_accuracy * 100
                                            : epoch.validation_sqnr_db);
    }
    ++drawn;
    html += fmt::format("<h3>{}</h3>\n", escape(title_of(findings, made)));
    html += "<div class=\"charts\">\n" +
            figure(fmt::format("accuracy-{}", drawn),
                   fmt::format("{} on {} validation samples",
                               made.labelled ? "Accuracy" : "SQNR against the float model",
                               made.epochs.front().validation_samples),
                   made.labelled ? "accuracy (%)" : "SQNR (dB)", {judged}, made.best_epoch) +
            figure(fmt::format("loss-{}", drawn), "Loss", "loss", {training, validation}, 0) +
            "</div>\n" + table_of(findings, made);
  }
  return html;
}

}  // namespace nibble::page
