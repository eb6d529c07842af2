#include "ops/pooling/pool_windows.h"

namespace nibble {

PoolProblem pool_problem(const Node& node, const Shape& data) {
  const bool channels_last = node.channels_last;
  const SpatialShape x(data, channels_last);
  PoolProblem problem;
  problem.window =
      make_window(node.attributes, x.spatial(), {}, node.attributes.integer("ceil_mode", 0) != 0);
  const std::span<const int64_t> out(problem.window.output.data(), static_cast<size_t>(x.rank));
  problem.output = spatial_shape(x.batch, x.channels, out, channels_last);
  problem.planes = channels_last ? x.batch : x.batch * x.channels;
  problem.lane = channels_last ? x.channels : 1;
  problem.in_positions = x.positions();
  problem.out_positions = 1;
  for (int64_t extent : out) problem.out_positions *= extent;
  problem.count_include_pad = node.attributes.integer("count_include_pad", 0) != 0;
  problem.column_major = node.attributes.integer("storage_order", 0) != 0;
  return problem;
}

PoolProblem global_problem(const Node& node, const Shape& data) {
  const SpatialShape x(data, node.channels_last);
  PoolProblem problem;
  problem.window.rank = 1;
  problem.window.input[0] = problem.window.kernel[0] = problem.in_positions = x.positions();
  problem.out_positions = 1;
  const std::vector<int64_t> ones(static_cast<size_t>(x.rank), 1);
  problem.output = spatial_shape(x.batch, x.channels, ones, node.channels_last);
  problem.planes = node.channels_last ? x.batch : x.batch * x.channels;
  problem.lane = node.channels_last ? x.channels : 1;
  return problem;
}

}  // namespace nibble
