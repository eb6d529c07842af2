// Normalizations of contiguous rows: from reals to reals, or to codes in the same pass.
#pragma once

#include "ops/op.h"

namespace nibble {

/// Softmax over trailing axes.
std::unique_ptr<Kernel> softmax_rows(const KernelSpec& spec);
/// LayerNormalization without statistics; nibble::AddLayerNormalization, which adds input 1 before.
std::unique_ptr<Kernel> layer_norm_rows(const KernelSpec& spec);
std::unique_ptr<Kernel> add_layer_norm_rows(const KernelSpec& spec);

inline constexpr std::array kSoftmaxKernels = {
    KernelRow{.name = "softmax of rows", .gives = Gives::u8_or_real, .make = softmax_rows},
    on_reals("softmax of rows", softmax_rows)};
inline constexpr std::array kLayerNormKernels = {
    KernelRow{.name = "rows normalized", .gives = Gives::u8_or_real, .make = layer_norm_rows},
    on_reals("rows normalized", layer_norm_rows)};
inline constexpr std::array kAddLayerNormKernels = {
    KernelRow{.name = "sums of rows normalized",
              .reads = {Reads::real, Reads::as_it_is, Reads::real, Reads::real},
              .gives = Gives::u8_or_real,
              .make = add_layer_norm_rows},
    on_reals("sums of rows normalized", add_layer_norm_rows)};

}  // namespace nibble
