#include "train/reconstruction.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <map>
#include <optional>

#include "base/check.h"
#include "ops/roles.h"
#include "ops/weight_pairs.h"
#include "quant/network_samples.h"
#include "ranges/rounding.h"
#include "ranges/roundings/list.h"
#include "train/backend.h"
#include "train/blocks.h"

namespace nibble {
namespace {

// What the samples of a block may take: more of them than fit are left out, evenly.
constexpr int64_t kCacheBytes = int64_t{256} << 20;

std::byte* bytes_of(Tensor& tensor) { return static_cast<std::byte*>(tensor.raw()); }
const std::byte* bytes_of(const Tensor& tensor) {
  return static_cast<const std::byte*>(tensor.raw());
}

bool is_learned_layer(const Graph& graph, const Node& node) {
  if (!has_weight(graph, node) || stores_weight(node)) return false;
  const Value& weight = graph.value(weight_of(node));
  return weight.is_constant() && weight.type.quant.has_value();
}

bool is_nearest(const Value& coded, const Value& real) {
  return unpack_integers(coded.data) ==
         unpack_integers(quantize_tensor(real.data, *coded.type.quant));
}

class Reconstruction {
 public:
  Reconstruction(const NetworkToRefine& network, BlockSize size)
      : network_(network), graph_(network.quantized), size_(size), backend_(train_backend()) {
    for (const NodeId id : graph_.nodes()) {
      if (is_learned_layer(graph_, graph_.node(id))) layers_.push_back(id);
    }
    blocks_ = split_into_blocks(graph_, layers_, size);
    const SampleRunner runner(network.real, network.samples,
                              {.arithmetic = Arithmetic::f32, .threads = network.threads});
    batch_ = runner.batch();
    batch_axis_ = runner.batch_axis();
  }

  void run() {
    ReconstructionOptions options{.seed = network_.seed,
                                  .threads = network_.threads,
                                  .progress = network_.progress,
                                  .total = std::ssize(blocks_)};
    options.total *= options.steps;
    int64_t left = 0;
    std::string reason;
    for (const Block& block : blocks_) {
      try {
        learn(block, options);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::unsupported) throw;
        ++left;
        reason = error.what();
      }
      options.before += options.steps;
    }
    keep_pairs_safe();
    if (left > 0 && network_.notes != nullptr) {
      network_.notes->push_back(fmt::format("{} of {} blocks keep the codes that they had: {}",
                                            left, blocks_.size(), reason));
    }
  }

 private:
  // In the float network.
  ValueId real_value(ValueId id) const {
    while (id.index >= network_.real.value_count()) {
      id = graph_.node(*graph_.producer(id)).inputs[0];
    }
    return id;
  }

  void learn(const Block& block, const ReconstructionOptions& options) {
    report_progress(network_.progress, kLearningToRound, options.before, options.total);
    const Graph part = graph_of_block(graph_, block);
    BlockToLearn task;
    for (const NodeId id : block.nodes) {
      const Node& node = graph_.node(id);
      if (!is_learned_layer(graph_, node)) continue;
      for (const size_t input : weight_inputs(node)) {
        const ValueId weight = node.inputs[input];
        if (graph_.consumers(weight).size() != 1) continue;
        const Value& coded = graph_.value(weight);
        task.weights.insert(coded.name);
        if (!is_nearest(coded, network_.real.value(weight))) task.rounded.insert(coded.name);
      }
    }
    if (task.weights.empty()) return;
    if (size_ == BlockSize::block) task.grids = grids_of(block);
    task.samples = samples_of(block);
    take(backend_.reconstruct(part, network_.real, task, options), task);
  }

  // Activations whose grids nothing outside the block has to share.
  std::set<std::string> grids_of(const Block& block) const {
    std::set<ValueId> within;
    for (const NodeId id : block.nodes) {
      for (const ValueId value : graph_.node(id).outputs) {
        if (value) within.insert(value);
      }
    }
    std::set<std::string> grids;
    for (const ValueId value : within) {
      if (!graph_.value(value).type.quant) continue;
      bool shared = false;
      for (int32_t i = 0; i < graph_.value_count() && !shared; ++i) {
        const Value& other = graph_.value({i});
        shared = !other.is_constant() && !within.contains({i}) &&
                 other.type.quant == graph_.value(value).type.quant;
      }
      if (!shared) grids.insert(graph_.value(value).name);
    }
    return grids;
  }

  bool is_apart(const std::vector<ValueId>& values) const {
    return batch_ > 1 && std::ranges::all_of(values, [&](ValueId value) {
             const auto axis = batch_axis_.find(value);
             return axis == batch_axis_.end() || axis->second == 0;
           });
  }

