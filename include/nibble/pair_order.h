// Which products an integer kernel adds in 16 bits before it adds them in 32.
#pragma once

#include <cstdint>

#pragma GCC visibility push(default)
namespace nibble {

/// x86 CPUs without VNNI multiply unsigned by signed bytes and add two neighbouring products in one
/// instruction (vpmaddubsw), whose 16 bits saturate. Which products of an output channel are
/// neighbours is a matter of the kernel: numbers 0 and 1, 2 and 3, ... of each run of its weights;
/// an odd last one is alone. A convolution whose groups have one input and one output channel adds
/// in 32 bits.
enum class PairOrder : uint8_t {
  /// One run: [kernel position][input channel of the group], channels fastest; the reduction of a
  /// matrix product. ONNX Runtime, and oneDNN where it lowers a convolution to a matrix product.
  flattened,
  /// A run for each kernel position, over the input channels. oneDNN's convolutions. The same pairs
  /// as `flattened` where the number of input channels is even.
  per_position,
};

}  // namespace nibble
#pragma GCC visibility pop
