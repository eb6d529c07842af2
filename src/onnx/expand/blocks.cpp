// Weights packed into bytes, with one scale per block, become DequantizeLinear of a constant: a
// block-quantized weight in the type.
//
// Before: %y = MatMulNBits(%x, %bytes:u8[N,blocks,bytes], %scales) {K, N, bits, block_size}
// After:  %w = DequantizeLinear(%codes:i4[K,N], %scales[blocks,N]) {axis=0, block_size}
//         %y = MatMul(%x, %w)
#include <algorithm>
#include <array>

#include "base/check.h"
#include "onnx/expand/families.h"
#include "onnx/expand/support.h"

namespace nibble {
namespace {

// `columns` codes of `bits` bits from the start of each of `rows` rows of bytes, low bits first.
std::vector<int32_t> unpacked(Expansion& e, const Tensor& bytes, int64_t rows, int64_t columns,
                              int64_t bits) {
  const int64_t per_byte = 8 / bits, row_bytes = (columns + per_byte - 1) / per_byte;
  int64_t wanted = 0;
  if (__builtin_mul_overflow(rows, row_bytes, &wanted) || bytes.dtype() != DType::u8 ||
      bytes.elements() != wanted) {
    e.refuse(fmt::format("{}{} does not hold {} rows of {} codes of {} bits",
                         name_of(bytes.dtype()), bytes.shape().to_string(), rows, columns, bits));
  }
  const std::span<const uint8_t> data = bytes.data<uint8_t>();
  std::vector<int32_t> codes;
  codes.reserve(static_cast<size_t>(rows * columns));
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t i = 0; i < columns; ++i) {
      const int byte = data[static_cast<size_t>(row * row_bytes + i / per_byte)];
      codes.push_back(byte >> (i % per_byte * bits) & ((1 << bits) - 1));
    }
  }
  return codes;
}

template <typename T>
std::vector<T> transposed_copy(const std::vector<T>& in, int64_t rows, int64_t columns) {
  std::vector<T> out(in.size());
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) {
      out[static_cast<size_t>(c * rows + r)] = in[static_cast<size_t>(r * columns + c)];
    }
  }
  return out;
}

struct Codes {
  std::vector<int32_t> values, zero_points;
  Shape shape, groups;
  int64_t bits;
};

// DequantizeLinear of the codes. Codes around the middle are stored as signed ones around 0.
ValueId dequantized_codes(Expansion& e, Codes codes, const Tensor& scale, int64_t axis,
                          int64_t block) {
  const int32_t middle = 1 << (codes.bits - 1);
  const bool is_signed =
      std::ranges::all_of(codes.zero_points, [&](int32_t zero) { return zero == middle; });
  if (is_signed) {
    for (int32_t& code : codes.values) code -= middle;
    std::ranges::fill(codes.zero_points, 0);
  }
  const DType type = codes.bits == 2   ? (is_signed ? DType::i2 : DType::u2)
                     : codes.bits == 4 ? (is_signed ? DType::i4 : DType::u4)
                                       : (is_signed ? DType::i8 : DType::u8);
  return e.op("DequantizeLinear",
              {e.constant(pack_integers(type, codes.shape, codes.values)), e.constant(scale),
               e.constant(pack_integers(type, codes.groups, codes.zero_points))},
              attributes_of({{"axis", axis}, {"block_size", block}}));
}

// Zero points of `rows` rows of `columns`: packed as the codes are, or real numbers; nullopt if one
// of these is not an integer that a code can be.
std::optional<std::vector<int32_t>> zero_points_of(Expansion& e, size_t input, int64_t rows,
                                                   int64_t columns, int64_t bits) {
  if (!e.has(input))
    return std::vector<int32_t>(static_cast<size_t>(rows * columns), 1 << (bits - 1));
  const Tensor& stored = e.required(e.in(input), "zero points");
  if (stored.dtype() == DType::u8) return unpacked(e, stored, rows, columns, bits);
  const Tensor reals = convert(stored, DType::f32);
  if (reals.elements() != rows * columns) e.refuse("its zero points do not fit its scales");
  std::vector<int32_t> zeros;
  for (const float real : reals.data<float>()) {
    if (!(real >= 0 && real < static_cast<float>(1 << bits))) return std::nullopt;
    zeros.push_back(static_cast<int32_t>(real));
    if (static_cast<float>(zeros.back()) != real) return std::nullopt;
  }
  return zeros;
}