  BlockSamples samples_of(const Block& block) const {
    std::vector<ValueId> wanted;
    for (const ValueId value : block.inputs) wanted.push_back(real_value(value));
    for (const ValueId value : block.outputs) wanted.push_back(real_value(value));
    const Graph real = part_giving(network_.real, network_.samples, wanted);
    const Graph quantized = part_giving(graph_, network_.samples, block.inputs);
    SampleRunnerOptions options{.batch = batch_,
                                .arithmetic = Arithmetic::f32,
                                .threads = network_.threads,
                                .probe = false};
    SampleRunner real_runner(real, network_.samples, options);
    options.arithmetic = Arithmetic::integer;
    SampleRunner quantized_runner(quantized, network_.samples, options);
    Cache cache(network_.samples.size(), is_apart(wanted));
    for_each_full_batch(real_runner, network_.samples, [&](const SampleBatch& batch) {
      const auto seen = real_runner.run(batch).last(wanted.size());
      const auto rounded = quantized_runner.run(batch).last(block.inputs.size());
      cache.add(seen.first(block.inputs.size()), rounded, seen.subspan(block.inputs.size()),
                batch.count);
    });
    return std::move(cache).samples();
  }

  // Samples as they come, evenly thinned out where they take too much.
  class Cache {
   public:
    Cache(int64_t samples, bool apart) : total_(samples) { samples_.apart = apart; }

    void add(std::span<const Tensor> inputs, std::span<const Tensor> quantized,
             std::span<const Tensor> results, int64_t count) {
      int64_t bytes = 0;
      for (const auto& tensors : {inputs, quantized, results}) {
        for (const Tensor& tensor : tensors) bytes += static_cast<int64_t>(tensor.bytes());
      }
      const double share =
          std::min(1.0, static_cast<double>(kCacheBytes) /
                            std::max(1.0, static_cast<double>(bytes) / static_cast<double>(count) *
                                              static_cast<double>(total_)));
      BlockSamples::Batch batch;
      // Number i of all is kept where the count of those that may be kept rises.
      std::vector<int64_t> rows;
      for (int64_t i = 0; i < count; ++i) {
        const auto kept = [&](int64_t n) {
          return static_cast<int64_t>(share * static_cast<double>(n));
        };
        if (seen_ + i == 0 || kept(seen_ + i + 1) > kept(seen_ + i)) rows.push_back(i);
      }
      seen_ += count;
      if (rows.empty()) return;
      const auto keep = [&](std::span<const Tensor> from, std::vector<Tensor>& to) {
        for (const Tensor& tensor : from) {
          to.push_back(samples_.apart ? rows_of(tensor, rows) : tensor.clone());
        }
      };
      keep(inputs, batch.inputs);
      keep(quantized, batch.quantized_inputs);
      keep(results, batch.results);
      samples_.batches.push_back(std::move(batch));
    }

    BlockSamples samples() && {
      if (samples_.apart && samples_.batches.size() > 1) {
        BlockSamples::Batch all;
        for (const auto part :
             {&BlockSamples::Batch::inputs, &BlockSamples::Batch::quantized_inputs,
              &BlockSamples::Batch::results}) {
          for (size_t i = 0; i < (samples_.batches[0].*part).size(); ++i) {
            (all.*part).push_back(joined(part, i));
          }
        }
        samples_.batches.clear();
        samples_.batches.push_back(std::move(all));
      }
      return std::move(samples_);
    }

   private:
    static Tensor rows_of(const Tensor& tensor, const std::vector<int64_t>& rows) {
      Shape shape = tensor.shape();
      if (shape.rank() == 0) return tensor.clone();
      const size_t bytes = tensor.bytes() / static_cast<size_t>(shape[0]);
      shape[0] = std::ssize(rows);
      Tensor kept(tensor.dtype(), shape);
      for (size_t i = 0; i < rows.size(); ++i) {
        std::memcpy(bytes_of(kept) + i * bytes,
                    bytes_of(tensor) + static_cast<size_t>(rows[i]) * bytes, bytes);
      }
      return kept;
    }

    // Of all batches; their memory is given back.
    Tensor joined(std::vector<Tensor> BlockSamples::Batch::*part, size_t index) {
      Shape shape = (samples_.batches[0].*part)[index].shape();
      if (shape.rank() == 0) return (samples_.batches[0].*part)[index];
      shape[0] = 0;
      for (const auto& batch : samples_.batches) shape[0] += (batch.*part)[index].shape()[0];
      Tensor all((samples_.batches[0].*part)[index].dtype(), shape);
      std::byte* to = bytes_of(all);
      for (auto& batch : samples_.batches) {
        const Tensor tensor = std::move((batch.*part)[index]);
        std::memcpy(to, tensor.raw(), tensor.bytes());
        to += tensor.bytes();
      }
      return all;
    }

    int64_t total_, seen_ = 0;
    BlockSamples samples_;
  };

