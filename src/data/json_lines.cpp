// JSON lines: a sample per line, an object of arrays ({"input_ids": [...], "label": 1}) or an array
// for the only input. Strings (the text that tokens were made of) are passed over.
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "data/bytes.h"
#include "data/records.h"
#include "data/source.h"

namespace nibble {
namespace {

using Json = nlohmann::json;

// Numbers of arrays within arrays, in order, and the shape they make.
class Reader {
 public:
  explicit Reader(const Json& value) {
    for (const Json* at = &value; at->is_array(); at = &at->front()) {
      shape_.push_back(static_cast<int64_t>(at->size()));
      if (at->empty()) break;
    }
    gather(value, 0);
  }
  Tensor tensor() const {
    if (!real_) {
      std::vector<int64_t> integers;
      for (const Json* number : numbers_) integers.push_back(number->get<int64_t>());
      return Tensor::of<int64_t>(shape_, integers);
    }
    std::vector<float> reals;
    for (const Json* number : numbers_) reals.push_back(number->get<float>());
    return Tensor::of<float>(shape_, reals);
  }

 private:
  void gather(const Json& value, int axis) {
    if (axis == shape_.rank()) {
      if (!value.is_number()) {
        fail(ErrorCode::invalid_data, "'{}' where a number is expected",
             value.dump().substr(0, 40));
      }
      real_ = real_ || value.is_number_float() ||
              (value.is_number_unsigned() && value.get<uint64_t>() > INT64_MAX);
      numbers_.push_back(&value);
      return;
    }
    if (!value.is_array() || static_cast<int64_t>(value.size()) != shape_[axis]) {
      fail(ErrorCode::invalid_data, "the arrays in it differ in length");
    }
    for (const Json& entry : value) gather(entry, axis + 1);
  }

  Shape shape_;
  std::vector<const Json*> numbers_;
  bool real_ = false;
};

RecordEntry entry_of(const std::string& array, const Json& value, const DataOptions& options) {
  const Tensor tensor =
      with_context([&] { return array.empty() ? "the array" : "'" + array + "'"; },
                   [&] { return Reader(value).tensor(); });
  const ArrayRole role = array.empty() ? ArrayRole{} : role_of(array, options);
  return {array, role, tensor.dtype(), tensor.shape(), tensor};
}

Record parse_line(std::string_view line, const DataOptions& options) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  Record record;
  if (json.is_array()) {
    record.push_back(entry_of("", json, options));
  } else if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      if (value.is_string() && role_of(key, options).kind == ArrayRole::Kind::label) {
        fail(ErrorCode::invalid_data, "'{}' is {}, a label is one integer", key, value.dump());
      }
      if (!value.is_string()) record.push_back(entry_of(key, value, options));
    }
  } else {
    fail(ErrorCode::invalid_data, "neither a JSON object nor an array: {}", line.substr(0, 60));
  }
  return record;
}

struct Line {
  size_t begin = 0;
  size_t size = 0;
  int64_t number = 0;  // counted from one
};

std::vector<Line> lines_of(std::string_view text) {
  std::vector<Line> lines;
  int64_t number = 0;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    ++number;
    const std::string_view line = text.substr(begin, end - begin);
    if (line.find_first_not_of(" \t\r") != std::string_view::npos) {
      lines.push_back({begin, line.size(), number});
    }
    begin = end + 1;
  }
  return lines;
}

std::shared_ptr<const Dataset> open_lines(const std::string& path, const std::string& name,
                                          const DataOptions& options) {
  const Bytes bytes = Bytes::map(path);
  const auto text = [bytes] {
    return std::string_view(reinterpret_cast<const char*>(bytes.view().data()), bytes.size());
  };
  const auto lines = std::make_shared<const std::vector<Line>>(lines_of(text()));
  const auto place = [path, lines](int64_t index) {
    return fmt::format("{} line {}", path, (*lines)[static_cast<size_t>(index)].number);
  };
  const auto read = [=](int64_t index) {
    const Line& line = (*lines)[static_cast<size_t>(index)];
    return with_context([&] { return place(index); },
                        [&] { return parse_line(text().substr(line.begin, line.size), options); });
  };
  if (lines->empty()) fail(ErrorCode::invalid_data, "{}: the file is empty", path);
  return open_records({.name = name,
                       .samples = static_cast<int64_t>(lines->size()),
                       .place = place,
                       .read = read,
                       .types = read});
}

}  // namespace

std::optional<Source> find_json_lines(const std::string& spec, const DataOptions& options) {
  if (!spec.ends_with(".jsonl") && !spec.ends_with(".ndjson")) return std::nullopt;
  Source source{.name = source_name(spec), .whole = true};
  source.parts[Split::train] = [=, name = source.name] { return open_lines(spec, name, options); };
  return source;
}

}  // namespace nibble
