// Concat on codes: each input is moved to the output's scale on its way.
#include "kernels/elementwise.h"
#include "ops/quantization/integer_kernels.h"

namespace nibble {
namespace {

class Concat : public Kernel {
 public:
  struct Part {
    RequantizeParams params;
    RowShape rows;
    int64_t offset;  // in the first row of the output
  };
  Concat(std::vector<Part> parts, const Shape& out) : parts_(std::move(parts)), out_shape_(out) {}

  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, DType::u8, out_shape_);
    for (size_t i = 0; i < parts_.size(); ++i) {
      const Part& part = parts_[i];
      requantize_u8(part.params, part.rows, context.input(i).data<uint8_t>().data(),
                    out.data<uint8_t>().data() + part.offset, context.pool, isa_);
    }
  }
  std::string describe() const override { return "concat u8 " + std::string(name_of(isa_)); }

 private:
  std::vector<Part> parts_;
  Shape out_shape_;
  Isa isa_ = best_isa();
};

}  // namespace

std::unique_ptr<Kernel> integer_concat(const KernelSpec& spec) {
  const QuantParams& to = *spec.output_grid();
  const Shape& out = spec.outputs[0].shape;
  int axis = static_cast<int>(spec.types.node.attributes.required_integer("axis"));
  if (axis < 0) axis += out.rank();
  std::vector<Concat::Part> parts;
  int64_t offset = 0;
  for (size_t i = 0; i < spec.types.input_count(); ++i) {
    const QuantParams& from = *spec.grid(i);
    const Shape& in = spec.types.shape(i);
    const int64_t inner = in.elements(axis, in.rank());
    const RequantizeParams params{.in_zero = from.zero_point[0],
                                  .out_zero = to.zero_point[0],
                                  .ratio = from.scale[0] / to.scale[0],
                                  .qmin = to.qmin,
                                  .qmax = to.qmax};
    parts.push_back({params,
                     {.rows = in.elements(0, axis),
                      .inner = inner,
                      .in_step = inner,
                      .out_step = out.elements(axis, out.rank())},
                     offset});
    offset += inner;
  }
  return std::make_unique<Concat>(std::move(parts), out);
}

}  // namespace nibble
