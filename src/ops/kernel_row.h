// The kernels of an operator: which forms they read and give, and how they are made.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "ops/eval.h"
#include "ops/form.h"

#pragma GCC visibility push(default)
namespace nibble {

/// What a kernel is made for: the node, its types and constants, and the forms of its operands, as
/// its row asked for them (KernelRow). The dtypes are those in memory; the types of the outputs
/// still say which grid the graph wants. Not the number of threads: no result may depend on it.
struct KernelSpec {
  const NodeTypes& types;
  std::span<const TensorType> outputs;
  std::span<const Form> input_forms = {};   // none: all real
  std::span<const Form> output_forms = {};  // likewise
  /// Unsigned data times signed weights are added in pairs of 16 bits, which saturate
  /// (Arithmetic::saturating16).
  bool saturating16 = false;
  /// Where a row may say why it has no kernel; shown in profiles.
  std::string* why_not = nullptr;

  /// The grid of an operand that is no real number; nullptr if it is one.
  const QuantParams* grid(size_t input) const {
    return input < input_forms.size() && input_forms[input].grid ? &*input_forms[input].grid
                                                                 : nullptr;
  }
  const QuantParams* output_grid(size_t output = 0) const {
    return output < output_forms.size() && output_forms[output].grid ? &*output_forms[output].grid
                                                                     : nullptr;
  }
  /// nullptr, with the reason left in *why_not.
  std::nullptr_t refuse(std::string_view reason) const {
    if (why_not != nullptr) *why_not = reason;
    return nullptr;
  }
};

/// The form in which a kernel reads an input.
enum class Reads : uint8_t {
  real,      // real numbers (or whatever the dtype is), constants too
  u8,        // codes of one byte, unsigned
  s8,        // codes of one byte, signed
  u16,       // codes of two bytes, unsigned
  s16,       // codes of two bytes, signed
  as_it_is,  // codes, if the value exists as such, else reals: for operators that move elements
  u8_or_constant,  // u8 codes, or a constant, which is given in real numbers
  weight,     // a quantized constant, packed as it is stored: read when the kernel is made, not
              // given to run()
  parameter,  // a constant or left out, packed if it is quantized; likewise
};

/// The form of a kernel's outputs.
enum class Gives : uint8_t {
  real,
  u8,  // only where the graph wants 8 bits or fewer
  s8,
  u16,
  s16,
  u8_or_real,  // u8 where the graph wants at most 8 bits, else reals
  moved,       // as input 0
};

/// One way to compute an operator. Lowering asks an operator's rows in order and takes the first
/// that makes a kernel; it puts the operands into the forms asked for.
struct KernelRow {
  std::string_view name;
  std::array<Reads, 4> reads{};  // of inputs 0, 1, 2, 3 and further ones
  Gives gives = Gives::real;
  /// nullptr, with a reason in KernelSpec::why_not, if it cannot do this case. All shapes are
  /// known.
  std::unique_ptr<Kernel> (*make)(const KernelSpec&) = nullptr;

  constexpr Reads read(size_t input) const { return reads[input < 4 ? input : 3]; }
  /// It works on integers between quantized values, or on packed weights: not in f32 arithmetic.
  constexpr bool is_quantized() const {
    for (Reads r : reads) {
      if (r != Reads::real && r != Reads::as_it_is) return true;
    }
    return gives != Gives::real && gives != Gives::moved;
  }
};

/// Rows of kernels on real numbers, and of kernels that move elements of any type.
constexpr KernelRow on_reals(std::string_view name,
                             std::unique_ptr<Kernel> (*make)(const KernelSpec&)) {
  return {.name = name, .make = make};
}
constexpr KernelRow on_elements(std::string_view name,
                                std::unique_ptr<Kernel> (*make)(const KernelSpec&)) {
  return {.name = name,
          .reads = {Reads::as_it_is, Reads::real, Reads::real, Reads::real},
          .gives = Gives::moved,
          .make = make};
}

/// The kernels of an operator, best first; or why it has none besides its eval.
struct KernelList {
  std::span<const KernelRow> rows;
  std::string_view reason;

  constexpr KernelList() : reason("not decided") {}
  constexpr KernelList(const char* why) : reason(why) {}       // NOLINT: implicit on purpose
  constexpr KernelList(std::string_view why) : reason(why) {}  // NOLINT
  template <size_t N>
  constexpr KernelList(const std::array<KernelRow, N>& list) : rows(list) {}  // NOLINT
};

}  // namespace nibble
#pragma GCC visibility pop
