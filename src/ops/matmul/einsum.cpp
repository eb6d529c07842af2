// Einsum and Det. Einsum is evaluated by its definition: for each result, the sum of products over
// all labels that the result does not have. (Compilers of models use MatMul where speed matters.)
#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "base/check.h"
#include "ops/families.h"
#include "ops/support/compute.h"
#include "ops/support/infer.h"

namespace nibble {
namespace {

/// One index of the sum: its extent, and the step it makes in each operand and in the result.
struct Label {
  int64_t extent = 1;
  std::vector<int64_t> step;  // per operand
  bool kept = false;
};

/// An equation "ij,jk->ik"; '...' stands for leading axes that are broadcast.
class Equation {
 public:
  Equation(std::string text, std::span<const Shape* const> shapes) : operands_(shapes.size()) {
    std::erase(text, ' ');
    const size_t arrow = text.find("->");
    const std::string left = text.substr(0, arrow);
    size_t operand = 0;
    size_t at = 0;
    for (;;) {
      const size_t comma = left.find(',', at);
      if (operand >= shapes.size()) bad(text);
      add_operand(left.substr(at, comma == std::string::npos ? comma : comma - at), operand,
                  *shapes[operand], text);
      ++operand;
      if (comma == std::string::npos) break;
      at = comma + 1;
    }
    if (operand != shapes.size()) bad(text);
    const std::string right = arrow == std::string::npos ? implicit() : text.substr(arrow + 2);
    for (const std::string& name : names(right, dots_, text)) {
      const auto it = labels_.find(name);
      if (it == labels_.end() || it->second.kept) bad(text);
      it->second.kept = true;
      result_.push_back(name);
    }
  }

  Shape result() const {
    Shape shape;
    for (const std::string& name : result_) shape.push_back(labels_.at(name).extent);
    return shape;
  }
  /// The labels of the result in order, then those summed over.
  std::vector<Label> loops() const {
    std::vector<Label> loops;
    for (const std::string& name : result_) loops.push_back(labels_.at(name));
    for (const auto& [name, label] : labels_) {
      if (!label.kept) loops.push_back(label);
    }
    return loops;
  }

 private:
  [[noreturn]] static void bad(const std::string& text) {
    fail(ErrorCode::invalid_model, "equation \"{}\" does not fit the operands", text);
  }

  /// Label names of one term; an ellipsis of n axes gives ".n" ... ".1", counted from the last one.
  static std::vector<std::string> names(const std::string& term, int dots,
                                        const std::string& text) {
    std::vector<std::string> result;
    for (size_t i = 0; i < term.size(); ++i) {
      if (term.compare(i, 3, "...") == 0) {
        for (int k = dots; k > 0; --k) result.push_back(fmt::format(".{}", k));
        i += 2;
      } else if (std::isalpha(static_cast<unsigned char>(term[i])) != 0) {
        result.emplace_back(1, term[i]);
      } else {
        bad(text);
      }
    }
    return result;
  }

  void add_operand(const std::string& term, size_t operand, const Shape& shape,
                   const std::string& text) {
    const bool dotted = term.find("...") != std::string::npos;
    const int letters = static_cast<int>(term.size()) - (dotted ? 3 : 0);
    const int dots = dotted ? shape.rank() - letters : 0;
    if (dots < 0) bad(text);
    dots_ = std::max(dots_, dots);
    const std::vector<std::string> axes = names(term, dots, text);
    if (static_cast<int>(axes.size()) != shape.rank()) bad(text);
    int64_t step = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      Label& label = labels_[axes[static_cast<size_t>(axis)]];
      label.step.resize(operands_);
      if (shape[axis] != 1) {
        if (label.extent != 1 && label.extent != shape[axis]) bad(text);
        label.extent = shape[axis];
        label.step[operand] += step;  // twice in one operand: its diagonal
      }
      step *= shape[axis];
    }
    for (const std::string& name : axes) ++uses_[name];
  }

  /// Without "->": the ellipsis, then all labels used once, sorted.
  std::string implicit() const {
    std::string result = dots_ > 0 ? "..." : "";
    for (const auto& [name, count] : uses_) {
      if (count == 1 && name[0] != '.') result += name;
    }
    return result;
  }

  size_t operands_;
  int dots_ = 0;
  std::map<std::string, Label> labels_;
  std::map<std::string, int> uses_;
  std::vector<std::string> result_;
};

/// Offsets of the operands for the index-th combination of labels [begin, end).
template <size_t N>
void add_offsets(std::span<const Label> labels, int64_t index, std::array<int64_t, N>& offsets,
                 size_t operands) {
  for (size_t i = labels.size(); i-- > 0;) {
    const int64_t at = index % labels[i].extent;
    index /= labels[i].extent;
    for (size_t k = 0; k < operands; ++k) offsets[k] += at * labels[i].step[k];
  }
}

constexpr size_t kMaxOperands = 8;

template <typename T>
void einsum(const std::vector<Tensor>& inputs, const std::vector<Label>& loops, size_t kept,
            Tensor& out, ThreadPool& pool) {
  const std::span<const Label> outer = std::span(loops).first(kept);
  const std::span<const Label> inner = std::span(loops).subspan(kept);
  int64_t terms = 1;
  for (const Label& label : inner) terms *= label.extent;
  T* y = out.data<T>().data();
  const int64_t grain = std::max<int64_t>(1, kCostlyGrain / std::max<int64_t>(1, terms));
  pool.parallel_ranges(out.elements(), grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      std::array<int64_t, kMaxOperands> base{};
      add_offsets(outer, i, base, inputs.size());
      T sum{};
      for (int64_t term = 0; term < terms; ++term) {
        std::array<int64_t, kMaxOperands> at = base;
        add_offsets(inner, term, at, inputs.size());
        T product{1};
        for (size_t k = 0; k < inputs.size(); ++k) {
          product = static_cast<T>(product * inputs[k].data<T>()[static_cast<size_t>(at[k])]);
        }
        sum = static_cast<T>(sum + product);
      }
      y[i] = sum;
    }
  });
}

