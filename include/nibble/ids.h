// How a graph's values and nodes are named within it. Ids stay valid as long as the graph lives.
#pragma once

#include <compare>
#include <cstdint>

#pragma GCC visibility push(default)
namespace nibble {

struct ValueId {
  int32_t index = -1;  // -1: no value (an optional input left out)
  explicit operator bool() const { return index >= 0; }
  auto operator<=>(const ValueId&) const = default;
};

struct NodeId {
  int32_t index = -1;
  explicit operator bool() const { return index >= 0; }
  auto operator<=>(const NodeId&) const = default;
};

}  // namespace nibble
#pragma GCC visibility pop
