// f32 matrix product on oneDNN.
#include <algorithm>

#include "base/check.h"
#include "ops/matmul/matmul.h"
#include "ops/support/onednn.h"

namespace nibble {
namespace {

// Products [first, first + count) of the batch, a part of their rows or columns.
struct Region {
  int64_t first = 0, count = 0;
  int64_t row = 0, rows = 0;
  int64_t column = 0, columns = 0;
};

// Where rows are few, oneDNN's order of summation depends on the number of columns; on some CPUs it
// depends on the number of rows where they are many. So neither follows the number of threads.
constexpr int64_t kFewRows = 64;
constexpr int64_t kColumnBlock = 256;

std::vector<Region> split(const MatmulProblem& problem, int64_t pieces) {
  const MatrixShape& m = problem.matrix;
  const auto batch = static_cast<int64_t>(problem.batch.size());
  std::vector<Region> regions;
  if (batch > 1) {
    for (int64_t i = 0, parts = std::min(pieces, batch); i < parts; ++i) {
      const int64_t first = batch * i / parts;
      regions.push_back({first, batch * (i + 1) / parts - first, 0, m.rows, 0, m.columns});
    }
  } else if (m.rows >= kFewRows) {
    for (int64_t i = 0, parts = std::min(pieces, m.rows); i < parts; ++i) {
      const int64_t row = m.rows * i / parts;
      regions.push_back({0, 1, row, m.rows * (i + 1) / parts - row, 0, m.columns});
    }
  } else {
    for (int64_t column = 0; column < m.columns; column += kColumnBlock) {
      const int64_t columns = std::min(kColumnBlock, m.columns - column);
      regions.push_back({0, 1, 0, m.rows, column, columns});
    }
  }
  return regions;
}

class OneDnnMatmul : public Kernel {
 public:
  OneDnnMatmul(const MatmulProblem& problem, const Tensor* b, const Tensor* c, int64_t pieces);

  /// All pieces that share a packed weight run by the same implementation.
  bool uniform() const { return uniform_; }
  size_t workspace_bytes() const override { return workspace_bytes_; }
  std::string describe() const override {
    return fmt::format("matmul f32 oneDNN {}", implementation_);
  }
  void run(EvalContext& context) const override;

 private:
  struct Slice {
    Region region;
    onednn::Task task;
    Tensor packed;  // this slice's columns of a constant b; empty: b is read as it is
    size_t scratch = 0;
  };

  void add_slice(const Region& region, const Tensor* b);
  void run_slice(const Slice& slice, EvalContext& context, float* out) const;

