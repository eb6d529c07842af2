// Integer convolution against oneDNN in f32 and in int8, layer by layer. Compare on a busy machine
// with
//   benchmark_conv --benchmark_enable_random_interleaving=true --benchmark_repetitions=15
//     --benchmark_report_aggregates_only=true
// and read the minima and medians. Names are <layer>/<who>/<threads>.
#include <benchmark/benchmark.h>
#include <omp.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "kernels/qconv.h"
#include "layers.h"
#include "nibble/tensor.h"

namespace nibble {
namespace {

void count_macs(benchmark::State& state, const ConvShape& shape) {
  state.counters["GMAC/s"] = benchmark::Counter(static_cast<double>(shape.macs()) * 1e-9,
                                                benchmark::Counter::kIsIterationInvariantRate);
}

void run_nibble(benchmark::State& state, const BenchmarkLayer& layer, Isa isa, int threads) {
  const ConvShape shape = layer.shape();
  Random random(1);
  // Tensors are aligned, as those of the runtime and of oneDNN.
  Tensor input(DType::u8, {shape.window.in_pixels(), shape.in_channels});
  std::vector<int8_t> weights(static_cast<size_t>(shape.out_channels * shape.depth()));
  for (uint8_t& code : input.data<uint8_t>()) code = static_cast<uint8_t>(random.below(256));
  for (int8_t& w : weights) w = static_cast<int8_t>(static_cast<int>(random.below(255)) - 127);
  const OutputStage stage{
      .multiplier = std::vector<float>(static_cast<size_t>(shape.out_channels), 1e-3F),
      .zero_point = 128};
  const QConv conv(shape, weights, {}, 3, stage, isa);
  Tensor output(DType::u8, {shape.window.out_pixels(), shape.out_channels});
  Tensor workspace(DType::u8, {static_cast<int64_t>(conv.workspace_bytes())});
  ThreadPool pool(threads);
  for (auto _ : state) {
    conv.run(input.data<uint8_t>().data(), output.raw(), workspace.raw(), pool);
    benchmark::ClobberMemory();
  }
  count_macs(state, shape);
}

void run_onednn(benchmark::State& state, const BenchmarkLayer& layer, bool integer, int threads) {
  using dnnl::memory;
  using Type = memory::data_type;
  using Tag = memory::format_tag;
  omp_set_num_threads(threads);
  const ConvShape shape = layer.shape();
  const ConvWindow& w = shape.window;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  // Integers run channels last, as ours do; f32 in the layout that oneDNN likes best.
  const Tag tag = integer ? Tag::nhwc : Tag::any;
  const memory::desc source({w.batch, shape.in_channels, w.in_h, w.in_w},
                            integer ? Type::u8 : Type::f32, tag);
  const memory::dims weight_dims =
      shape.groups == 1
          ? memory::dims{shape.out_channels, shape.in_channels, w.kernel_h, w.kernel_w}
          : memory::dims{shape.groups, shape.group_outputs(), shape.group_inputs(), w.kernel_h,
                         w.kernel_w};
  const memory::desc weights(weight_dims, integer ? Type::s8 : Type::f32, Tag::any);
  const memory::desc bias({shape.out_channels}, integer ? Type::s32 : Type::f32, Tag::a);
  const memory::desc target({w.batch, shape.out_channels, w.out_h, w.out_w},
                            integer ? Type::u8 : Type::f32, tag);
  const memory::dims pads{w.pad_top, w.pad_left};
  const dnnl::convolution_forward::desc description(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, source, weights,
      bias, target, {w.stride_h, w.stride_w}, pads, pads);
  dnnl::primitive_attr attributes;
  if (integer) {
    attributes.set_output_scales(
        2, std::vector<float>(static_cast<size_t>(shape.out_channels), 1e-3F));
    dnnl::post_ops relu;
    relu.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0.0F, 0.0F);
    attributes.set_post_ops(relu);
  }
  const dnnl::convolution_forward::primitive_desc primitive(description, attributes, engine);
  const dnnl::convolution_forward conv(primitive);
  const auto filled = [&](const memory::desc& desc) {
    memory result(desc, engine);
    std::memset(result.get_data_handle(), 0, desc.get_size());
    return result;
  };
  const std::unordered_map<int, memory> arguments = {
      {DNNL_ARG_SRC, filled(primitive.src_desc())},
      {DNNL_ARG_WEIGHTS, filled(primitive.weights_desc())},
      {DNNL_ARG_BIAS, filled(primitive.bias_desc())},
      {DNNL_ARG_DST, filled(primitive.dst_desc())}};
  for (auto _ : state) {
    conv.execute(stream, arguments);
    stream.wait();
  }
  count_macs(state, shape);
  state.SetLabel(primitive.impl_info_str());
}

void add(const std::string& name, const std::function<void(benchmark::State&)>& body) {
  benchmark::RegisterBenchmark(name.c_str(), body)
      ->UseRealTime()
      ->Unit(benchmark::kMicrosecond)
      ->MinTime(0.02)
      ->ComputeStatistics("min", [](const std::vector<double>& times) {
        return *std::min_element(times.begin(), times.end());
      });
}

void register_layer(const BenchmarkLayer& layer, int threads) {
  const auto name = [&](std::string_view who) {
    return std::string(layer.name) + "/" + std::string(who) + "/" + std::to_string(threads);
  };
  for (const Isa isa : {Isa::portable, Isa::avx2, Isa::avx512_vnni}) {
    if (!is_supported(isa)) continue;
    add(name(name_of(isa)), [=](benchmark::State& s) { run_nibble(s, layer, isa, threads); });
  }
  add(name("onednn_f32"), [=](benchmark::State& s) { run_onednn(s, layer, false, threads); });
  add(name("onednn_int8"), [=](benchmark::State& s) { run_onednn(s, layer, true, threads); });
}

}  // namespace
}  // namespace nibble

int main(int argc, char** argv) {
  for (const nibble::BenchmarkLayer& layer : nibble::kBenchmarkLayers) {
    for (const int threads : {1, 2}) nibble::register_layer(layer, threads);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
