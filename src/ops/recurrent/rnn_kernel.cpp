// Recurrent layers whose weights stay packed in 4 or 8 bits, with integer products.
#include <algorithm>

#include "kernels/packed_int16.h"
#include "ops/quantization/integer_support.h"
#include "ops/recurrent/rnn.h"

namespace nibble {
namespace {

// Data in fewer bits than these would no longer be as good as real numbers.
constexpr int32_t kLeastLimit = (1 << 12) - 1;

class PackedRecurrent : public Kernel, public RecurrentWeights {
 public:
  explicit PackedRecurrent(RecurrentProblem problem) : p_(std::move(problem)) {}

  // False, with the reason left in spec, if there is no kernel for such weights.
  bool pack(const KernelSpec& spec) {
    const int64_t n = p_.hidden, width = p_.width();
    // The rows of R that are multiplied by one state.
    std::vector<int64_t> parts = {0, width};
    if (p_.cell == RecurrentCell::gru) parts = {0, 2 * n, 3 * n};
    per_direction_ = parts.size() - 1;
    if (!pack_parts(spec, 1, {0, width}, w_) || !pack_parts(spec, 2, parts, r_)) return false;
    // The directions run at the same time, each in a part of its own.
    for (const auto& packed : r_) scratch_ = std::max(scratch_, packed->scratch_bytes(1));
    return true;
  }

  void run(EvalContext& context) const override {
    run_recurrent(context, p_, *this, context.workspace);
  }
  size_t workspace_bytes() const override {
    size_t inputs = 0;
    for (const auto& packed : w_) {
      inputs = std::max(inputs, packed->scratch_bytes(p_.steps * p_.batch));
    }
    return recurrent_workspace(p_) +
           static_cast<size_t>(p_.directions) * std::max(inputs, scratch_);
  }
  size_t constant_bytes() const override {
    size_t bytes = 0;
    for (const auto& packed : w_) bytes += packed->constant_bytes();
    for (const auto& packed : r_) bytes += packed->constant_bytes();
    return bytes;
  }
  DType multiplies() const override { return DType::i16; }
  std::string describe() const override { return "recurrent s16, " + w_[0]->describe(); }

  void project(EvalContext& context, int direction, float* out) const override {
    const int64_t rows = p_.steps * p_.batch, width = p_.width();
    w_[static_cast<size_t>(direction)]->run(context.input(0).data<float>().data(), p_.inputs, rows,
                                            out, width, scratch(context, 0), context.pool);
    if (!context.has(3)) return;
    const float* bias = context.input(3).data<float>().data() + 2 * direction * width;
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t g = 0; g < width; ++g) out[row * width + g] += bias[g];
    }
  }

  void recur(EvalContext& context, int direction, int64_t begin, int64_t end, const float* state,
             float* sums) const override {
    const size_t part = begin == 0 ? 0 : 1;
    r_[static_cast<size_t>(direction) * per_direction_ + part]->run(
        state, p_.hidden, 1, sums, end - begin, scratch(context, direction), context.pool);
  }

 private:
  std::byte* scratch(EvalContext& context, int direction) const {
    return static_cast<std::byte*>(context.workspace) + recurrent_workspace(p_) +
           static_cast<size_t>(direction) * scratch_;
  }

  // Of each direction of a weight [directions, rows, length], the rows between each two of `ends`.
  bool pack_parts(const KernelSpec& spec, size_t input, const std::vector<int64_t>& ends,
                  std::vector<std::unique_ptr<PackedInt16>>& to) const {
    const QuantParams& grid = *spec.grid(input);
    const bool blocks = grid.granularity == Granularity::per_block;
    if (bits_of(grid.storage) > 8) {
      spec.refuse("its weights have more than 8 bits");
      return false;
    }
    if (blocks ? grid.axis != 2 : grid.granularity == Granularity::per_channel && grid.axis != 1) {
      spec.refuse("its scales lie neither along the gates nor along the sum");
      return false;
    }
    const Shape& shape = spec.types.shape(input);
    const std::vector<int32_t> codes = unpack_integers(*spec.types.constant(input));
    for (int64_t d = 0; d < shape[0]; ++d) {
      for (size_t i = 0; i + 1 < ends.size(); ++i) {
        to.push_back(pack_rows(grid, shape, codes, d * shape[1] + ends[i], ends[i + 1] - ends[i]));
        if (to.back()->limit() >= kLeastLimit) continue;
        spec.refuse("it sums over so many numbers that 16 bits would not hold its data");
        return false;
      }
    }
    return true;
  }

  static std::unique_ptr<PackedInt16> pack_rows(const QuantParams& grid, const Shape& shape,
                                                std::span<const int32_t> codes, int64_t first,
                                                int64_t outputs) {
    const int64_t length = shape[2], start = first * length;
    const int64_t block =
        grid.granularity == Granularity::per_block ? std::min(grid.block_size, length) : length;
    std::vector<int32_t> zero;
    std::vector<float> scale;
    for (int64_t n = 0; n < outputs; ++n) {
      for (int64_t i = 0; i < length; i += block) {
        const auto group = static_cast<size_t>(quant_group(grid, shape, start + n * length + i));
        scale.push_back(grid.scale[group]);
        zero.push_back(grid.zero_point[group]);
      }
    }
    const std::vector<float> no_bias(static_cast<size_t>(outputs), 0.0F);
    return std::make_unique<PackedInt16>(
        PackedShape{outputs, 1, length, block}, grid.bits() <= 4 ? 4 : 8,
        codes.subspan(static_cast<size_t>(start), static_cast<size_t>(outputs * length)), scale,
        zero, no_bias);
  }

  RecurrentProblem p_;
  std::vector<std::unique_ptr<PackedInt16>> w_, r_;
  size_t per_direction_ = 1;
  size_t scratch_ = 0;  // bytes for the state of one direction
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