  MatmulProblem problem_;
  bool fused_ = false;  // the addend is a vector over columns, added by the primitive
  Tensor bias_;         // beta * c, if fused_
  std::vector<Slice> slices_;
  dnnl::memory::desc packed_desc_;  // of a constant b; that of the last slice's columns
  std::string implementation_;      // of the first slice
  bool uniform_ = true;
  size_t workspace_bytes_ = 0;
};

OneDnnMatmul::OneDnnMatmul(const MatmulProblem& problem, const Tensor* b, const Tensor* c,
                           int64_t pieces)
    : problem_(problem) {
  const onednn::SingleThreaded alone;
  fused_ =
      c != nullptr && problem.addend_row == 0 && problem.addend_column == 1 && problem.alpha == 1;
  if (fused_) {
    bias_ = c->clone();
    for (float& x : bias_.data<float>()) x *= problem.beta;
  }
  for (const Region& region : split(problem, pieces)) add_slice(region, b);
}

void OneDnnMatmul::add_slice(const Region& region, const Tensor* b) {
  const MatrixShape& m = problem_.matrix;
  const std::array<int64_t, 2> a_dims = {region.rows, m.depth}, a_strides = {m.a_row, m.a_step};
  const std::array<int64_t, 2> b_dims = {m.depth, region.columns};
  const std::array<int64_t, 2> b_strides = {m.b_step, m.b_column};
  const std::array<int64_t, 2> out_dims = {region.rows, region.columns};
  const std::array<int64_t, 2> out_strides = {m.columns, 1}, bias_dims = {1, region.columns};
  const dnnl::memory::desc a_desc = onednn::strided(a_dims, a_strides);
  const dnnl::memory::desc b_plain = onednn::strided(b_dims, b_strides);
  const dnnl::memory::desc out_desc = onednn::strided(out_dims, out_strides);
  const dnnl::memory::desc bias_desc = fused_ ? onednn::dense(bias_dims) : dnnl::memory::desc();
  const bool pack = b != nullptr && problem_.batch.size() == 1;
  const bool shared = pack && !slices_.empty() && region.columns == m.columns;
  const dnnl::memory::desc b_desc = shared ? packed_desc_
                                    : pack ? onednn::any_layout(b_dims)
                                           : b_plain;
  const dnnl::matmul::desc desc(a_desc, b_desc, bias_desc, out_desc);
  // The clamp comes last: with an addend that is not fused, after our own addition.
  const bool finished = fused_ || !problem_.has_addend;
  dnnl::primitive_attr attributes = onednn::attributes(finished ? problem_.clamp : Clamp{});
  if (problem_.alpha != 1) attributes.set_output_scales(0, {problem_.alpha});
  const dnnl::matmul::primitive_desc chosen(desc, attributes, onednn::engine());
  if (slices_.empty()) implementation_ = chosen.impl_info_str();
  uniform_ = uniform_ && (!shared || implementation_ == chosen.impl_info_str());

  Slice slice{.region = region, .task = onednn::Task(dnnl::matmul(chosen))};
  slice.task.add_argument(DNNL_ARG_SRC, a_desc);
  slice.task.add_argument(DNNL_ARG_WEIGHTS, chosen.weights_desc());
  slice.task.add_argument(DNNL_ARG_DST, out_desc);
  slice.task.add_argument(DNNL_ARG_SCRATCHPAD, chosen.scratchpad_desc());
  if (fused_) slice.task.add_argument(DNNL_ARG_BIAS, bias_desc);
  if (pack) {
    if (shared) {
      slice.packed = slices_.front().packed;
    } else {
      packed_desc_ = chosen.weights_desc();
      slice.packed = Tensor(DType::u8, {static_cast<int64_t>(packed_desc_.get_size())});
      const float* first = b->data<float>().data() + region.column * m.b_column;
      onednn::reorder(b_plain, first, packed_desc_, slice.packed.raw());
    }
  }
  slice.scratch = workspace_bytes_;
  workspace_bytes_ += onednn::aligned(chosen.scratchpad_desc().get_size());
  slices_.push_back(std::move(slice));
}

void OneDnnMatmul::run_slice(const Slice& slice, EvalContext& context, float* out) const {
  const MatrixShape& m = problem_.matrix;
  const Region& r = slice.region;
  const auto* a = static_cast<const float*>(context.input(0).raw()) + r.row * m.a_row;
  const auto* b = static_cast<const float*>(context.input(1).raw()) + r.column * m.b_column;
  float* bias = fused_ ? static_cast<float*>(const_cast<void*>(bias_.raw())) + r.column : nullptr;
  void* scratch = static_cast<std::byte*>(context.workspace) + slice.scratch;
  for (int64_t i = r.first; i < r.first + r.count; ++i) {
    const MatmulProblem::Offsets& at = problem_.batch[static_cast<size_t>(i)];
    const void* weights = slice.packed.empty() ? b + at.b : slice.packed.raw();
    const std::array<void*, 5> buffers = {const_cast<float*>(a + at.a), const_cast<void*>(weights),
                                          out + (i * m.rows + r.row) * m.columns + r.column,
                                          scratch, bias};
    slice.task.run(buffers);
  }
}

void OneDnnMatmul::run(EvalContext& context) const {
  auto* out = static_cast<float*>(context.output(0, DType::f32, problem_.output).raw());
  context.pool.parallel_for(static_cast<int64_t>(slices_.size()), [&](int64_t i) {
    run_slice(slices_[static_cast<size_t>(i)], context, out);
  });
  if (fused_ || !problem_.has_addend) return;
  const auto* c = static_cast<const float*>(context.input(2).raw());
  const int64_t grain = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, problem_.matrix.columns));
  context.pool.parallel_ranges(
      problem_.matrix.rows * static_cast<int64_t>(problem_.batch.size()), grain,
      [&](int64_t begin, int64_t end) { add_and_activate(problem_, c, out, begin, end); });
}

}  // namespace

void add_and_activate(const MatmulProblem& problem, const float* c, float* out, int64_t begin,
                      int64_t end) {
  const MatrixShape& m = problem.matrix;
  for (int64_t row = begin; row < end; ++row) {
    float* to = out + row * m.columns;
    const float* from = problem.has_addend ? c + row % m.rows * problem.addend_row : nullptr;
    for (int64_t n = 0; n < m.columns; ++n) {
      const float sum =
          from == nullptr ? to[n] : to[n] + problem.beta * from[n * problem.addend_column];
      to[n] = problem.clamp(sum);
    }
  }
}

std::unique_ptr<Kernel> make_matmul_kernel(const MatmulProblem& problem, const Tensor* b,
                                           const Tensor* c) {
  if (problem.macs() == 0) return nullptr;
  return onednn::make_in_pieces(problem.macs(), [&](int64_t pieces) {
    return std::make_unique<OneDnnMatmul>(problem, b, c, pieces);
  });
}

}  // namespace nibble
