// The checks of `nibble check`: one row each, in the files of this folder.
#pragma once

#include <fmt/format.h>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/graph.h"
#include "nibble/target.h"

namespace nibble {

/// One thing that is wrong with a model, or slower or less exact than it need be.
struct Finding {
  std::string_view check;  // its row
  std::string where;       // a node or a value, with the path of its body
  std::string sentence;    // names it too, and says what to do
};

/// One graph of a model, as its rows see it.
struct CheckedGraph {
  const Graph& graph;
  std::string path;  // of the body: stands before names
  const Target& target;
  bool quantized = false;  // some layer of the model is

  std::string name(const Node& node) const { return path + node.name; }
  std::string name(ValueId value) const { return path + graph.value(value).name; }
};

/// Where a check leaves what it finds.
struct Findings {
  template <typename... Args>
  void add(std::string where, fmt::format_string<Args...> format, Args&&... args) {
    list.push_back({row, std::move(where), fmt::format(format, std::forward<Args>(args)...)});
  }
  std::string_view row;
  std::vector<Finding> list;
};

struct CheckRow {
  std::string_view name;     // "saturating-pairs"
  std::string_view summary;  // what is right, for help and documents
  void (*run)(const CheckedGraph& checked, Findings& findings) = nullptr;
};

// weights.cpp
extern const CheckRow kSaturatingPairs, kWeightAxis, kWeightZeroPoint, kWeightBits;
// layers.cpp
extern const CheckRow kFloatLayer, kBiasScale, kBiasType;
// grids.cpp
extern const CheckRow kTypes, kOpset, kLoneNodes, kMovedCodes, kConcatenation;

/// In the order in which they are told.
inline std::span<const CheckRow* const> check_rows() {
  static constexpr std::array rows = {
      &kTypes,    &kOpset,     &kLoneNodes,       &kWeightBits, &kWeightAxis, &kWeightZeroPoint,
      &kBiasType, &kBiasScale, &kSaturatingPairs, &kFloatLayer, &kMovedCodes, &kConcatenation,
  };
  return rows;
}

}  // namespace nibble
