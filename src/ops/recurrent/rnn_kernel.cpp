// Recurrent layers whose weights stay packed in 4 or 8 bits.
#include <algorithm>

#include "kernels/packed_float.h"
#include "ops/quantization/packed_kernels.h"
#include "ops/recurrent/rnn.h"

namespace nibble {
namespace {

// Rows [first, first + outputs) of one direction of a weight [directions, rows, length].
std::unique_ptr<PackedFloat> pack_rows(const KernelSpec& spec, size_t input, int direction,
                                       int64_t first, int64_t outputs,
                                       std::span<const float> zeros) {
  const QuantParams& grid = *spec.grid(input);
  const Shape& shape = spec.types.shape(input);
  const int64_t start = (direction * shape[1] + first) * shape[2];
  return pack_matrix(*spec.types.constant(input), grid, start, outputs, shape[2],
                     zeros.first(static_cast<size_t>(outputs)));
}

class PackedRecurrent : public Kernel, public RecurrentWeights {
 public:
  explicit PackedRecurrent(RecurrentProblem problem) : p_(std::move(problem)) {}

  // False, with the reason left in spec, if the weights are of another form.
  bool pack(const KernelSpec& spec) {
    const int64_t n = p_.hidden, width = p_.width();
    const std::vector<float> none(static_cast<size_t>(width), 0.0F);
    // The rows of R that are multiplied by one state.
    std::vector<int64_t> parts = {0, width};
    if (p_.cell == RecurrentCell::gru) parts = {0, 2 * n, 3 * n};
    for (int d = 0; d < p_.directions; ++d) {
      w_.push_back(pack_rows(spec, 1, d, 0, width, none));
      for (size_t i = 0; i + 1 < parts.size(); ++i) {
        r_.push_back(pack_rows(spec, 2, d, parts[i], parts[i + 1] - parts[i], none));
      }
    }
    per_direction_ = parts.size() - 1;
    const auto missing = [](const auto& packed) { return packed == nullptr; };
    if (std::ranges::none_of(w_, missing) && std::ranges::none_of(r_, missing)) return true;
    spec.refuse("its scales lie neither along the gates nor along the sum");
    return false;
  }

  void run(EvalContext& context) const override {
    run_recurrent(context, p_, *this, context.workspace);
  }
  size_t workspace_bytes() const override { return recurrent_workspace(p_); }
  size_t constant_bytes() const override {
    size_t bytes = 0;
    for (const auto& packed : w_) bytes += packed->constant_bytes();
    for (const auto& packed : r_) bytes += packed->constant_bytes();
    return bytes;
  }
  std::string describe() const override { return "recurrent f32, " + w_[0]->describe(); }

  void project(EvalContext& context, int direction, float* out) const override {
    const int64_t rows = p_.steps * p_.batch, width = p_.width();
    w_[static_cast<size_t>(direction)]->run(context.input(0).data<float>().data(), p_.inputs, rows,
                                            out, width, context.pool);
    if (!context.has(3)) return;
    const float* bias = context.input(3).data<float>().data() + 2 * direction * width;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t g = 0; g < width; ++g) out[row * width + g] += bias[g];
    }
  }

  void recur(EvalContext& context, int direction, int64_t begin, int64_t end, const float* state,
             float* sums) const override {
    const size_t part = begin == 0 ? 0 : 1;
    r_[static_cast<size_t>(direction) * per_direction_ + part]->run(state, p_.hidden, 1, sums,
                                                                    end - begin, context.pool);
  }

 private:
  RecurrentProblem p_;
  std::vector<std::unique_ptr<PackedFloat>> w_, r_;
  size_t per_direction_ = 1;
};

}  // namespace

template <RecurrentCell cell>
std::unique_ptr<Kernel> packed_recurrent(const KernelSpec& spec) {
  const NodeTypes& types = spec.types;
  if (types.input(0).dtype != DType::f32) return spec.refuse("its data are not f32");
  RecurrentProblem problem =
      recurrent_problem(types.node, cell, types.shape(0), types.shape(1), types.shape(2));
  if (problem.hidden == 0 || problem.inputs == 0 || problem.steps == 0 || problem.batch == 0) {
    return spec.refuse("there is nothing to compute");
  }
  auto kernel = std::make_unique<PackedRecurrent>(std::move(problem));
  if (!kernel->pack(spec)) return nullptr;
  return kernel;
}

template std::unique_ptr<Kernel> packed_recurrent<RecurrentCell::lstm>(const KernelSpec&);
template std::unique_ptr<Kernel> packed_recurrent<RecurrentCell::gru>(const KernelSpec&);
template std::unique_ptr<Kernel> packed_recurrent<RecurrentCell::rnn>(const KernelSpec&);

}  // namespace nibble