  // Codes, biases and learned scales of the block; biases behind it follow its scales.
  void take(const Graph& learned, const BlockToLearn& task) {
    for (int32_t i = 0; i < learned.value_count(); ++i) {
      const Value& from = learned.value({i});
      Value& to = graph_.value({i});
      if (task.grids.contains(to.name)) to.type.quant = from.type.quant;
      if (task.weights.contains(to.name)) to.data = from.data;
    }
    for (const NodeId id : layers_) {
      const Node& node = graph_.node(id);
      const ValueId bias = bias_of(node);
      if (!bias) continue;
      Value& mine = graph_.value(bias);
      if (task.weights.contains(graph_.value(weight_of(node)).name)) {
        mine.data = learned.value(bias).data;
        mine.type.quant = learned.value(bias).type.quant;
      }
      if (mine.type.quant) follow_scales(node, mine);
    }
  }

  void follow_scales(const Node& node, Value& bias) const {
    const QuantParams& data = *graph_.value(data_of(node)).type.quant;
    const std::vector<float>& scales = graph_.value(weight_of(node)).type.quant->scale;
    QuantParams grid = *bias.type.quant;
    for (size_t c = 0; c < grid.scale.size(); ++c) {
      grid.scale[c] = data.scale[0] * scales[c % scales.size()];
    }
    if (grid == *bias.type.quant) return;
    bias.data = quantize_tensor(dequantize_tensor(bias.data, *bias.type.quant), grid);
    bias.type.quant = std::move(grid);
  }

  // Codes a step from the nearest ones may meet in a pair that saturates: those go towards zero,
  // as far as the float weights reach in full steps, which is safe where the nearest codes are.
  void keep_pairs_safe() {
    if (network_.pair_orders.empty()) return;
    for (const NodeId id : layers_) {
      const Node& node = graph_.node(id);
      const auto& data = graph_.value(data_of(node)).type.quant;
      if (!multiplies_codes(node) || !data || is_signed(data->storage)) continue;
      Value& weight = graph_.value(weight_of(node));
      const Tensor& real = network_.real.value(weight_of(network_.real.node(id))).data;
      std::vector<int32_t> codes = unpack_integers(weight.data);
      const int32_t greatest = greatest_code(*data, greatest_real(graph_, data_of(node)));
      const auto& scales = weight.type.quant->scale;
      bool changed = false;
      for (const PairOrder order : network_.pair_orders) {
        const WeightPairs pairs(node, weight.data.shape(), order);
        pairs.for_each([&](int64_t output, int64_t a, int64_t b) {
          if (b < 0) return;
          int32_t &first = codes[static_cast<size_t>(a)], &second = codes[static_cast<size_t>(b)];
          if (is_safe(pair_sum(first, second), greatest)) return;
          const float scale = scales[static_cast<size_t>(output) % scales.size()];
          const auto towards_zero = [&](int64_t element, int32_t code) {
            const auto whole = static_cast<int32_t>(
                std::trunc(real.data<float>()[static_cast<size_t>(element)] / scale));
            return code < 0 ? std::max(code, whole) : std::min(code, whole);
          };
          first = towards_zero(a, first);
          second = towards_zero(b, second);
          changed = true;
        });
      }
      if (changed) weight.data = pack_integers(weight.data.dtype(), weight.data.shape(), codes);
    }
  }

  const NetworkToRefine& network_;
  Graph& graph_;
  const BlockSize size_;
  const TrainBackend& backend_;
  std::vector<NodeId> layers_;
  std::vector<Block> blocks_;
  int64_t batch_ = 1;
  std::map<ValueId, int> batch_axis_;
};

template <BlockSize size>
void learn_by(const NetworkToRefine& network) {
  Reconstruction(network, size).run();
}

// GPTQ's codes know how a layer's errors cancel: with 8-bit data learning that starts there ends
// better. Below, where scales of data are most of what is learned, it is bound too early.
std::vector<RoundedWeight> start_of_blocks(const RoundingScope& scope, ThreadPool& pool) {
  constexpr int kFine = 8;
  const bool fine = std::ranges::all_of(scope.weights, [](const WeightToRound& weight) {
    return weight.data_bits == 0 || weight.data_bits >= kFine;
  });
  return (fine ? gptq_rounding() : nearest_rounding()).round(scope, pool);
}

const RoundingRegistration kAdaRound(
    {.name = "adaround",
     .summary = "learns which weights to round up, layer by layer (libtorch; minutes)",
     .round = nearest_rounding().round,
     .refine = learn_by<BlockSize::layer>});
const RoundingRegistration kBrecq(
    {.name = "brecq",
     .summary = "goes on from gptq and learns block by block, with the scales of activations "
                "(libtorch; minutes)",
     .needs_layer_samples = true,
     .round = start_of_blocks,
     .refine = learn_by<BlockSize::block>});

}  // namespace
}  // namespace nibble
