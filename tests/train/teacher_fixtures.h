// Networks and samples for learning from a teacher: any inputs, no labels.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "nibble/measure.h"
#include "nibble/quantize.h"
#include "passes/pass.h"
#include "support/errors.h"
#include "support/networks.h"
#include "support/synthetic_data.h"
#include "train/fixtures.h"

namespace nibble::testing {

/// One field of normal values; other samples for another seed.
inline Unlabelled normal_samples(int64_t count, const Shape& shape, uint64_t seed,
                                 const std::string& name = "") {
  return {
      count, {{.name = name, .shape = shape}}, [=](int64_t i) {
        return std::vector<Tensor>{random_tensor(shape, seed * 1000 + static_cast<uint64_t>(i))};
      }};
}

/// Token ids below `tokens`; between 3 and `length` of them where `ragged`, else `length`.
inline Unlabelled token_samples(int64_t count, int64_t length, int64_t tokens, bool ragged,
                                uint64_t seed) {
  return {count,
          {{.name = "ids", .dtype = DType::i64, .shape = {ragged ? -1 : length}},
           {.name = "gain", .shape = {1}}},
          [=](int64_t i) {
            Random random(seed * 1000 + static_cast<uint64_t>(i));
            const int64_t own =
                ragged ? 3 + static_cast<int64_t>(random.below(static_cast<uint64_t>(length - 2)))
                       : length;
            Tensor ids(DType::i64, {own});
            for (int64_t& id : ids.data<int64_t>()) {
              id = static_cast<int64_t>(random.below(static_cast<uint64_t>(tokens)));
            }
            return std::vector<Tensor>{ids, random_tensor({1}, random, 0.1, 1)};
          }};
}

/// x [N,2,8,8] -> "a" [N,3] and "b" [N,4,8,8], which is in units a thousand times as small.
inline Graph two_outputs() {
  NetworkBuilder net({-1, 2, 8, 8}, 3);
  const ValueId h = net.relu("h", net.conv("c1", net.last, 2, 8));
  const ValueId mean = net.add({.op = "GlobalAveragePool", .name = "mean", .inputs = {h}});
  const ValueId flat = net.add({.op = "Flatten", .name = "flat", .inputs = {mean}});
  const ValueId w = net.constant("fc_w", net.normal({8, 3}, 1));
  const ValueId a = net.add({.op = "MatMul", .name = "a", .inputs = {flat, w}});
  const ValueId c2 = net.conv("c2", h, 8, 4);
  const ValueId unit = net.constant("unit", Tensor::scalar(0.001F));
  const ValueId b = net.add({.op = "Mul", .name = "b", .inputs = {c2, unit}});
  net.graph.outputs = {a, b};
  infer_types(net.graph);
  return net.graph;
}

/// ids i64[N,S] and gain [N,1] -> "y" [N,5]: a table, a layer, the mean over the tokens.
inline Graph of_tokens() {
  NetworkBuilder net({-1, 1}, 5);
  net.graph.value(net.graph.inputs[0]).name = "gain";
  const ValueId gain = net.graph.inputs[0];
  const ValueId ids = net.graph.add_value("ids", {.dtype = DType::i64, .shape = {-1, -1}});
  net.graph.inputs = {ids, gain};
  const ValueId table = net.constant("table", net.normal({20, 8}, 1));
  const ValueId rows = net.add({.op = "Gather", .name = "rows", .inputs = {table, ids}});
  const ValueId w = net.constant("w", net.normal({8, 16}, 0.35));
  const ValueId h = net.relu("h", net.add({.op = "MatMul", .name = "fc1", .inputs = {rows, w}}));
  const ValueId v = net.constant("v", net.normal({16, 5}, 0.25));
  const ValueId all = net.add({.op = "MatMul", .name = "fc2", .inputs = {h, v}});
  Node mean{.op = "ReduceMean",
            .name = "mean",
            .inputs = {all, net.constant("axes", Tensor::of<int64_t>({1}, {1}))}};
  mean.attributes.set("keepdims", int64_t{0});
  const ValueId pooled = net.add(std::move(mean));
  const ValueId y = net.add({.op = "Mul", .name = "y", .inputs = {pooled, gain}});
  net.graph.outputs = {y};
  infer_types(net.graph);
  return net.graph;
}

/// x [1,4] and state [1,6] -> "y" [1,3] and "next" [1,6]: next = tanh(x W + state R), y = next V.
inline Graph with_state() {
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

inline Graph quantized(const Graph& graph, const Dataset& data, LayerBits bits) {
  return quantize(graph, analyze(graph, data), {.fallback = bits, .layers = {}},
                  {.first_and_last_8bit = false});
}

/// With weights that are a quarter too small: what was badly quantized has much to learn.
inline Graph shrunk(Graph graph) {
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    Value& value = graph.value({i});
    if (!value.is_constant() || !value.type.quant || value.type.quant->storage == DType::i32) {
      continue;
    }
    Tensor reals = dequantize_tensor(value.data, *value.type.quant).clone();
    for (float& real : reals.data<float>()) real *= 0.75F;
    value.data = quantize_tensor(reals, *value.type.quant);
  }
  return graph;
}

/// SQNR in dB of each output against the float network's, run as integers.
inline std::vector<double> sqnr_of(const Graph& reference, const Graph& graph,
                                   const Dataset& data) {
  const std::vector<MeasuredModel> models = {{.name = "float", .graph = &reference, .data = &data},
                                             {.name = "other", .graph = &graph, .data = &data}};
  std::vector<double> values;
  for (const MetricReport& report : measure(models, {.metric = "sqnr", .resamples = 10})) {
    values.push_back(report.models[1].value);
  }
  return values;
}

inline TrainOptions taught(const Graph& teacher, int epochs) {
  TrainOptions options = without_labels(finetune_defaults());
  options.teacher = &teacher;
  options.epochs = epochs;
  options.learning_rate = 0.003;  // few steps
  options.threads = 1;
  return options;
}

}  // namespace nibble::testing
