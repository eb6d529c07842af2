// How a value lies in memory. A TensorType says which numbers a value holds, a Form how they are
// stored: belongs to the runtime and its kernels, never to the graph.
#pragma once

#include <optional>
#include <string>

#include "nibble/graph.h"

namespace nibble {

struct Form {
  enum class Kind : uint8_t {
    real,    // elements of the type's dtype
    codes,   // one integer of grid.storage (u8, i8, u16, i16) per element, one scale for all
    packed,  // a constant as files hold it: integers of grid.storage, under 8 bits several to a
             // byte; any granularity
  };
  Kind kind = Kind::real;
  std::optional<QuantParams> grid;  // of codes and packed

  static Form codes(QuantParams grid) { return {Kind::codes, std::move(grid)}; }
  static Form packed(QuantParams grid) { return {Kind::packed, std::move(grid)}; }

  bool is_codes() const { return kind == Kind::codes; }
  /// Element type in memory of a value of `dtype`.
  DType stored(DType dtype) const { return grid ? grid->storage : dtype; }
  bool operator==(const Form&) const = default;
};

/// "real", "u8 codes", "packed i4": for profiles and messages.
std::string to_string(const Form& form);

/// The form in which a value of this type lies as codes of `storage`: the type's grid, shifted
/// where one is signed and the other is not. nullopt unless the type is f32, quantized per tensor,
/// and its storage is no wider.
std::optional<Form> codes_form(const TensorType& type, DType storage);

/// The codes of a quantized constant in that form.
Tensor codes_of(const Value& constant, const Form& form);
/// A constant in real numbers (a quantized one is dequantized).
Tensor reals_of(const Value& constant);

}  // namespace nibble
