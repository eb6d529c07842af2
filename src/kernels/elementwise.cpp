#include "kernels/elementwise.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "kernels/isa_table.h"

namespace nibble {
namespace {

// Elements below which a second thread costs more than it saves (about 2 microseconds of work).
constexpr int64_t kGrain = 16384;

// body(begin, end) over [0, count) elements that each cost about one code.
template <typename Body>
void over_elements(int64_t count, ThreadPool& pool, const Body& body) {
  if (count <= kGrain) {
    if (count > 0) body(int64_t{0}, count);
    return;
  }
  pool.parallel_ranges(count, kGrain / 4, body);
}

// body(row) over rows of `inner` codes.
template <typename Body>
void over_rows(int64_t rows, int64_t inner, ThreadPool& pool, const Body& body) {
  const int64_t grain = std::max<int64_t>(1, kGrain / 2 / std::max<int64_t>(inner, 1));
  pool.parallel_ranges(rows, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) body(row);
  });
}

// Runs kernel(params, a, b, out, n) over a BinaryShape. A broadcast innermost operand is spread
// into a small buffer first.
template <typename Params, typename Kernel>
void binary(const Params& params, Kernel kernel, const BinaryShape& shape, const uint8_t* a,
            const uint8_t* b, uint8_t* out, ThreadPool& pool) {
  const auto [outer, rows, inner] = shape.extent;
  check((shape.a_step[2] == 0 || shape.a_step[2] == 1) &&
            (shape.b_step[2] == 0 || shape.b_step[2] == 1),
        "the innermost steps must be 0 or 1");
  const auto run = [&](const uint8_t* pa, const uint8_t* pb, uint8_t* po, int64_t n) {
    if (shape.a_step[2] == 1 && shape.b_step[2] == 1) return kernel(params, pa, pb, po, n);
    constexpr int64_t kSpread = 256;
    uint8_t spread_a[kSpread];
    uint8_t spread_b[kSpread];
    if (shape.a_step[2] == 0) std::memset(spread_a, *pa, kSpread);
    if (shape.b_step[2] == 0) std::memset(spread_b, *pb, kSpread);
    for (int64_t i = 0; i < n; i += kSpread) {
      kernel(params, shape.a_step[2] == 0 ? spread_a : pa + i,
             shape.b_step[2] == 0 ? spread_b : pb + i, po + i, std::min(kSpread, n - i));
    }
  };
  if (outer * rows == 1) {
    over_elements(inner, pool, [&](int64_t begin, int64_t end) {
      run(a + begin * shape.a_step[2], b + begin * shape.b_step[2], out + begin, end - begin);
    });
    return;
  }
  const int64_t row_count = rows;
  const int64_t length = inner;
  over_rows(outer * rows, inner, pool, [&](int64_t row) {
    const int64_t o = row / row_count;
    const int64_t r = row % row_count;
    run(a + o * shape.a_step[0] + r * shape.a_step[1],
        b + o * shape.b_step[0] + r * shape.b_step[1], out + row * length, length);
  });
}

}  // namespace

void add_u8(const AddParams& params, const BinaryShape& shape, const uint8_t* a, const uint8_t* b,
            uint8_t* out, ThreadPool& pool, Isa isa) {
  binary(params, isa_row(isa).rows().add, shape, a, b, out, pool);
}

void mul_u8(const MulParams& params, const BinaryShape& shape, const uint8_t* a, const uint8_t* b,
            uint8_t* out, ThreadPool& pool, Isa isa) {
  binary(params, isa_row(isa).rows().mul, shape, a, b, out, pool);
}

void requantize_u8(const RequantizeParams& params, const RowShape& shape, const uint8_t* in,
                   uint8_t* out, ThreadPool& pool, Isa isa) {
  const RowKernels& kernels = isa_row(isa).rows();
  const auto run = [&](const uint8_t* from, uint8_t* to, int64_t n) {
    if (!params.is_copy()) return kernels.requantize(params, from, to, n);
    if (n > 0) std::memmove(to, from, static_cast<size_t>(n));
  };
  if (shape.rows == 1) {
    over_elements(shape.inner, pool,
                  [&](int64_t begin, int64_t end) { run(in + begin, out + begin, end - begin); });
    return;
  }
  over_rows(shape.rows, shape.inner, pool, [&](int64_t row) {
    run(in + row * shape.in_step, out + row * shape.out_step, shape.inner);
  });
}

void table_u8(std::span<const uint8_t, 256> table, const uint8_t* in, uint8_t* out, int64_t count,
              ThreadPool& pool, Isa isa) {
  const RowKernels& kernels = isa_row(isa).rows();
  over_elements(count, pool, [&](int64_t begin, int64_t end) {
    kernels.table(table.data(), in + begin, out + begin, end - begin);
  });
}

void quantize_u8(const QuantizeParams& params, const float* in, uint8_t* out, int64_t count,
                 ThreadPool& pool, Isa isa) {
  const RowKernels& kernels = isa_row(isa).rows();
  over_elements(count, pool, [&](int64_t begin, int64_t end) {
    kernels.quantize(params, in + begin, out + begin, end - begin);
  });
}

void dequantize_u8(float scale, int32_t zero_point, const uint8_t* in, float* out, int64_t count,
                   ThreadPool& pool, Isa isa) {
  const RowKernels& kernels = isa_row(isa).rows();
  over_elements(count, pool, [&](int64_t begin, int64_t end) {
    kernels.dequantize(scale, zero_point, in + begin, out + begin, end - begin);
  });
}

}  // namespace nibble
