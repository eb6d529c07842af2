// Preprocess as JSON and in a model's metadata.
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "nibble/data.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kMetadataKey = "nibble.preprocess";
constexpr int kMaxExtent = 1 << 15;

struct ColorName {
  Preprocess::Color color;
  std::string_view name;
};
constexpr ColorName kColors[] = {{Preprocess::Color::rgb, "rgb"},
                                 {Preprocess::Color::bgr, "bgr"},
                                 {Preprocess::Color::grey, "grey"}};

struct LayoutName {
  Preprocess::Layout layout;
  std::string_view name;
};
constexpr LayoutName kLayouts[] = {{Preprocess::Layout::chw, "chw"},
                                   {Preprocess::Layout::hwc, "hwc"}};

struct ExtentKey {
  std::string_view key;
  int Preprocess::*field;
};
constexpr ExtentKey kExtents[] = {{"resize_shorter", &Preprocess::resize_shorter},
                                  {"resize_height", &Preprocess::resize_height},
                                  {"resize_width", &Preprocess::resize_width},
                                  {"crop_height", &Preprocess::crop_height},
                                  {"crop_width", &Preprocess::crop_width}};

[[noreturn]] void wrong(std::string_view key, const Json& value, std::string_view expected) {
  fail(ErrorCode::invalid_argument, "preprocess: '{}' is {}, expected {}", key, value.dump(),
       expected);
}

float finite(std::string_view key, const Json& value) {
  if (!value.is_number()) wrong(key, value, "a number");
  const float number = value.get<float>();
  if (!std::isfinite(number)) wrong(key, value, "a finite number");
  return number;
}

std::vector<float> finite_list(std::string_view key, const Json& value) {
  if (!value.is_array() || (value.size() != 1 && value.size() != 3 && !value.empty())) {
    wrong(key, value, "a list of one number per channel");
  }
  std::vector<float> numbers;
  for (const Json& entry : value) numbers.push_back(finite(key, entry));
  return numbers;
}

void set_field(Preprocess& preprocess, const std::string& key, const Json& value) {
  for (const ExtentKey& extent : kExtents) {
    if (key != extent.key) continue;
    if (!value.is_number_integer() || value < 0 || value > kMaxExtent) {
      wrong(key, value, "a number of pixels");
    }
    preprocess.*extent.field = value.get<int>();
    return;
  }
  if (key == "color") {
    for (const ColorName& row : kColors) {
      if (value == row.name) return static_cast<void>(preprocess.color = row.color);
    }
    wrong(key, value, "\"rgb\", \"bgr\" or \"grey\"");
  } else if (key == "layout") {
    for (const LayoutName& row : kLayouts) {
      if (value == row.name) return static_cast<void>(preprocess.layout = row.layout);
    }
    wrong(key, value, "\"chw\" or \"hwc\"");
  } else if (key == "letterbox") {
    if (!value.is_boolean()) wrong(key, value, "true or false");
    preprocess.letterbox = value.get<bool>();
  } else if (key == "pad_value") {
    if (!value.is_number_integer() || value < 0 || value > 255) wrong(key, value, "a byte");
    preprocess.pad_value = value.get<int>();
  } else if (key == "scale") {
    preprocess.scale = finite(key, value);
  } else if (key == "mean") {
    preprocess.mean = finite_list(key, value);
  } else if (key == "std") {
    preprocess.std = finite_list(key, value);
    for (float number : preprocess.std) {
      if (!(number > 0)) wrong(key, value, "positive numbers");
    }
  } else {
    fail(ErrorCode::invalid_argument,
         "preprocess: unknown key '{}'; known are color, resize_shorter, resize_height, "
         "resize_width, letterbox, pad_value, crop_height, crop_width, scale, mean, std, layout",
         key);
  }
}

// A float as the shortest decimal that reads back as the same float (as a double it would print 17
// digits).
Json shortest(float value) { return Json::parse(fmt::format("{}", value)); }

}  // namespace

std::string to_json(const Preprocess& preprocess) {
  Json json;
  for (const ColorName& row : kColors) {
    if (row.color == preprocess.color) json["color"] = row.name;
  }
  for (const ExtentKey& extent : kExtents) {
    if (preprocess.*extent.field != 0) json[std::string(extent.key)] = preprocess.*extent.field;
  }
  if (preprocess.letterbox) {
    json["letterbox"] = true;
    json["pad_value"] = preprocess.pad_value;
  }
  json["scale"] = shortest(preprocess.scale);
  for (float value : preprocess.mean) json["mean"].push_back(shortest(value));
  for (float value : preprocess.std) json["std"].push_back(shortest(value));
  if (preprocess.layout == Preprocess::Layout::hwc) json["layout"] = "hwc";
  return json.dump();
}

Preprocess preprocess_from_json(std::string_view json) {
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) {
    fail(ErrorCode::invalid_argument, "preprocess: not a JSON object: {}", json.substr(0, 80));
  }
  Preprocess preprocess;
  for (const auto& [key, value] : parsed.items()) set_field(preprocess, key, value);
  if ((preprocess.resize_height > 0) != (preprocess.resize_width > 0)) {
    fail(ErrorCode::invalid_argument, "preprocess: resize_height and resize_width go together");
  }
  if ((preprocess.crop_height > 0) != (preprocess.crop_width > 0)) {
    fail(ErrorCode::invalid_argument, "preprocess: crop_height and crop_width go together");
  }
  if (preprocess.letterbox && (preprocess.resize_height <= 0 || preprocess.crop_height > 0)) {
    fail(ErrorCode::invalid_argument,
         "preprocess: a letterbox needs resize_height and resize_width, and no crop");
  }
  return preprocess;
}

std::optional<Preprocess> stored_preprocess(const Graph& graph) {
  const auto entry = graph.metadata.find(kMetadataKey);
  if (entry == graph.metadata.end()) return std::nullopt;
  return with_context([] { return std::string("metadata nibble.preprocess"); },
                      [&] { return preprocess_from_json(entry->second); });
}

void store_preprocess(Graph& graph, const Preprocess& preprocess) {
  graph.metadata[kMetadataKey] = to_json(preprocess);
}

}  // namespace nibble
