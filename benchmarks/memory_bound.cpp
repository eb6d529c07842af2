// One row times matrices of 4096x4096 packed weights, as many different ones as take 256 MB, so
// that no cache helps. Names are <weights>/<instruction set>/<threads>. After each product as many
// bytes of another 256 MB are read by plain loads, in turns, so that both meet the same neighbours
// on a busy machine: `read` is their bandwidth, and `share` what part of it the product reaches;
// all are medians.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/isa_table.h"
#include "kernels/packed_float.h"

namespace nibble {
namespace {

constexpr int64_t kSide = 4096;
constexpr size_t kMemory = size_t{256} << 20;
constexpr float kHuge = 1e30F;

struct Weights {
  std::string_view name;
  int bits;
  int64_t block;
  bool has_zero_points;
};
constexpr Weights kWeights[] = {{"w8", 8, kSide, false},        {"w8_block128", 8, 128, false},
                                {"w4_block128", 4, 128, false}, {"w4_block64", 4, 64, false},
                                {"w4_block32", 4, 32, false},   {"w4_block32_zero", 4, 32, true}};

PackedFloat matrix(const Weights& w, Isa isa, uint64_t seed) {
  const PackedShape shape{kSide, 1, kSide, w.block};
  Random random(seed);
  const auto groups = static_cast<size_t>(shape.outputs * shape.blocks());
  const std::vector<float> scale(groups, 0.01F), bias(static_cast<size_t>(kSide), 0.0F);
  std::vector<int32_t> zero(groups, 0);
  for (int32_t& z : zero) z = w.has_zero_points ? static_cast<int32_t>(random.below(16)) - 8 : 0;
  std::vector<int32_t> some(static_cast<size_t>(2 * kSide));
  for (int32_t& code : some) {
    code = static_cast<int32_t>(random.below(1ULL << w.bits)) - (1 << (w.bits - 1));
  }
  const auto codes = [&](int64_t n, std::span<int32_t> to) {
    std::copy_n(some.begin() + n, to.size(), to.begin());
  };
  return PackedFloat(shape, {codes, w.bits, true, scale, zero, bias}, -kHuge, kHuge, isa);
}

std::vector<PackedFloat> matrices_of(const Weights& w, Isa isa) {
  std::vector<PackedFloat> matrices;
  for (size_t bytes = 0; bytes < kMemory; bytes += matrices.back().constant_bytes()) {
    matrices.push_back(matrix(w, isa, matrices.size() + 1));
  }
  return matrices;
}

// The bytes of [from, from + bytes), read by all threads.
void read(const std::byte* from, size_t bytes, ThreadPool& pool) {
  constexpr size_t kPart = 64 * 1024;
  pool.parallel_ranges(static_cast<int64_t>(bytes / kPart), 1, [&](int64_t begin, int64_t end) {
    const auto* words = reinterpret_cast<const uint64_t*>(from) + begin * kPart / 8;
    const auto count = static_cast<size_t>(end - begin) * kPart / 8;
    uint64_t sums[16] = {};
    for (size_t i = 0; i < count; i += 16) {
      __builtin_prefetch(words + i + 128);
      __builtin_prefetch(words + i + 136);
      for (size_t j = 0; j < 16; ++j) sums[j] ^= words[i + j];
    }
    for (uint64_t& sum : sums) benchmark::DoNotOptimize(sum);
  });
}

template <typename Work>
double seconds_of(const Work& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void run(benchmark::State& state, const Weights& w, Isa isa) {
  const std::vector<PackedFloat> matrices = matrices_of(w, isa);
  size_t bytes = 0;
  for (const PackedFloat& one : matrices) bytes += one.constant_bytes();
  Random random(1);
  std::vector<float> data(static_cast<size_t>(kSide)), out(data.size());
  for (float& x : data) x = static_cast<float>(random.normal());
  const AlignedBytes scratch(matrices[0].scratch_bytes(1));
  ThreadPool pool(static_cast<int>(state.range(0)));
  const AlignedBytes other(kMemory);
  const size_t each = bytes / matrices.size();
  size_t next = 0, at = 0;
  std::vector<double> product_seconds, read_seconds;
  for (auto _ : state) {
    const double taken = seconds_of([&] {
      matrices[next].run(data.data(), kSide, 1, out.data(), kSide, scratch.data(), pool);
    });
    benchmark::ClobberMemory();
    state.SetIterationTime(taken);
    product_seconds.push_back(taken);
    next = (next + 1) % matrices.size();
    if (at + each > kMemory) at = 0;
    read_seconds.push_back(seconds_of([&] { read(other.data() + at, each, pool); }));
    at += each / 4096 * 4096;
  }
  const auto gigabytes = [&](std::vector<double>& seconds) {
    const auto middle = seconds.begin() + static_cast<ptrdiff_t>(seconds.size() / 2);
    std::nth_element(seconds.begin(), middle, seconds.end());
    return static_cast<double>(each) / *middle * 1e-9;
  };
  state.counters["GB/s"] = gigabytes(product_seconds);
  state.counters["read"] = gigabytes(read_seconds);
  state.counters["share"] = state.counters["GB/s"] / state.counters["read"];
  state.counters["products/s"] = state.counters["GB/s"] * 1e9 / static_cast<double>(each);
}

}  // namespace
}  // namespace nibble

int main(int argc, char** argv) {
  using namespace nibble;
  for (const Weights& w : kWeights) {
    for (const IsaRow& row : isa_table()) {
      if (!row.is_supported() || row.isa == Isa::reference) continue;
      benchmark::RegisterBenchmark((std::string(w.name) + "/" + std::string(row.name)).c_str(),
                                   [&](benchmark::State& state) { run(state, w, row.isa); })
          ->Arg(1)
          ->Arg(2)
          ->Unit(benchmark::kMicrosecond)
          ->UseManualTime();
    }
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