// The group of each row of the weight; nullopt where they follow one another.
std::optional<std::vector<int32_t>> groups_of(Expansion& e, size_t input, int64_t rows,
                                              int64_t block, int64_t groups) {
  if (!e.has(input)) return std::nullopt;
  const Tensor& stored = e.required(e.in(input), "group index");
  if (!is_integer(stored.dtype())) e.refuse("its group index is not of integers");
  std::vector<int32_t> group = unpack_integers(stored);
  bool in_order = true;
  if (static_cast<int64_t>(group.size()) < rows) e.refuse("its group index is too short");
  group.resize(static_cast<size_t>(rows));
  for (int64_t k = 0; k < rows; ++k) {
    const int32_t g = group[static_cast<size_t>(k)];
    if (g < 0 || g >= groups) e.refuse(fmt::format("there is no group {}", g));
    in_order = in_order && g == k / block;
  }
  if (in_order) return std::nullopt;
  return group;
}

struct Block {
  int64_t rows, columns, bits, size, count;  // of the weight [K, N]; blocks along K
};

Block block_of(Expansion& e) {
  const Attributes& attributes = e.node.attributes;
  Block block{.rows = attributes.required_integer("K"),
              .columns = attributes.required_integer("N"),
              .bits = attributes.integer("bits", 4),
              .size = attributes.required_integer("block_size"),
              .count = 0};
  if (block.bits != 2 && block.bits != 4 && block.bits != 8) {
    e.refuse(fmt::format("weights of {} bits are not supported, only 2, 4 and 8", block.bits));
  }
  const auto is_extent = [](int64_t extent) { return extent >= 1 && extent <= INT32_MAX; };
  if (!is_extent(block.rows) || !is_extent(block.columns) || !is_extent(block.size) ||
      block.size * block.bits % 8 != 0 || attributes.integer("weight_prepacked", 0) != 0) {
    e.refuse("its weight is not packed in blocks of whole bytes");
  }
  block.count = (block.rows + block.size - 1) / block.size;
  return block;
}

// [N, blocks * size] -> [K, N].
std::vector<int32_t> weight_codes(Expansion& e, const Block& block) {
  const std::vector<int32_t> padded = unpacked(e, e.required(e.in(1), "weight"), block.columns,
                                               block.count * block.size, block.bits);
  std::vector<int32_t> codes(static_cast<size_t>(block.rows * block.columns));
  for (int64_t n = 0; n < block.columns; ++n) {
    for (int64_t k = 0; k < block.rows; ++k) {
      codes[static_cast<size_t>(k * block.columns + n)] =
          padded[static_cast<size_t>(n * block.count * block.size + k)];
    }
  }
  return codes;
}

// What the type cannot say (zero points between the codes, rows in any order): the reals.
Tensor weight_reals(Expansion& e, const Block& block, const std::vector<int32_t>& codes,
                    const std::vector<float>& scales,
                    const std::optional<std::vector<int32_t>>& groups) {
  std::vector<float> zeros(scales.size(), static_cast<float>(1 << (block.bits - 1)));
  if (e.has(3)) {
    const Tensor& stored = *e.known(e.in(3));
    if (stored.dtype() == DType::u8) {
      const auto packed = unpacked(e, stored, block.columns, block.count, block.bits);
      zeros.assign(packed.begin(), packed.end());
    } else {
      const Tensor reals = convert(stored, DType::f32);
      zeros.assign(reals.data<float>().begin(), reals.data<float>().end());
    }
  }
  Tensor weight(DType::f32, {block.rows, block.columns});
  const std::span<float> out = weight.data<float>();
  for (int64_t k = 0; k < block.rows; ++k) {
    const int64_t g = groups ? (*groups)[static_cast<size_t>(k)] : k / block.size;
    for (int64_t n = 0; n < block.columns; ++n) {
      const auto at = static_cast<size_t>(k * block.columns + n);
      const auto group = static_cast<size_t>(n * block.count + g);
      out[at] = (static_cast<float>(codes[at]) - zeros[group]) * scales[group];
    }
  }
  return weight;
}

