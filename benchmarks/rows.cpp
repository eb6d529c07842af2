// Elementwise, pooling and layout kernels, in bytes of output per second. Names are
// <what>/<instruction set>.
#include <benchmark/benchmark.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/isa_table.h"
#include "kernels/layout.h"
#include "kernels/pool.h"

namespace nibble {
namespace {

constexpr int64_t kCount = 111 * 111 * 64;

struct Data {
  std::vector<uint8_t> a = std::vector<uint8_t>(kCount);
  std::vector<uint8_t> b = std::vector<uint8_t>(kCount);
  std::vector<uint8_t> out = std::vector<uint8_t>(kCount);
  std::vector<float> reals = std::vector<float>(kCount, 0.7F);
  std::array<uint8_t, 256> table{};
  ThreadPool pool;

  Data() {
    Random random(1);
    for (uint8_t& code : a) code = static_cast<uint8_t>(random.below(256));
    for (uint8_t& code : b) code = static_cast<uint8_t>(random.below(256));
  }
};

void add(const std::string& what, int64_t bytes, const std::function<void(Data&, Isa)>& body) {
  for (const IsaRow& row : isa_table()) {
    const Isa isa = row.isa;
    if (!is_supported(isa)) continue;
    const std::string name = what + "/" + std::string(name_of(isa));
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      Data data;
      for (auto _ : state) {
        body(data, isa);
        benchmark::ClobberMemory();
      }
      state.SetBytesProcessed(state.iterations() * bytes);
    })->Unit(benchmark::kMicrosecond);
  }
}

void register_all() {
  constexpr int64_t kSmall = 32 * 32 * 16;
  add("add", kSmall, [](Data& d, Isa isa) {
    add_u8({.a_zero = 3, .b_zero = 5, .a_ratio = 0.5F, .b_ratio = 0.3F}, BinaryShape::same(kSmall),
           d.a.data(), d.b.data(), d.out.data(), d.pool, isa);
  });
  add("mul", kSmall, [](Data& d, Isa isa) {
    mul_u8({.a_zero = 3, .b_zero = 5, .multiplier = 0.01F}, BinaryShape::same(kSmall), d.a.data(),
           d.b.data(), d.out.data(), d.pool, isa);
  });
  add("requantize", kSmall, [](Data& d, Isa isa) {
    requantize_u8({.in_zero = 3, .ratio = 0.7F}, RowShape::dense(kSmall), d.a.data(), d.out.data(),
                  d.pool, isa);
  });
  add("table", kSmall,
      [](Data& d, Isa isa) { table_u8(d.table, d.a.data(), d.out.data(), kSmall, d.pool, isa); });
  add("quantize", kSmall, [](Data& d, Isa isa) {
    quantize_u8({.scale = 0.1F}, d.reals.data(), d.out.data(), kSmall, d.pool, isa);
  });
  add("dequantize", kSmall, [](Data& d, Isa isa) {
    dequantize_u8(0.1F, 3, d.a.data(), d.reals.data(), kSmall, d.pool, isa);
  });
  add("max_pool_111x111x64", 55 * 55 * 64, [](Data& d, Isa isa) {
    max_pool_u8({.in_h = 111,
                 .in_w = 111,
                 .kernel_h = 3,
                 .kernel_w = 3,
                 .stride_h = 2,
                 .stride_w = 2,
                 .out_h = 55,
                 .out_w = 55},
                64, 0, d.a.data(), d.out.data(), d.pool, isa);
  });
  add("average_pool_56x56x64", 28 * 28 * 64, [](Data& d, Isa isa) {
    average_pool_u8({},
                    {.in_h = 56,
                     .in_w = 56,
                     .kernel_h = 2,
                     .kernel_w = 2,
                     .stride_h = 2,
                     .stride_w = 2,
                     .out_h = 28,
                     .out_w = 28},
                    64, d.a.data(), d.out.data(), d.pool, isa);
  });
  add("global_average_pool_13x13x1000", 1000, [](Data& d, Isa isa) {
    global_average_pool_u8({}, 1, 169, 1000, d.a.data(), d.out.data(), d.pool, isa);
  });
  add("quantize_to_channels_last_224x224x3", 224 * 224 * 3, [](Data& d, Isa isa) {
    quantize_to_channels_last({.scale = 0.1F}, {1, 3, 224 * 224}, d.reals.data(), d.out.data(),
                              d.pool, isa);
  });
}

}  // namespace
}  // namespace nibble

int main(int argc, char** argv) {
  nibble::register_all();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