// Floats are summed in double, integers modulo 2^64 (hence the unsigned type).
void eval_einsum(EvalContext& context) {
  const DType dtype = context.input(0).dtype();
  if (context.input_count() > kMaxOperands) {
    fail(ErrorCode::unsupported, "more than {} operands", kMaxOperands);
  }
  const DType wide = is_float(dtype) ? DType::f64 : DType::u64;
  std::vector<Tensor> inputs;
  std::vector<const Shape*> shapes;
  for (size_t i = 0; i < context.input_count(); ++i) {
    inputs.push_back(convert(context.input(i), wide));
    shapes.push_back(&context.input(i).shape());
  }
  const Equation equation(context.node.attributes.text("equation", ""), shapes);
  Tensor out(wide, equation.result());
  const auto kept = static_cast<size_t>(out.shape().rank());
  if (wide == DType::f64) {
    einsum<double>(inputs, equation.loops(), kept, out, context.pool);
  } else {
    einsum<uint64_t>(inputs, equation.loops(), kept, out, context.pool);
  }
  context.set_output(0, convert(out, dtype));
}

std::vector<TensorType> infer_einsum(const NodeTypes& types) {
  std::vector<const Shape*> shapes;
  for (size_t i = 0; i < types.input_count(); ++i) {
    if (!types.shape(i).is_static()) {
      return one_output(types.input(0).dtype, Shape::unknown_rank());
    }
    shapes.push_back(&types.shape(i));
  }
  const Equation equation(types.node.attributes.text("equation", ""), shapes);
  return one_output(types.input(0).dtype, equation.result());
}

/// By Gaussian elimination with the largest pivot; `a` is destroyed.
double determinant(double* a, int64_t n) {
  double result = 1;
  for (int64_t column = 0; column < n; ++column) {
    int64_t pivot = column;
    for (int64_t row = column + 1; row < n; ++row) {
      if (std::fabs(a[row * n + column]) > std::fabs(a[pivot * n + column])) pivot = row;
    }
    if (a[pivot * n + column] == 0) return 0;
    if (pivot != column) {
      std::swap_ranges(a + pivot * n, a + (pivot + 1) * n, a + column * n);
      result = -result;
    }
    result *= a[column * n + column];
    for (int64_t row = column + 1; row < n; ++row) {
      const double factor = a[row * n + column] / a[column * n + column];
      for (int64_t k = column; k < n; ++k) a[row * n + k] -= factor * a[column * n + k];
    }
  }
  return result;
}

Shape without_matrix(const Shape& shape) {
  const int rank = shape.rank();
  if (rank < 2 ||
      (shape[rank - 1] != shape[rank - 2] && shape[rank - 1] >= 0 && shape[rank - 2] >= 0)) {
    fail(ErrorCode::invalid_model, "{} are no square matrices", shape.to_string());
  }
  return Shape(shape.dims().first(static_cast<size_t>(rank - 2)));
}

void eval_det(EvalContext& context) {
  const Tensor& in = context.input(0);
  Tensor matrices = convert(in, DType::f64).clone();
  Tensor out(DType::f64, without_matrix(in.shape()));
  const int64_t n = in.shape()[in.shape().rank() - 1];
  for (int64_t i = 0; i < out.elements(); ++i) {
    out.data<double>()[static_cast<size_t>(i)] =
        determinant(matrices.data<double>().data() + i * n * n, n);
  }
  context.set_output(0, convert(out, in.dtype()));
}

std::vector<TensorType> infer_det(const NodeTypes& types) {
  const Shape& shape = types.shape(0);
  return one_output(types.input(0).dtype, shape.has_rank() ? without_matrix(shape) : shape);
}

constexpr OpRow row(std::string_view name, int most, InferSignature* infer, EvalSignature* eval) {
  return {.name = name,
          .max_inputs = most,
          .infer = infer,
          .eval = eval,
          .kernels = "rare: evaluated by its definition",
          .why_float = "products of activations: stays in float",
          .gradient = Gradient::autograd};
}

constexpr std::array kRows = {
    row("Einsum", -1, infer_einsum, eval_einsum),
    row("Det", 1, infer_det, eval_det),
};

}  // namespace

std::span<const OpRow> einsum_ops() { return kRows; }

}  // namespace nibble
