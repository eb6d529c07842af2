// Where a kernel's rows of reals go: to memory as they are, or as codes of the grid that the graph
// wants.
#pragma once

#include <cstdint>

#include "kernels/isa_table.h"
#include "ops/kernel_row.h"

namespace nibble {

class RowSink {
 public:
  /// For output `output` of a row that gives u8 or reals.
  explicit RowSink(const KernelSpec& spec, size_t output = 0)
      : shape_(spec.outputs[output].shape), rows_(isa_row(best_isa()).rows()) {
    const QuantParams* grid = spec.output_grid(output);
    codes_ = grid != nullptr;
    if (codes_) params_ = {grid->scale[0], grid->zero_point[0], grid->qmin, grid->qmax};
  }

  bool gives_codes() const { return codes_; }
  const Shape& shape() const { return shape_; }
  /// The output's memory.
  void* open(EvalContext& context, size_t output = 0) const {
    return context.output(output, codes_ ? DType::u8 : DType::f32, shape_).raw();
  }
  /// Where to compute elements from `at` on: their own place, or `buffer`.
  float* place(void* out, int64_t at, float* buffer) const {
    return codes_ ? buffer : static_cast<float*>(out) + at;
  }
  /// Puts `n` elements that were computed at place() where they belong.
  void store(const float* row, void* out, int64_t at, int64_t n) const {
    if (codes_) rows_.quantize(params_, row, static_cast<uint8_t*>(out) + at, n);
  }

 private:
  Shape shape_;
  const RowKernels& rows_;
  bool codes_ = false;
  QuantizeParams params_;
};

}  // namespace nibble
