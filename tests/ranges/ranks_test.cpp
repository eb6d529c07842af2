// Ranges measured by several ranks are those that one measures, byte for byte.
#include <gtest/gtest.h>

#include <limits>
#include <mutex>

#include "nibble/ranges.h"
#include "passes/pass.h"
#include "support/networks.h"
#include "support/rank_threads.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::NetworkBuilder;
using testing::on_rank_threads;
using testing::Synthetic;
using testing::Unlabelled;

void expect_same_on_ranks(const Graph& graph, const Dataset& data, AnalyzeOptions options) {
  options.threads = 2;
  const std::string alone = to_json(analyze(graph, data, options));
  for (const int size : {2, 3, 4, 7}) {
    std::mutex mutex;
    on_rank_threads(size, [&](Ranks& ranks) {
      AnalyzeOptions mine = options;
      mine.threads = 1 + ranks.rank() % 2;
      mine.ranks = &ranks;
      const std::string report = to_json(analyze(graph, data, mine));
      const std::lock_guard lock(mutex);
      EXPECT_EQ(report, alone) << "rank " << ranks.rank() << " of " << size;
    });
  }
}

// Convolution and matrix: channels along axis 1, with and without something behind them.
Graph network() {
  NetworkBuilder net({-1, 3, 8, 8}, 3);
  const ValueId h = net.relu("h", net.conv("c1", net.last, 3, 5));
  const ValueId mean = net.add({.op = "GlobalAveragePool", .name = "mean", .inputs = {h}});
  const ValueId flat = net.add({.op = "Flatten", .name = "flat", .inputs = {mean}});
  const ValueId w = net.constant("w", net.normal({5, 4}, 1));
  net.graph.outputs = {net.add({.op = "MatMul", .name = "y", .inputs = {flat, w}})};
  infer_types(net.graph);
  return net.graph;
}

TEST(analyze_on_ranks, is_what_one_rank_measures) {
  const Synthetic data(101, {3, 8, 8});
  for (const int batch : {1, 7, 32}) {
    expect_same_on_ranks(network(), data, {.batch = batch, .predict_errors = batch == 7});
  }
}

TEST(analyze_on_ranks, fewer_samples_than_ranks_will_do) {
  const Synthetic data(3, {3, 8, 8});
  expect_same_on_ranks(network(), data, {.batch = 2, .predict_errors = false});
}

TEST(analyze_on_ranks, a_value_that_is_not_finite_is_told_of_its_first_sample) {
  for (const int64_t bad : {0, 9, 33}) {
    const Unlabelled data(40, {{.name = "", .shape = {3, 8, 8}}}, [=](int64_t i) {
      Tensor x = testing::random_tensor({3, 8, 8}, static_cast<uint64_t>(i));
      if (i == bad || i == 36) x.data<float>()[5] = std::numeric_limits<float>::infinity();
      return std::vector<Tensor>{x};
    });
    expect_same_on_ranks(network(), data, {.batch = 4, .predict_errors = false});
    const RangeReport report = analyze(network(), data, {.batch = 4});
    EXPECT_EQ(report.tensors[0].unusable,
              "it is infinite for sample " + std::to_string(bad) + " of the data set");
  }
}

TEST(analyze_on_ranks, samples_of_different_lengths_are_put_together) {
  NetworkBuilder net({-1, -1, 4}, 5);
  const ValueId w = net.constant("w", net.normal({4, 6}, 1));
  net.graph.outputs = {
      net.relu("h", net.add({.op = "MatMul", .name = "fc", .inputs = {net.last, w}}))};
  infer_types(net.graph);
  const Unlabelled data(23, {{.name = "", .shape = {-1, 4}}}, [](int64_t i) {
    return std::vector<Tensor>{
        testing::random_tensor({1 + i * 5 % 7, 4}, static_cast<uint64_t>(i))};
  });
  expect_same_on_ranks(net.graph, data, {.batch = 4, .predict_errors = false});
}

TEST(analyze_on_ranks, samples_that_say_nothing_are_told_of_all_of_them) {
  for (const int64_t same : {20, 12, 0}) {  // the first so many
    const Unlabelled data(20, {{.name = "", .shape = {3, 8, 8}}}, [=](int64_t i) {
      return std::vector<Tensor>{
          testing::random_tensor({3, 8, 8}, i < same ? 0 : static_cast<uint64_t>(i))};
    });
    expect_same_on_ranks(network(), data, {.batch = 4, .predict_errors = false});
  }
}

// x [1,4] and state [1,6] -> "y" [1,3]: next = tanh(x W + state R), y = next V.
Graph with_state() {
  NetworkBuilder net({1, 4}, 7);
  const ValueId state = net.value("state", {1, 6});
  net.graph.inputs.push_back(state);
  const ValueId w = net.constant("w", net.normal({4, 6}, 0.6));
  const ValueId r = net.constant("r", net.normal({6, 6}, 0.4));
  const ValueId xw = net.add({.op = "MatMul", .name = "xw", .inputs = {net.graph.inputs[0], w}});
  const ValueId sr = net.add({.op = "MatMul", .name = "sr", .inputs = {state, r}});
  const ValueId sum = net.add({.op = "Add", .name = "sum", .inputs = {xw, sr}});
  const ValueId next = net.add({.op = "Tanh", .name = "next", .inputs = {sum}});
  const ValueId v = net.constant("v", net.normal({6, 3}, 0.6));
  const ValueId y = net.add({.op = "MatMul", .name = "y", .inputs = {next, v}});
  net.graph.outputs = {y, next};
  infer_types(net.graph);
  store_carry(net.graph, {{"state", "next"}});
  return net.graph;
}

TEST(analyze_on_ranks, sequences_are_not_torn_apart) {
  for (const int64_t length : {7, 10, 1000}) {
    Unlabelled data(45, {{.name = "x", .shape = {4}}}, [](int64_t i) {
      return std::vector<Tensor>{testing::random_tensor({4}, static_cast<uint64_t>(i))};
    });
    data.sequence = length;
    expect_same_on_ranks(with_state(), data, {.predict_errors = false});
  }
}

}  // namespace
}  // namespace nibble
