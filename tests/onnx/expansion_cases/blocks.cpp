// Weights packed in blocks: 20 rows in blocks of 16 (the last is not full), 3 columns.
#include "onnx/expansion_cases/expansion_case.h"

namespace nibble::testing {
namespace {

constexpr size_t kRows = 20, kBlock = 16, kBlocks = 2, kColumns = 3;

// Rows of codes from the low bits up, each row from a new byte on.
std::vector<int32_t> packed(const std::vector<int32_t>& codes, size_t columns, size_t bits) {
  const size_t per_byte = 8 / bits, bytes = (columns + per_byte - 1) / per_byte;
  std::vector<int32_t> result(codes.size() / columns * bytes, 0);
  for (size_t i = 0; i < codes.size(); ++i) {
    result[i / columns * bytes + i % columns / per_byte] |= codes[i]
                                                            << (i % columns % per_byte * bits);
  }
  return result;
}

struct Weights {
  std::vector<int32_t> codes;         // [columns, blocks * block]
  std::vector<double> scales, zeros;  // [columns, blocks]
  double real(size_t k, size_t n, size_t group) const {
    return (codes[n * kBlocks * kBlock + k] - zeros[n * kBlocks + group]) *
           scales[n * kBlocks + group];
  }
};

Weights weights(size_t bits, uint32_t seed) {
  const int middle = 1 << (bits - 1);
  return {.codes = some_codes(kColumns * kBlocks * kBlock, seed, 0, 2 * middle - 1),
          .scales = numbers(kColumns * kBlocks, seed + 1, 0.01, 0.1),
          .zeros = std::vector<double>(kColumns * kBlocks, middle)};
}

ExpansionCase product(size_t bits, const Weights& w, const Tensor& zeros,
                      const std::vector<int32_t>& groups = {}, const Tensor& bias = {}) {
  const auto a = numbers(2 * kRows, 99);
  std::vector<double> y(2 * kColumns);
  for (size_t i = 0; i < y.size(); ++i) {
    if (!bias.empty()) y[i] = bias.data<float>()[i % kColumns];
    for (size_t k = 0; k < kRows; ++k) {
      const size_t group = groups.empty() ? k / kBlock : static_cast<size_t>(groups[k]);
      y[i] += a[i / kColumns * kRows + k] * w.real(k, i % kColumns, group);
    }
  }
  const auto blob = static_cast<int64_t>(kBlock * bits / 8);
  ExpansionCase result;
  result.node = {.op = "MatMulNBits",
                 .inputs = {reals({2, kRows}, a),
                            codes(DType::u8, {kColumns, kBlocks, blob},
                                  packed(w.codes, kBlocks * kBlock, bits)),
                            reals({kColumns * kBlocks}, w.scales), zeros,
                            groups.empty() ? Tensor() : codes(DType::i32, {kRows}, groups), bias},
                 .expected = {reals({2, kColumns}, y)},
                 .attributes = {{"K", int64_t{kRows}},
                                {"N", int64_t{kColumns}},
                                {"bits", static_cast<int64_t>(bits)},
                                {"block_size", int64_t{kBlock}}},
                 .opset = 17,
                 .domain = kMicrosoft};
  result.constant = {false, true, true, true, true, true};
  return result;
}

void add_products(std::vector<ExpansionCase>& cases) {
  for (const size_t bits : {2UL, 4UL, 8UL}) cases.push_back(product(bits, weights(bits, 1), {}));
  // Zero points of their own, packed like the codes, and as reals.
  Weights w = weights(4, 2);
  const std::vector<int32_t> zeros = some_codes(kColumns * kBlocks, 3, 0, 15);
  w.zeros.assign(zeros.begin(), zeros.end());
  cases.push_back(product(4, w, codes(DType::u8, {kColumns, 1}, packed(zeros, kBlocks, 4)), {},
                          f32({3}, {1, -2, 3})));
  cases.push_back(product(4, w, reals({kColumns, kBlocks}, w.zeros)));
  // What no type can say: a zero point between two codes, groups in another order.
  w.zeros[0] = 7.5;
  cases.push_back(product(4, w, reals({kColumns, kBlocks}, w.zeros)));
  std::vector<int32_t> groups;
  for (size_t k = 0; k < kRows; ++k) groups.push_back(k % 2 == 0 ? 1 : 0);
  cases.push_back(product(4, weights(4, 4), {}, groups));
}

// A table of 5 rows of 32 codes in blocks of 16; rows 4 and 1 are looked up.
void add_tables(std::vector<ExpansionCase>& cases) {
  constexpr size_t kWidth = 32;
  const auto scales = numbers(5 * 2, 6, 0.01, 0.1);
  const auto make = [&](DType stored, int64_t bits, int low, int zero) {
    const auto q = some_codes(5 * kWidth, 7, low, low + (1 << bits) - 1);
    std::vector<double> y;
    for (const size_t row : {4UL, 1UL}) {
      for (size_t i = 0; i < kWidth; ++i) {
        y.push_back((q[row * kWidth + i] - zero) * scales[row * 2 + i / 16]);
      }
    }
    const bool in_bytes = stored == DType::u8;
    const auto columns =
        static_cast<int64_t>(in_bytes ? kWidth * static_cast<size_t>(bits) / 8 : kWidth);
    cases.push_back(
        {.node = {.op = "GatherBlockQuantized",
                  .inputs = {codes(stored, {5, columns},
                                   in_bytes ? packed(q, kWidth, static_cast<size_t>(bits)) : q),
                             i64({1, 2}, {4, 1}), reals({5, 2}, scales)},
                  .expected = {reals({1, 2, kWidth}, y)},
                  .attributes = {{"block_size", int64_t{16}}, {"bits", bits}},
                  .domain = kMicrosoft},
         .constant = {true, false, true}});
  };
  make(DType::u8, 4, 0, 8);
  make(DType::u8, 8, 0, 128);
  make(DType::i4, 4, -8, 0);
  make(DType::u4, 4, 0, 0);
}

}  // namespace

void add_block_cases(std::vector<ExpansionCase>& cases) {
  add_products(cases);
  add_tables(cases);
}

}  // namespace nibble::testing
