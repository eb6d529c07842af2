// The attributes of a node.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "nibble/tensor.h"

#pragma GCC visibility push(default)
namespace nibble {

class Graph;

/// An attribute kind Nibble does not interpret; kept as serialized ONNX AttributeProto and written
/// back as it was.
struct OpaqueAttribute {
  std::string bytes;
};

using Attribute = std::variant<int64_t, float, std::string, Tensor, std::shared_ptr<const Graph>,
                               std::vector<int64_t>, std::vector<float>, std::vector<std::string>,
                               OpaqueAttribute>;

/// Named attributes in file order.
class Attributes {
 public:
  const Attribute* find(std::string_view name) const;
  void set(std::string_view name, Attribute value);
  void erase(std::string_view name);
  bool has(std::string_view name) const { return find(name) != nullptr; }

  /// The attribute, or `fallback` if it is absent. Throws Error{invalid_model} if it has another
  /// type.
  int64_t integer(std::string_view name, int64_t fallback) const;
  float real(std::string_view name, float fallback) const;
  std::string text(std::string_view name, std::string_view fallback) const;
  std::vector<int64_t> integers(std::string_view name, std::vector<int64_t> fallback = {}) const;
  std::vector<float> reals(std::string_view name, std::vector<float> fallback = {}) const;
  /// The attribute, which must be there: else Error{invalid_model}.
  int64_t required_integer(std::string_view name) const;

  auto begin() const { return items_.begin(); }
  auto end() const { return items_.end(); }
  bool empty() const { return items_.empty(); }

 private:
  std::vector<std::pair<std::string, Attribute>> items_;
};

}  // namespace nibble
#pragma GCC visibility pop
