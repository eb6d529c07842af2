// Instruction sets the integer kernels are written for.
#pragma once

#include <cstdint>
#include <string_view>

#pragma GCC visibility push(default)
namespace nibble {

/// Slowest first. All give the same bits. `reference` is plain loops, `portable` needs no more than
/// the compiler's baseline (SSE2 on x86-64).
enum class Isa : uint8_t { reference, portable, avx2, avx512_vnni };

std::string_view name_of(Isa isa);
/// This CPU and its operating system can run it.
bool is_supported(Isa isa);
/// The best this CPU has, or what the environment variable NIBBLE_ISA names (reference, portable,
/// avx2, avx512_vnni) when this is first called. Error{invalid_argument} if it names nothing, or
/// something this CPU lacks.
Isa best_isa();

}  // namespace nibble
#pragma GCC visibility pop