// A, B, scales, zero_points, g_idx, bias
bool matmul_n_bits(Expansion& e) {
  const Block block = block_of(e);
  const std::vector<int32_t> codes = weight_codes(e, block);
  const Tensor& stored_scales = e.required(e.in(2), "scales");
  const Tensor scales = convert(stored_scales, DType::f32);
  if (scales.elements() != block.columns * block.count) {
    e.refuse(fmt::format("{} scales do not fit {} blocks", scales.elements(),
                         block.columns * block.count));
  }
  const std::vector<float> by_column(scales.data<float>().begin(), scales.data<float>().end());
  const auto groups = groups_of(e, 4, block.rows, block.size, block.count);
  const auto zeros = zero_points_of(e, 3, block.columns, block.count, block.bits);
  ValueId weight;
  if (groups || !zeros) {
    const Tensor reals = weight_reals(e, block, codes, by_column, groups);
    weight = e.constant(convert(reals, stored_scales.dtype()));
  } else {
    const Shape shape{block.count, block.columns};
    const std::vector<float> by_block = transposed_copy(by_column, block.columns, block.count);
    const Tensor scale = Tensor::of<float>(shape, std::span<const float>(by_block));
    weight = dequantized_codes(e,
                               {.values = codes,
                                .zero_points = transposed_copy(*zeros, block.columns, block.count),
                                .shape = {block.rows, block.columns},
                                .groups = shape,
                                .bits = block.bits},
                               convert(scale, stored_scales.dtype()), 0, block.size);
  }
  e.give(0, sum(e, {e.op("MatMul", {e.in(0), weight}), e.in(5)}));
  return true;
}

// Bytes of several codes along the last axis, or codes as they are, as ONNX stores them.
Codes table_codes(Expansion& e, const Tensor& data, const Tensor& scales) {
  Codes codes{.values = {},
              .zero_points = {},
              .shape = data.shape(),
              .groups = scales.shape(),
              .bits = e.node.attributes.integer("bits", 4)};
  const bool in_bytes = data.dtype() == DType::u8;
  if (!in_bytes) codes.bits = bits_of(data.dtype());
  if ((codes.bits != 2 && codes.bits != 4 && codes.bits != 8) || !is_integer(data.dtype()) ||
      data.shape().rank() < 1 || scales.shape().rank() != data.shape().rank()) {
    e.refuse("its data are not codes of 2, 4 or 8 bits");
  }
  const int last = data.shape().rank() - 1;
  if (!in_bytes) {
    codes.values = unpack_integers(data);
    codes.zero_points = e.has(3) ? unpack_integers(e.required(e.in(3), "zero points"))
                                 : std::vector<int32_t>(static_cast<size_t>(scales.elements()), 0);
    return codes;
  }
  codes.shape[last] *= 8 / codes.bits;
  codes.values = unpacked(e, data, codes.shape.elements(0, last), codes.shape[last], codes.bits);
  codes.zero_points =
      *zero_points_of(e, 3, scales.shape().elements(0, last), scales.shape()[last], codes.bits);
  return codes;
}

// data, indices, scales, zero_points
bool gather_block_quantized(Expansion& e) {
  const Tensor& data = e.required(e.in(0), "table");
  const Tensor& scales = e.required(e.in(2), "scales");
  if (e.has(3) && !is_integer(e.required(e.in(3), "zero points").dtype())) {
    e.refuse("its zero points are not codes");
  }
  const Codes codes = table_codes(e, data, scales);
  const int64_t axis = e.node.attributes.integer("quantize_axis", 1);
  const int64_t block = e.node.attributes.integer("block_size", 128);
  ValueId table;
  if (data.dtype() == DType::u8) {
    table = dequantized_codes(e, codes, scales, axis, block);
  } else {
    table = e.op("DequantizeLinear", {e.in(0), e.in(2), e.in(3)},
                 attributes_of({{"axis", axis}, {"block_size", block}}));
  }
  const int64_t gather_axis = e.node.attributes.integer("gather_axis", 0);
  e.give(0, e.op("Gather", {table, e.in(1)}, attributes_of({{"axis", gather_axis}})));
  return true;
}

constexpr std::array kRows = {
    ExpansionRow{kMicrosoft, "GatherBlockQuantized", gather_block_quantized,
                 "DequantizeLinear, Gather"},
    ExpansionRow{kMicrosoft, "MatMulNBits", matmul_n_bits, "DequantizeLinear, MatMul, Add"},
};

}  // namespace

std::span<const ExpansionRow> block_expansions() { return kRows; }

}  // namespace nibble
