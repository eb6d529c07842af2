#include "kernels/peak.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "kernels/isa_table.h"

namespace nibble {
namespace {

constexpr double kTrial = 0.002;  // seconds: shorter than a time slice, longer than a wake-up
constexpr int kTrials = 8;

// Times `work(rounds)` with as many rounds as a trial holds; the most per second that it gave.
template <typename Work>
double best_rate(const Work& work) {
  using Clock = std::chrono::steady_clock;
  double best = 0;
  int64_t rounds = 1;
  for (int trial = 0; trial < kTrials;) {
    const auto start = Clock::now();
    const double amount = work(rounds);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (seconds < kTrial / 2 && rounds < (int64_t{1} << 40)) {
      rounds *= 2;
      continue;
    }
    best = std::max(best, amount / seconds);
    ++trial;
  }
  return best;
}

double rate_of(ThreadPool& pool, int64_t (*loop)(int64_t)) {
  const int threads = pool.threads();
  return best_rate([&](int64_t rounds) {
    std::vector<int64_t> done(static_cast<size_t>(threads));
    pool.parallel_for(threads,
                      [&](int64_t task) { done[static_cast<size_t>(task)] = loop(rounds); });
    double products = 0;
    for (const int64_t one : done) products += static_cast<double>(one);
    return products;
  });
}

}  // namespace

MultiplyRates measure_multiply_rates(ThreadPool& pool, Isa isa) {
  MultiplyRates rates;
  // Plain loops have no instructions of their own.
  const IsaRow& row = isa_row(isa == Isa::reference ? Isa::portable : isa);
  if (row.peak == nullptr) return rates;
  rates.int8 = rate_of(pool, row.peak().int8);
  rates.int16 = rate_of(pool, row.peak().int16);
  for (const IsaRow& other : isa_table()) {
    if (other.peak == nullptr || !other.is_supported() || !other.peak().has_f32()) continue;
    rates.f32 = std::max(rates.f32, rate_of(pool, other.peak().f32));
  }
  return rates;
}

double measure_copy_rate(ThreadPool& pool, uint64_t bytes) {
  constexpr uint64_t kLeast = 4096, kMost = uint64_t{1} << 28;
  const int threads = pool.threads();
  const uint64_t part =
      std::clamp(bytes / 2 / static_cast<uint64_t>(threads), kLeast, kMost) / 64 * 64;
  std::vector<std::byte> from(part * static_cast<uint64_t>(threads), std::byte{1});
  std::vector<std::byte> to(from.size());
  return best_rate([&](int64_t rounds) {
    pool.parallel_for(threads, [&](int64_t task) {
      const uint64_t at = static_cast<uint64_t>(task) * part;
      for (int64_t round = 0; round < rounds; ++round) {
        std::memcpy(to.data() + at, from.data() + at, part);
        asm volatile("" : : "r"(to.data()) : "memory");  // none of the rounds is left out
      }
    });
    return 2 * static_cast<double>(rounds) * static_cast<double>(from.size());
  });
}

}  // namespace nibble
