// The operator families: each is a table of rows in the file of the same name.
#pragma once

#include <array>
#include <span>

#include "ops/op.h"

namespace nibble {

using OpFamily = std::span<const OpRow> (*)();

std::span<const OpRow> activation_ops();
std::span<const OpRow> arithmetic_ops();
std::span<const OpRow> attention_ops();
std::span<const OpRow> batch_norm_ops();
std::span<const OpRow> cast_ops();
std::span<const OpRow> concat_ops();
std::span<const OpRow> control_ops();
std::span<const OpRow> conv_ops();
std::span<const OpRow> conv_transpose_ops();
std::span<const OpRow> deform_conv_ops();
std::span<const OpRow> detection_ops();
std::span<const OpRow> dynamic_layer_ops();
std::span<const OpRow> einsum_ops();
std::span<const OpRow> gather_ops();
std::span<const OpRow> grid_ops();
std::span<const OpRow> identity_ops();
std::span<const OpRow> integer_arithmetic_ops();
std::span<const OpRow> layer_norm_ops();
std::span<const OpRow> logic_ops();
std::span<const OpRow> loss_ops();
std::span<const OpRow> matmul_ops();
std::span<const OpRow> order_ops();
std::span<const OpRow> pad_ops();
std::span<const OpRow> permute_ops();
std::span<const OpRow> pool_ops();
std::span<const OpRow> quantize_linear_ops();
std::span<const OpRow> reduce_ops();
std::span<const OpRow> resize_ops();
std::span<const OpRow> rnn_ops();
std::span<const OpRow> rotary_ops();
std::span<const OpRow> scatter_ops();
std::span<const OpRow> select_ops();
std::span<const OpRow> shape_ops();
std::span<const OpRow> slice_ops();
std::span<const OpRow> softmax_ops();
std::span<const OpRow> spectral_ops();
std::span<const OpRow> unary_ops();
std::span<const OpRow> variadic_ops();
std::span<const OpRow> vector_norm_ops();

// One to a line, sorted.
// clang-format off
inline constexpr std::array kFamilies = {
    OpFamily{activation_ops},
    OpFamily{arithmetic_ops},
    OpFamily{attention_ops},
    OpFamily{batch_norm_ops},
    OpFamily{cast_ops},
    OpFamily{concat_ops},
    OpFamily{control_ops},
    OpFamily{conv_ops},
    OpFamily{conv_transpose_ops},
    OpFamily{deform_conv_ops},
    OpFamily{detection_ops},
    OpFamily{dynamic_layer_ops},
    OpFamily{einsum_ops},
    OpFamily{gather_ops},
    OpFamily{grid_ops},
    OpFamily{identity_ops},
    OpFamily{integer_arithmetic_ops},
    OpFamily{layer_norm_ops},
    OpFamily{logic_ops},
    OpFamily{loss_ops},
    OpFamily{matmul_ops},
    OpFamily{order_ops},
    OpFamily{pad_ops},
    OpFamily{permute_ops},
    OpFamily{pool_ops},
    OpFamily{quantize_linear_ops},
    OpFamily{reduce_ops},
    OpFamily{resize_ops},
    OpFamily{rnn_ops},
    OpFamily{rotary_ops},
    OpFamily{scatter_ops},
    OpFamily{select_ops},
    OpFamily{shape_ops},
    OpFamily{slice_ops},
    OpFamily{softmax_ops},
    OpFamily{spectral_ops},
    OpFamily{unary_ops},
    OpFamily{variadic_ops},
    OpFamily{vector_norm_ops},
};
// clang-format on

}  // namespace nibble
