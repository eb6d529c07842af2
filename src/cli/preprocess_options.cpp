// How images become inputs: the flags, laid over what a file says.
#include <tuple>

#include "base/check.h"
#include "base/file.h"
#include "cli/command.h"

namespace nibble::cli {
namespace {

// "S" or "HxW": height and width.
std::pair<int, int> parse_size(const std::string& text, std::string_view flag) {
  const std::vector<int64_t> extents = parse_extents(text, flag);
  if (extents.size() > 2) {
    fail(ErrorCode::invalid_argument, "{} {}: expected one extent, or HxW", flag, text);
  }
  return {static_cast<int>(extents.front()), static_cast<int>(extents.back())};
}

}  // namespace

void PreprocessOptions::declare(CLI::App& app) {
  const std::string group = "Preprocessing (default: what the model file stores)";
  app.add_option("--preprocess", file, "JSON file with the fields below")
      ->type_name("FILE")
      ->group(group);
  app.add_option("--resize", resize, "S: shorter side to S pixels; HxW: to exactly that")
      ->type_name("S|HxW")
      ->group(group);
  app.add_option("--letterbox", letterbox,
                 "HxW: to that size, keeping the aspect ratio; the rest is padded")
      ->type_name("HxW")
      ->group(group);
  add_option(app,
             {.flag = "--pad-value",
              .help = "The byte that --letterbox pads with; default 114",
              .least = 0,
              .most = 255},
             pad_value, group);
  app.add_option("--crop", crop, "S or HxW: centre crop")->type_name("S|HxW")->group(group);
  add_option(app,
             {.flag = "--color",
              .help = "Order of the input channels",
              .choices = {{"rgb"}, {"bgr"}, {"grey"}}},
             color, group);
  add_option(app,
             {.flag = "--layout",
              .help = "Order of the input's dimensions; default: the model's",
              .choices = {{"chw"}, {"hwc"}}},
             layout, group);
  add_option(
      app,
      {.flag = "--scale",
       .help = "x = (byte * scale - mean) / std; default 1/255, or 1 for a model that takes bytes",
       .above = 0},
      scale, group);
  add_numbers(app, {.flag = "--mean", .help = "One number per channel (0.485,0.456,0.406)"}, mean,
              group);
  add_numbers(app,
              {.flag = "--std", .help = "One number per channel (0.229,0.224,0.225)", .above = 0},
              std, group);
}

bool PreprocessOptions::given() const {
  return !file.empty() || !resize.empty() || !letterbox.empty() || pad_value || !layout.empty() ||
         !crop.empty() || !color.empty() || scale || !mean.empty() || !std.empty();
}

Preprocess PreprocessOptions::over(Preprocess result) const {
  if (!file.empty()) {
    result = with_context([&] { return "reading " + file; },
                          [&] { return preprocess_from_json(read_file(file)); });
  }
  if (!resize.empty()) {
    const auto [height, width] = parse_size(resize, "--resize");
    const bool exact = resize.find_first_of("x,") != std::string::npos;
    result.resize_shorter = exact ? 0 : height;
    result.resize_height = exact ? height : 0;
    result.resize_width = exact ? width : 0;
    result.letterbox = false;
  }
  if (!letterbox.empty()) {
    const auto [height, width] = parse_size(letterbox, "--letterbox");
    result.letterbox = true;
    result.resize_shorter = 0;
    result.resize_height = height;
    result.resize_width = width;
    result.crop_height = result.crop_width = 0;
  }
  if (pad_value) result.pad_value = *pad_value;
  if (layout == "chw") result.layout = Preprocess::Layout::chw;
  if (layout == "hwc") result.layout = Preprocess::Layout::hwc;
  if (!crop.empty()) {
    std::tie(result.crop_height, result.crop_width) = parse_size(crop, "--crop");
  }
  if (color == "rgb") result.color = Preprocess::Color::rgb;
  if (color == "bgr") result.color = Preprocess::Color::bgr;
  if (color == "grey") result.color = Preprocess::Color::grey;
  if (scale) result.scale = *scale;
  if (!mean.empty()) result.mean = mean;
  if (!std.empty()) result.std = std;
  return result;
}

}  // namespace nibble::cli
