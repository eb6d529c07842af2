// Operators that move or select codes. Slice, Transpose and Pad have a prepared copy; any other
// runs its own evaluation, which takes u8 like any element type.
#include <algorithm>
#include <cstring>
#include <numeric>

#include "kernels/layout.h"
#include "ops/element_move.h"
#include "ops/integer.h"

namespace nibble {
namespace {

class Move : public Kernel {
 public:
  /// `fill`: of the elements that the copy leaves out, if there are any.
  Move(std::string name, ElementMove copy, const Shape& out, std::optional<uint8_t> fill)
      : name_(std::move(name)), copy_(std::move(copy)), out_shape_(out), fill_(fill) {}
  void run(EvalContext& context) const override {
    Tensor& out = context.output(0, DType::u8, out_shape_);
    if (fill_) std::memset(out.raw(), *fill_, out.bytes());
    copy_.run(context.input(0).raw(), out.raw(), context.pool);
  }
  std::string describe() const override { return name_ + " u8"; }

 private:
  std::string name_;
  ElementMove copy_;
  Shape out_shape_;
  std::optional<uint8_t> fill_;
};

// A transposition that exchanges two runs of neighbouring axes, as between the layouts.
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

class Evaluate : public Kernel {
 public:
  explicit Evaluate(const KernelSpec& spec) : row_(require_op(spec.types.node, spec.types.opset)) {}
  void run(EvalContext& context) const override { row_.eval.function(context); }
  std::string describe() const override { return "eval u8"; }

 private:
  const OpRow& row_;
};

// The integers of a parameter that is input `i`, or, in older opsets, attribute `name`; nullopt if
// it is not known.
std::optional<std::vector<int64_t>> parameter(const NodeTypes& types, size_t i,
                                              std::string_view name) {
  if (!types.has(i)) return types.node.attributes.integers(name);
  const Tensor* constant = types.constant(i);
  if (constant == nullptr) return std::nullopt;
  const Tensor wide = convert(*constant, DType::i64);
  return std::vector<int64_t>(wide.data<int64_t>().begin(), wide.data<int64_t>().end());
}

std::unique_ptr<Kernel> slice(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  const Shape& in = types.shape(0);
  const auto starts = parameter(types, 1, "starts");
  auto axes = parameter(types, 3, "axes");
  auto steps = parameter(types, 4, "steps");
  if (!starts || !axes || !steps) return spec.refuse("its parameters are not constant");
  if (axes->empty()) {
    axes->resize(starts->size());
    std::iota(axes->begin(), axes->end(), int64_t{0});
  }
  if (steps->empty()) steps->assign(starts->size(), 1);
  std::vector<int64_t> all_starts(static_cast<size_t>(in.rank()), 0);
  std::vector<int64_t> all_steps(static_cast<size_t>(in.rank()), 1);
  for (size_t i = 0; i < starts->size(); ++i) {
    const int64_t axis = (*axes)[i] < 0 ? (*axes)[i] + in.rank() : (*axes)[i];
    const int64_t extent = in[static_cast<int>(axis)];
    const int64_t step = (*steps)[i];
    const int64_t start = (*starts)[i] < 0 ? (*starts)[i] + extent : (*starts)[i];
    all_steps[static_cast<size_t>(axis)] = step;
    all_starts[static_cast<size_t>(axis)] =
        std::clamp<int64_t>(start, 0, step > 0 ? extent : extent - 1);
  }
  const Shape& out = spec.outputs[0].shape;
  return std::make_unique<Move>("slice", ElementMove::slice(in, all_starts, all_steps, out, 1), out,
                                std::nullopt);
}

std::unique_ptr<Kernel> transpose(const KernelSpec& spec) {
  const Shape& in = spec.types.shape(0);
  const Shape& out = spec.outputs[0].shape;
  std::vector<int64_t> permutation = spec.types.node.attributes.integers("perm");
  if (permutation.empty()) {
    for (int axis = in.rank(); axis-- > 0;) permutation.push_back(axis);
  }
  // [same][channels][spatial] -> [same][spatial][channels]?
  int same = 0;
  while (same < in.rank() && permutation[static_cast<size_t>(same)] == same) ++same;
  const auto middle =
      same < in.rank() ? static_cast<int>(permutation[static_cast<size_t>(same)]) : same;
  bool exchange = same < in.rank();
  for (int i = same; i < in.rank(); ++i) {
    const int source = middle + (i - same);
    exchange = exchange && permutation[static_cast<size_t>(i)] ==
                               (source < in.rank() ? source : source - in.rank() + same);
  }
  if (exchange) {
    return std::make_unique<Exchange>(LayoutShape{.batch = in.elements(0, same),
                                                  .channels = in.elements(same, middle),
                                                  .spatial = in.elements(middle, in.rank())},
                                      out);
  }
  return std::make_unique<Move>("transpose", ElementMove::transpose(in, permutation, 1), out,
                                std::nullopt);
}

std::unique_ptr<Kernel> pad(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  const Shape& in = types.shape(0);
  if (types.node.attributes.text("mode", "constant") != "constant") {
    return std::make_unique<Evaluate>(spec);
  }
  const auto pads = parameter(types, 1, "pads");
  auto axes = parameter(types, 3, "axes");
  if (!pads || !axes) return spec.refuse("its parameters are not constant");
  if (axes->empty()) {
    axes->resize(static_cast<size_t>(in.rank()));
    std::iota(axes->begin(), axes->end(), int64_t{0});
  }
  std::vector<int64_t> begins(static_cast<size_t>(in.rank()), 0);
  for (size_t i = 0; i < axes->size(); ++i) {
    const int64_t axis = (*axes)[i] < 0 ? (*axes)[i] + in.rank() : (*axes)[i];
    begins[static_cast<size_t>(axis)] = (*pads)[i];
    if ((*pads)[i] < 0 || (*pads)[i + axes->size()] < 0) return spec.refuse("it crops");
  }
  float value = types.node.attributes.real("value", 0);
  if (types.has(2)) {
    if (types.constant(2) == nullptr) return spec.refuse("its value is not constant");
    value = convert(*types.constant(2), DType::f32).data<float>()[0];
  }
  const QuantParams& quant = *types.input(0).quant;
  const Tensor code = quantize_tensor(Tensor::scalar(value), quant);
  if (dequantize_tensor(code, quant).data<float>()[0] != value) {
    return spec.refuse("its value is not one of the codes");
  }
  const Shape& out = spec.outputs[0].shape;
  return std::make_unique<Move>("pad", ElementMove::place(in, begins, out, 1), out,
                                code.data<uint8_t>()[0]);
}

}  // namespace

std::unique_ptr<Kernel> integer_same_codes(const KernelSpec& spec) {
  const std::string& op = spec.types.node.op;
  if (op == "Slice") return slice(spec);
  if (op == "Transpose") return transpose(spec);
  if (op == "Pad") return pad(spec);
  for (size_t i = 1; i < spec.types.input_count(); ++i) {
    if (spec.types.has(i) && is_float(spec.types.input(i).dtype)) {
      return spec.refuse("it has another operand in real numbers");
    }
  }
  if (!require_op(spec.types.node, spec.types.opset).eval)
    return spec.refuse("it has no evaluation");
  return std::make_unique<Evaluate>(spec);
}

}  // namespace nibble
