// How many multiplications a core can do at most: loops of nothing but the instructions that the
// kernels of an instruction set multiply with, on registers alone. Profiles measure kernels by it.
#pragma once

#include <cstdint>

#include "base/thread_pool.h"
#include "nibble/isa.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Each runs `rounds` rounds on the calling thread and returns how many multiplications (each with
/// its addition) that were.
struct PeakKernels {
  int64_t (*int8)(int64_t rounds) = nullptr;
  int64_t (*int16)(int64_t rounds) = nullptr;
  int64_t (*f32)(int64_t rounds) = nullptr;
  bool (*has_f32)() = nullptr;  // f32 needs what the instruction set's other kernels do not
};

/// Those of an instruction set, defined in its own file.
template <Isa isa>
const PeakKernels& peak_kernels();

/// Multiplications, each with its addition, per second, of all threads of a pool together; 0 where
/// nobody knows (CPUs other than x86-64).
struct MultiplyRates {
  double int8 = 0, int16 = 0, f32 = 0;
};
/// Measured: the best of a few loops of some milliseconds, on all threads at once. Integers as the
/// kernels of `isa` multiply them, reals by the widest instructions that the CPU has, as oneDNN
/// does. Takes about 50 ms.
MultiplyRates measure_multiply_rates(ThreadPool& pool, Isa isa = best_isa());

/// Bytes per second, read and written, when `bytes` bytes of memory are copied over and over: so
/// from the cache that they fit in. Takes about 15 ms.
double measure_copy_rate(ThreadPool& pool, uint64_t bytes);

}  // namespace nibble
#pragma GCC visibility pop
