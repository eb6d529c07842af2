// Operators that move or select elements do so with codes as with any other element type.
#include <algorithm>

#include "kernels/layout.h"
#include "ops/quantization/integer_kernels.h"

namespace nibble {
namespace {

class EvalOnCodes : public Kernel {
 public:
  explicit EvalOnCodes(const OpRow& row) : row_(row) {}
  void run(EvalContext& context) const override { row_.eval.function(context); }
  std::string describe() const override { return "eval on codes"; }

 private:
  const OpRow& row_;
};

class Exchange : public Kernel {
 public:
  Exchange(const LayoutShape& shape, const Shape& out) : shape_(shape), out_shape_(out) {}
  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, DType::u8, out_shape_);
    to_channels_last(shape_, context.input(0).data<uint8_t>().data(), out.data<uint8_t>().data(),
                     context.pool);
  }
  std::string describe() const override { return "transpose u8"; }

 private:
  LayoutShape shape_;
  Shape out_shape_;
};

}  // namespace

std::optional<LayoutShape> exchanged_axes(const Node& transpose, const Shape& in) {
  std::vector<int64_t> permutation = transpose.attributes.integers("perm");
  if (permutation.empty()) {
    for (int axis = in.rank(); axis-- > 0;) permutation.push_back(axis);
  }
  int same = 0;
  while (same < in.rank() && permutation[static_cast<size_t>(same)] == same) ++same;
  if (same == in.rank()) return std::nullopt;
  const auto middle = static_cast<int>(permutation[static_cast<size_t>(same)]);
  for (int i = same; i < in.rank(); ++i) {
    const int source = middle + (i - same);
    const int wrapped = source < in.rank() ? source : source - in.rank() + same;
    if (permutation[static_cast<size_t>(i)] != wrapped) return std::nullopt;
  }
  return LayoutShape{.batch = in.elements(0, same),
                     .channels = in.elements(same, middle),
                     .spatial = in.elements(middle, in.rank())};
}

std::unique_ptr<Kernel> exchange_codes(const KernelSpec& spec) {
  const auto shape = exchanged_axes(spec.types.node, spec.types.shape(0));
  if (!shape) return spec.refuse("it does not exchange two runs of axes");
  return std::make_unique<Exchange>(*shape, spec.outputs[0].shape);
}

std::unique_ptr<Kernel> evaluate_on_codes(const KernelSpec& spec) {
  if (spec.grid(0) == nullptr) return spec.refuse("its input is no code");
  return std::make_unique<EvalOnCodes>(require_op(spec.types.node, spec.types.opset));
}

}  // namespace nibble
