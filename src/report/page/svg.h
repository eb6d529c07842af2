// Plain SVG, written element by element. Colours come from the page's style sheet by class.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nibble::page {

struct Point {
  double x = 0;
  double y = 0;
};

enum class Anchor { start, middle, end };

/// A picture with a title and a description, which screen readers tell in its place. Numbers are
/// written with two digits behind the point; names and titles are escaped.
class Svg {
 public:
  /// `id` is unique on the page.
  Svg(std::string id, double width, double height, std::string title, std::string description);

  void line(Point from, Point to, std::string_view style);
  void rect(Point corner, double width, double height, std::string_view style,
            std::string_view tip = "");
  void circle(Point centre, double radius, std::string_view style, std::string_view tip = "");
  void text(Point at, std::string_view text, std::string_view style = "",
            Anchor anchor = Anchor::start);
  /// Through the points; closed: the area that they surround.
  void curve(std::span<const Point> points, std::string_view style, bool closed = false);
  std::string svg() const;

  double width() const { return width_; }
  double height() const { return height_; }

 private:
  std::string id_;
  double width_, height_;
  std::string title_, description_;
  std::string body_;
};

/// One axis of a chart: values to coordinates.
struct Axis {
  double low = 0, high = 1;  // values; above 0 if logarithmic
  double from = 0, to = 1;   // coordinates
  bool logarithmic = false;

  double at(double value) const;
  /// Round numbers within [low, high], about `wanted` of them; at least the ends of the range.
  std::vector<double> ticks(int wanted) const;
};

/// The axis for values from `low` to `high`, a little wider, and never of no width.
Axis axis_over(double low, double high, double from, double to, bool logarithmic = false);

/// What one says of an axis.
struct AxisText {
  std::string title;
  std::function<std::string(double)> format;
  int ticks = 5;
};
/// Grid, ticks and titles; x along the bottom.
void draw_axes(Svg& svg, const Axis& x, const Axis& y, const AxisText& x_text,
               const AxisText& y_text);

}  // namespace nibble::page
