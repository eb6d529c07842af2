// Operators that reorder elements by permuting axes: Transpose, DepthToSpace, SpaceToDepth.
#include <algorithm>
#include <array>
#include <numeric>
#include <vector>

#include "base/check.h"
#include "ops/families.h"
#include "ops/movement/transpose.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/support/axes.h"
#include "ops/support/float_eval.h"
#include "ops/support/prepared.h"

namespace nibble {
namespace {

struct Permute {
  static constexpr std::string_view kName = "transpose";
  Permutation permutation;
  Shape output;

  void operator()(EvalContext& context) const {
    const Tensor& in = context.input(0);
    Tensor& out = context.output(0, in.dtype(), output);
    permute(permutation, element_bytes(in.dtype()), in.raw(), out.raw(), context.pool);
  }
};

std::vector<int> axes_of(const Node& node, int rank) {
  std::vector<int> axes(static_cast<size_t>(rank));
  std::iota(axes.rbegin(), axes.rend(), 0);
  const std::vector<int64_t> perm = node.attributes.integers("perm");
  if (perm.empty()) return axes;
  if (static_cast<int>(perm.size()) != rank) {
    fail(ErrorCode::invalid_model, "attribute perm has {} entries for a tensor with {} dimensions",
         perm.size(), rank);
  }
  normalize_axes(perm, rank);  // each once
  for (size_t i = 0; i < perm.size(); ++i) axes[i] = normalize_axis(perm[i], rank);
  return axes;
}

Shape permuted(const Shape& shape, std::span<const int> axes) {
  Shape result;
  for (int axis : axes) result.push_back(shape[axis]);
  return result;
}

std::vector<TensorType> infer_transpose(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank()) {
    type.shape = permuted(types.shape(0), axes_of(types.node, types.shape(0).rank()));
  }
  return {type};
}

Permute make_transpose(const Node& node, const Shape& shape) {
  const std::vector<int> axes = axes_of(node, shape.rank());
  return {make_permutation(shape, axes), permuted(shape, axes)};
}

// DepthToSpace and SpaceToDepth are transpositions of a tensor seen with six axes.
struct BlockView {
  Shape seen;
  std::array<int, 6> axes{};
  Shape output;
};

int64_t block_size(const Node& node, const Shape& shape) {
  const int64_t block = node.attributes.required_integer("blocksize");
  if (block < 1 || shape.rank() != 4) {
    fail(ErrorCode::invalid_model, "blocks of {} over {}: [N,C,H,W] and at least 1 are needed",
         block, shape.to_string());
  }
  return block;
}

BlockView depth_to_space(const Node& node, const Shape& s) {
  const int64_t b = block_size(node, s);
  if (s[1] % (b * b) != 0 && s[1] >= 0) {
    fail(ErrorCode::invalid_model, "{} channels cannot fill blocks of {}x{}", s[1], b, b);
  }
  const int64_t depth = s[1] < 0 ? s[1] : s[1] / (b * b);
  const auto times = [b](int64_t extent) { return extent < 0 ? extent : extent * b; };
  BlockView view{.output = {s[0], depth, times(s[2]), times(s[3])}};
  if (node.attributes.text("mode", "DCR") == "CRD") {
    view.seen = {s[0], depth, b, b, s[2], s[3]};
    view.axes = {0, 1, 4, 2, 5, 3};
  } else {
    view.seen = {s[0], b, b, depth, s[2], s[3]};
    view.axes = {0, 3, 4, 1, 5, 2};
  }
  return view;
}

BlockView space_to_depth(const Node& node, const Shape& s) {
  const int64_t b = block_size(node, s);
  if ((s[2] >= 0 && s[2] % b != 0) || (s[3] >= 0 && s[3] % b != 0)) {
    fail(ErrorCode::invalid_model, "{} cannot be cut into blocks of {}x{}", s.to_string(), b, b);
  }
  const auto part = [b](int64_t extent) { return extent < 0 ? extent : extent / b; };
  return {.seen = {s[0], s[1], part(s[2]), b, part(s[3]), b},
          .axes = {0, 3, 5, 1, 2, 4},
          .output = {s[0], s[1] < 0 ? s[1] : s[1] * b * b, part(s[2]), part(s[3])}};
}

template <BlockView view_of(const Node&, const Shape&)>
Permute make_blocks(const Node& node, const Shape& shape) {
  const BlockView view = view_of(node, shape);
  return {make_permutation(view.seen, view.axes), view.output};
}

template <BlockView view_of(const Node&, const Shape&)>
std::vector<TensorType> infer_blocks(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank()) type.shape = view_of(types.node, types.shape(0)).output;
  return {type};
}

template <Permute make(const Node&, const Shape&)>
void eval(EvalContext& context) {
  if (is_packed(context.input(0).dtype())) return eval_as_bytes(context, eval<make>);
  make(context.node, context.input(0).shape())(context);
}

template <Permute make(const Node&, const Shape&)>
std::unique_ptr<Kernel> prepare(const KernelSpec& spec) {
  if (!spec.types.shape(0).is_static() || is_packed(spec.types.input(0).dtype)) return nullptr;
  return make_prepared(make(spec.types.node, spec.types.shape(0)));
}

template <Permute make(const Node&, const Shape&)>
constexpr std::array kKernels = {on_elements("transpose", prepare<make>), kEvalOnCodes};

constexpr std::array kTransposeKernels = {
    KernelRow{.name = "transpose of u8 planes",
              .reads = {Reads::u8},
              .gives = Gives::moved,
              .make = exchange_codes},
    on_elements("transpose", prepare<make_transpose>),
    kEvalOnCodes,
};

template <Permute make(const Node&, const Shape&)>
constexpr OpRow row(std::string_view name, InferSignature* infer) {
  return {.name = name,
          .infer = infer,
          .eval = eval<make>,
          .kernels = kKernels<make>,
          .quant = QuantRole::same_codes,
          .gradient = Gradient::autograd,
          .tolerance = 0};
}

// Only axes of extent 1 change places: the elements keep their order.
bool keeps_order(const Node& node, const Shape& in) {
  if (!in.is_static()) return false;
  std::vector<int> axes = axes_of(node, in.rank());
  std::erase_if(axes, [&](int axis) { return in[axis] == 1; });
  return std::ranges::is_sorted(axes);
}

constexpr OpRow transpose_row() {
  OpRow transpose = row<make_transpose>("Transpose", infer_transpose);
  transpose.kernels = kTransposeKernels;
  transpose.view = keeps_order;
  return transpose;
}

constexpr std::array kRows = {
    transpose_row(),
    row<make_blocks<depth_to_space>>("DepthToSpace", infer_blocks<depth_to_space>),
    row<make_blocks<space_to_depth>>("SpaceToDepth", infer_blocks<space_to_depth>),
};

}  // namespace

std::span<const OpRow> permute_ops() { return kRows; }

}  // namespace nibble
