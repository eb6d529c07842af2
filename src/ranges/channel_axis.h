// Along which axis the channels of a value lie.
#pragma once

#include <map>
#include <vector>

#include "nibble/graph.h"

namespace nibble {

class ChannelAxes {
 public:
  /// `graph` must outlive it.
  explicit ChannelAxes(const Graph& graph);

  /// The axis of a value of `rank` dimensions along which its readers tell channels apart: 1 before
  /// a convolution or pooling, the last before a matrix product, those behind a Transpose or
  /// elementwise operators seen through. If nobody who reads it says so, its producer does. -1:
  /// nothing is known.
  int of(ValueId value, int rank) const;

 private:
  int by_readers(ValueId value, int rank, int depth) const;
  int by_producer(ValueId value, int rank, int depth) const;

  const Graph& graph_;
  std::map<ValueId, std::vector<NodeId>> readers_;
  std::map<ValueId, NodeId> producer_;
};

}  // namespace nibble
