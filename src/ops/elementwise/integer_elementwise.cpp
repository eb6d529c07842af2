// Add, Sub and Mul on codes, with broadcasting.
#include "kernels/elementwise.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/quantization/integer_support.h"

namespace nibble {
namespace {

// Extents and steps of a broadcast pair, with neighbouring axes merged as far as possible; nullopt
// if more than three remain.
std::optional<BinaryShape> binary_shape(const Shape& a, const Shape& b, const Shape& out) {
  struct Run {
    int64_t extent;
    bool a_moves;
    bool b_moves;
  };
  std::vector<Run> runs;
  for (int axis = 0; axis < out.rank(); ++axis) {
    if (out[axis] == 1) continue;
    const auto moves = [&](const Shape& shape) {
      const int own = axis - (out.rank() - shape.rank());
      return own >= 0 && shape[own] != 1;
    };
    const Run run{out[axis], moves(a), moves(b)};
    if (!runs.empty() && runs.back().a_moves == run.a_moves && runs.back().b_moves == run.b_moves) {
      runs.back().extent *= run.extent;
    } else {
      runs.push_back(run);
    }
  }
  BinaryShape shape;
  if (runs.size() > shape.extent.size()) return std::nullopt;
  shape.a_step = shape.b_step = {0, 0, 0};
  int64_t a_step = 1;
  int64_t b_step = 1;
  size_t at = shape.extent.size();
  for (auto run = runs.rbegin(); run != runs.rend(); ++run) {
    --at;
    shape.extent[at] = run->extent;
    if (run->a_moves) {
      shape.a_step[at] = a_step;
      a_step *= run->extent;
    }
    if (run->b_moves) {
      shape.b_step[at] = b_step;
      b_step *= run->extent;
    }
  }
  return shape;
}

// `Function` is add_u8 or mul_u8.
template <typename Params, auto Function>
class Binary : public Kernel {
 public:
  Binary(const Params& params, const BinaryShape& shape, const KernelSpec& spec)
      : params_(params),
        shape_(shape),
        out_shape_(spec.outputs[0].shape),
        name_(spec.types.node.op) {
    for (size_t i = 0; i < 2; ++i)
      same_[i] = spec.types.shape(i).elements() == out_shape_.elements();
  }

  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, DType::u8, out_shape_);
    Function(params_, shape_, context.input(0).data<uint8_t>().data(),
             context.input(1).data<uint8_t>().data(), out.data<uint8_t>().data(), context.pool,
             isa_);
  }
  bool in_place(size_t i) const override { return i < 2 && same_[i]; }
  std::string describe() const override { return name_ + " u8 " + std::string(name_of(isa_)); }

 private:
  Params params_;
  BinaryShape shape_;
  Shape out_shape_;
  std::string name_;
  std::array<bool, 2> same_{};
  Isa isa_ = best_isa();
};

std::optional<BinaryShape> operands(const KernelSpec& spec) {
  const auto shape = binary_shape(spec.types.shape(0), spec.types.shape(1), spec.outputs[0].shape);
  if (!shape) spec.refuse("its operands broadcast along too many axes");
  return shape;
}

}  // namespace

std::unique_ptr<Kernel> integer_add(const KernelSpec& spec) {
  const auto shape = operands(spec);
  if (!shape) return nullptr;
  const QuantParams& a = *spec.grid(0);
  const QuantParams& b = *spec.grid(1);
  const QuantParams& out = *spec.output_grid();
  const CodeRange range = code_range(out, spec.types.node.clamp);
  const float sign = spec.types.node.op == "Sub" ? -1.0F : 1.0F;
  return std::make_unique<Binary<AddParams, add_u8>>(
      AddParams{.a_zero = a.zero_point[0],
                .b_zero = b.zero_point[0],
                .out_zero = out.zero_point[0],
                .a_ratio = a.scale[0] / out.scale[0],
                .b_ratio = sign * (b.scale[0] / out.scale[0]),
                .qmin = range.qmin,
                .qmax = range.qmax},
      *shape, spec);
}

std::unique_ptr<Kernel> integer_mul(const KernelSpec& spec) {
  const auto shape = operands(spec);
  if (!shape) return nullptr;
  const QuantParams& a = *spec.grid(0);
  const QuantParams& b = *spec.grid(1);
  const QuantParams& out = *spec.output_grid();
  const CodeRange range = code_range(out, spec.types.node.clamp);
  const double multiplier = static_cast<double>(a.scale[0]) * b.scale[0] / out.scale[0];
  return std::make_unique<Binary<MulParams, mul_u8>>(
      MulParams{.a_zero = a.zero_point[0],
                .b_zero = b.zero_point[0],
                .out_zero = out.zero_point[0],
                .multiplier = static_cast<float>(multiplier),
                .qmin = range.qmin,
                .qmax = range.qmax},
      *shape, spec);
}

}  // namespace nibble
