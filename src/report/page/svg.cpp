#include "report/page/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "report/page/html.h"

namespace nibble::page {
namespace {

// Two digits, without the zeros at the end.
std::string number(double value) {
  if (!std::isfinite(value)) value = 0;
  std::string text = fmt::format("{:.2f}", value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string close(std::string_view tag, std::string_view tip) {
  if (tip.empty()) return "/>\n";
  return fmt::format("><title>{}</title></{}>\n", escape(tip), tag);
}

constexpr std::string_view kAnchors[] = {"start", "middle", "end"};

}  // namespace

Svg::Svg(std::string id, double width, double height, std::string title, std::string description)
    : id_(std::move(id)),
      width_(width),
      height_(height),
      title_(std::move(title)),
      description_(std::move(description)) {}

void Svg::line(Point from, Point to, std::string_view style) {
  body_ += fmt::format(R"(<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}"/>)"
                       "\n",
                       number(from.x), number(from.y), number(to.x), number(to.y), style);
}

void Svg::rect(Point corner, double width, double height, std::string_view style,
               std::string_view tip) {
  body_ += fmt::format(R"(<rect x="{}" y="{}" width="{}" height="{}" class="{}")", number(corner.x),
                       number(corner.y), number(std::max(0.0, width)),
                       number(std::max(0.0, height)), style);
  body_ += close("rect", tip);
}

void Svg::circle(Point centre, double radius, std::string_view style, std::string_view tip) {
  body_ += fmt::format(R"(<circle cx="{}" cy="{}" r="{}" class="{}")", number(centre.x),
                       number(centre.y), number(radius), style);
  body_ += close("circle", tip);
}

void Svg::text(Point at, std::string_view text, std::string_view style, Anchor anchor) {
  body_ += fmt::format(R"(<text x="{}" y="{}" text-anchor="{}"{}>{}</text>)"
                       "\n",
                       number(at.x), number(at.y), kAnchors[static_cast<size_t>(anchor)],
                       style.empty() ? "" : fmt::format(" class=\"{}\"", style), escape(text));
}

void Svg::curve(std::span<const Point> points, std::string_view style, bool closed) {
  if (points.empty()) return;
  std::string path;
  for (const Point& point : points) {
    path += fmt::format("{}{} {}", path.empty() ? "M" : "L", number(point.x), number(point.y));
  }
  body_ += fmt::format(R"(<path d="{}{}" class="{}"/>)"
                       "\n",
                       path, closed ? "Z" : "", style);
}

std::string Svg::svg() const {
  return fmt::format(
      "<svg viewBox=\"0 0 {1} {2}\" role=\"img\" aria-labelledby=\"{0}-t {0}-d\" "
      "xmlns=\"http://www.w3.org/2000/svg\">\n<title id=\"{0}-t\">{3}</title>\n<desc "
      "id=\"{0}-d\">{4}</desc>\n{5}</svg>\n",
      id_, number(width_), number(height_), escape(title_), escape(description_), body_);
}

double Axis::at(double value) const {
  const auto position = [&](double v) { return logarithmic ? std::log(v) : v; };
  const double share = (position(value) - position(low)) / (position(high) - position(low));
  return from + share * (to - from);
}

namespace {

// 1, 2 or 5 times a power of ten, so that about `wanted` steps make `width`.
double round_step(double width, int wanted) {
  const double raw = width / std::max(1, wanted);
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw * 0.999) return factor * power;
  }
  return 10 * power;
}

std::vector<double> even_ticks(double low, double high, double step) {
  std::vector<double> ticks;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) {
    ticks.push_back(i == 0 ? 0.0 : i * step);
  }
  return ticks;
}

}  // namespace

std::vector<double> Axis::ticks(int wanted) const {
  if (!logarithmic || high / low < 2) return even_ticks(low, high, round_step(high - low, wanted));
  // The coarsest of these that has three, and not many more than wanted.
  static const std::vector<double> kFactors[] = {{1}, {1, 3}, {1, 2, 5}, {1, 1.5, 2, 3, 5, 7}};
  std::vector<double> ticks;
  for (const std::vector<double>& factors : kFactors) {
    std::vector<double> finer;
    for (double power = std::pow(10.0, std::floor(std::log10(low))); power <= high; power *= 10) {
      for (const double factor : factors) {
        const double tick = factor * power;
        if (tick >= low * 0.999 && tick <= high * 1.001) finer.push_back(tick);
      }
    }
    if (ticks.size() >= 2 && static_cast<int>(finer.size()) > wanted + 1) break;
    ticks = std::move(finer);
    if (ticks.size() >= 3) break;
  }
  return ticks.size() >= 2 ? ticks : even_ticks(low, high, round_step(high - low, wanted));
}

Axis axis_over(double low, double high, double from, double to, bool logarithmic) {
  if (logarithmic) {
    const double room = std::max(1.12, std::pow(high / low, 0.06));
    return {low / room, high * room, from, to, true};
  }
  double room = (high - low) * 0.06;
  if (!(room > 0)) room = std::max(std::abs(high) * 0.05, 1e-6);
  return {low - room, high + room, from, to, false};
}

void draw_axes(Svg& svg, const Axis& x, const Axis& y, const AxisText& x_text,
               const AxisText& y_text) {
  for (const double tick : y.ticks(y_text.ticks)) {
    svg.line({x.from, y.at(tick)}, {x.to, y.at(tick)}, "grid");
    svg.text({x.from - 6, y.at(tick) + 4}, y_text.format(tick), "tick", Anchor::end);
  }
  for (const double tick : x.ticks(x_text.ticks)) {
    svg.line({x.at(tick), y.from}, {x.at(tick), y.to}, "grid");
    svg.text({x.at(tick), y.from + 16}, x_text.format(tick), "tick", Anchor::middle);
  }
  svg.line({x.from, y.from}, {x.to, y.from}, "axis");
  svg.line({x.from, y.from}, {x.from, y.to}, "axis");
  svg.text({(x.from + x.to) / 2, y.from + 34}, x_text.title, "title", Anchor::middle);
  svg.text({4, y.to - 10}, y_text.title, "title", Anchor::start);
}

}  // namespace nibble::page
