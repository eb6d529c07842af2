// Running a planned program asks the system for no memory: every malloc of the process is counted.
#include <atomic>
#include <cstdlib>

#include "graphs.h"
#include "support/sanitizers.h"

#if defined(__GLIBC__) && !defined(NIBBLE_SANITIZED)
#define NIBBLE_COUNTS_ALLOCATIONS 1

namespace {
std::atomic<bool> counting{false};
std::atomic<int> allocations{0};
std::atomic<size_t> largest{0};

void count(size_t bytes) {
  if (!counting) return;
  ++allocations;
  size_t seen = largest;
  while (bytes > seen && !largest.compare_exchange_weak(seen, bytes)) {
  }
}
}  // namespace

extern "C" {
void* __libc_malloc(size_t);            // NOLINT: glibc's own names
void* __libc_memalign(size_t, size_t);  // NOLINT
void* malloc(size_t bytes) {
  count(bytes);
  return __libc_malloc(bytes);
}
void* aligned_alloc(size_t alignment, size_t bytes) {
  count(bytes);
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** result, size_t alignment, size_t bytes) {
  count(bytes);
  *result = __libc_memalign(alignment, bytes);
  return 0;
}
}

namespace nibble {
namespace {

using test::Builder;
using test::per_tensor;
using test::random_tensor;

constexpr int64_t kSize = 24;

// Conv, Relu, MaxPool, Conv, Add, GlobalAveragePool, Flatten, Gemm; quantized or not.
Graph small_cnn(bool quantized) {
  Builder b(3);
  const auto type = [&](float scale, int32_t zero_point) {
    return quantized ? std::optional(per_tensor(scale, zero_point)) : std::nullopt;
  };
  const auto weight = [&](const Shape& shape) {
    return quantized ? b.weight(shape, 0) : b.constant(random_tensor(shape, b.random, 0.1F));
  };
  const std::pair<std::string, Attribute> same{"pads", std::vector<int64_t>{1, 1, 1, 1}};
  const ValueId x = b.input("x", {1, 3, kSize, kSize}, type(0.03F, 128));
  const ValueId first = b.op("Conv", {x, weight({16, 3, 3, 3})}, {same});
  const ValueId relu = b.op("Relu", {first}, {}, type(0.01F, 0));
  const ValueId pooled =
      b.op("MaxPool", {relu},
           {{"kernel_shape", std::vector<int64_t>{2, 2}}, {"strides", std::vector<int64_t>{2, 2}}},
           type(0.01F, 0));
  const ValueId second = b.op("Conv", {pooled, weight({16, 16, 3, 3})}, {same}, type(0.02F, 128));
  const ValueId sum = b.op("Relu", {b.op("Add", {second, pooled})}, {}, type(0.02F, 0));
  const ValueId average = b.op("GlobalAveragePool", {sum}, {}, type(0.02F, 0));
  const ValueId flat = b.op("Flatten", {average}, {}, type(0.02F, 0));
  const ValueId scores = b.op("Gemm", {flat, weight({10, 16})}, {{"transB", int64_t{1}}});
  return b.finish({scores});
}

struct Counted {
  int allocations;
  size_t largest;
};
Counted count_in_run(Program& program, const Tensor& input) {
  for (int i = 0; i < 2; ++i) program.run(std::span(&input, 1));  // first runs may fill caches
  allocations = 0;
  largest = 0;
  counting = true;
  program.run(std::span(&input, 1));
  counting = false;
  return {allocations, largest};
}

TEST(allocation, an_integer_network_runs_without_any) {
  Program program = compile(small_cnn(true), {.threads = 2});
  EXPECT_EQ(program.coverage().integer_nodes, program.coverage().nodes);
  Random random(1);
  EXPECT_EQ(count_in_run(program, random_tensor({1, 3, kSize, kSize}, random)).allocations, 0);
}

TEST(allocation, a_float_network_allocates_no_tensors) {
  Program program = compile(small_cnn(false));
  Random random(1);
  // oneDNN keeps the arguments of each call in a small map; no value of the network is that small.
  EXPECT_LT(count_in_run(program, random_tensor({1, 3, kSize, kSize}, random)).largest, 512u);
}

TEST(allocation, the_arena_is_smaller_than_the_sum_of_all_values) {
  const Program program = compile(small_cnn(false));
  // Two images of 16 channels and the padding around them would be the sum of the first layer.
  EXPECT_LE(program.arena_bytes(), size_t{2 * 16 * kSize * kSize * 4 + 65536});
  EXPECT_GT(program.constant_bytes(), 0u);
}

}  // namespace
}  // namespace nibble

#endif
