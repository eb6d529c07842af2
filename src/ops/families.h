// The operator families: each is a table of rows in the file of the same name.
#pragma once

#include <array>
#include <span>
#include <string_view>
#include <vector>

#include "ops/op.h"

namespace nibble {

using OpFamily = std::span<const OpRow>();

OpFamily activation_ops;
OpFamily arithmetic_ops;
OpFamily attention_ops;
OpFamily batch_norm_ops;
OpFamily cast_ops;
OpFamily concat_ops;
OpFamily control_ops;
OpFamily conv_ops;
OpFamily conv_transpose_ops;
OpFamily deform_conv_ops;
OpFamily detection_ops;
OpFamily dynamic_layer_ops;
OpFamily einsum_ops;
OpFamily gather_ops;
OpFamily grid_ops;
OpFamily head_attention_ops;
OpFamily identity_ops;
OpFamily integer_arithmetic_ops;
OpFamily layer_norm_ops;
OpFamily logic_ops;
OpFamily loss_ops;
OpFamily matmul_ops;
OpFamily order_ops;
OpFamily pad_ops;
OpFamily permute_ops;
OpFamily pool_ops;
OpFamily quantize_linear_ops;
OpFamily reduce_ops;
OpFamily resize_ops;
OpFamily rnn_ops;
OpFamily rotary_ops;
OpFamily scatter_ops;
OpFamily select_ops;
OpFamily shape_ops;
OpFamily slice_ops;
OpFamily softmax_ops;
OpFamily spectral_ops;
OpFamily unary_ops;
OpFamily variadic_ops;
OpFamily vector_norm_ops;

struct FamilyName {
  std::string_view name;  // of the function
  OpFamily* rows;
};

// One to a line, sorted.
// clang-format off
inline constexpr std::array kFamilies = {
    FamilyName{"activation_ops", activation_ops},
    FamilyName{"arithmetic_ops", arithmetic_ops},
    FamilyName{"attention_ops", attention_ops},
    FamilyName{"batch_norm_ops", batch_norm_ops},
    FamilyName{"cast_ops", cast_ops},
    FamilyName{"concat_ops", concat_ops},
    FamilyName{"control_ops", control_ops},
    FamilyName{"conv_ops", conv_ops},
    FamilyName{"conv_transpose_ops", conv_transpose_ops},
    FamilyName{"deform_conv_ops", deform_conv_ops},
    FamilyName{"detection_ops", detection_ops},
    FamilyName{"dynamic_layer_ops", dynamic_layer_ops},
    FamilyName{"einsum_ops", einsum_ops},
    FamilyName{"gather_ops", gather_ops},
    FamilyName{"grid_ops", grid_ops},
    FamilyName{"head_attention_ops", head_attention_ops},
    FamilyName{"identity_ops", identity_ops},
    FamilyName{"integer_arithmetic_ops", integer_arithmetic_ops},
    FamilyName{"layer_norm_ops", layer_norm_ops},
    FamilyName{"logic_ops", logic_ops},
    FamilyName{"loss_ops", loss_ops},
    FamilyName{"matmul_ops", matmul_ops},
    FamilyName{"order_ops", order_ops},
    FamilyName{"pad_ops", pad_ops},
    FamilyName{"permute_ops", permute_ops},
    FamilyName{"pool_ops", pool_ops},
    FamilyName{"quantize_linear_ops", quantize_linear_ops},
    FamilyName{"reduce_ops", reduce_ops},
    FamilyName{"resize_ops", resize_ops},
    FamilyName{"rnn_ops", rnn_ops},
    FamilyName{"rotary_ops", rotary_ops},
    FamilyName{"scatter_ops", scatter_ops},
    FamilyName{"select_ops", select_ops},
    FamilyName{"shape_ops", shape_ops},
    FamilyName{"slice_ops", slice_ops},
    FamilyName{"softmax_ops", softmax_ops},
    FamilyName{"spectral_ops", spectral_ops},
    FamilyName{"unary_ops", unary_ops},
    FamilyName{"variadic_ops", variadic_ops},
    FamilyName{"vector_norm_ops", vector_norm_ops},
};
// clang-format on

/// Those that the op table is made of (op_families.cpp).
std::span<OpFamily* const> linked_families();
/// Whether find_op() has found a row of that family of linked_families() since the program started.
bool family_used(size_t index);
/// The names of those; where all are linked.
std::vector<std::string_view> families_used();

}  // namespace nibble
