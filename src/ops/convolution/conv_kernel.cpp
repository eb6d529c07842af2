// f32 convolution on oneDNN. Data is channels last inside; a channels-first node is transposed into
// and out of the workspace.
#include <algorithm>

#include "base/check.h"
#include "ops/convolution/conv.h"
#include "ops/movement/transpose.h"
#include "ops/support/onednn.h"

namespace nibble {
namespace {

using Dims = std::vector<int64_t>;

Dims spatial_of(const Window::Extents& extents, int rank) {
  return {extents.begin(), extents.begin() + rank};
}

int64_t product(const Dims& dims) {
  int64_t result = 1;
  for (int64_t dim : dims) result *= dim;
  return result;
}

// [N,C,spatial...] in oneDNN's order of axes, the channels innermost in memory.
dnnl::memory::desc channels_last_desc(int64_t batch, int64_t channels, const Dims& spatial) {
  Dims dims = {batch, channels};
  dims.insert(dims.end(), spatial.begin(), spatial.end());
  Dims strides(dims.size(), 1);
  int64_t step = channels;
  for (size_t i = dims.size(); i-- > 2;) {
    strides[i] = step;
    step *= dims[i];
  }
  strides[0] = step;
  return onednn::strided(dims, strides);
}

Permutation to_channels_last(const Shape& shape) {
  std::vector<int> axes = {0};
  for (int axis = 2; axis < shape.rank(); ++axis) axes.push_back(axis);
  axes.push_back(1);
  return make_permutation(shape, axes);
}

Permutation to_channels_first(const Shape& shape) {
  std::vector<int> axes = {0, shape.rank() - 1};
  for (int axis = 1; axis + 1 < shape.rank(); ++axis) axes.push_back(axis);
  return make_permutation(shape, axes);
}

// Images [image, image + images) and rows (of the first spatial axis) [row, row + rows) of the
// output.
struct Region {
  int64_t image = 0, images = 0;
  int64_t row = 0, rows = 0;
};

std::vector<Region> split(const ConvProblem& problem, int64_t pieces) {
  const int64_t rows = problem.window.output[0];
  std::vector<Region> regions;
  if (problem.batch >= pieces) {
    for (int64_t i = 0; i < pieces; ++i) {
      const int64_t begin = problem.batch * i / pieces;
      regions.push_back({begin, problem.batch * (i + 1) / pieces - begin, 0, rows});
    }
    return regions;
  }
  const int64_t parts = std::min((pieces + problem.batch - 1) / problem.batch, rows);
  for (int64_t image = 0; image < problem.batch; ++image) {
    for (int64_t i = 0; i < parts; ++i) {
      const int64_t begin = rows * i / parts;
      regions.push_back({image, 1, begin, rows * (i + 1) / parts - begin});
    }
  }
  return regions;
}

class OneDnnConv : public Kernel {
 public:
  OneDnnConv(const ConvProblem& problem, const Tensor* weight, const Tensor* bias, int64_t pieces);

  /// All pieces run by the same implementation.
  bool uniform() const { return uniform_; }
  size_t workspace_bytes() const override { return workspace_bytes_; }
  std::string describe() const override {
    return fmt::format("conv f32 oneDNN {}", implementation_);
  }
  void run(EvalContext& context) const override;

 private:
  struct Slice {
    onednn::Task task;
    int64_t source = 0, target = 0;  // offsets in elements
    size_t scratch = 0;              // offset into the workspace
    size_t scratch_bytes = 0;
  };

  void add_slice(const Region& region);
  void plan_workspace();
  dnnl::memory::desc weight_desc() const;

  ConvProblem problem_;
  int rank_;
  Dims in_, out_, kernel_;
  Shape output_shape_;
  Permutation enter_, leave_;  // of channels-first data
  std::vector<Slice> slices_;
  dnnl::memory::desc packed_desc_;  // the layout all slices share
  Tensor packed_, bias_;            // when constant
  onednn::Task pack_;               // when the weight is not constant
  std::string implementation_;      // of the first slice
  bool uniform_ = true;
  size_t source_at_ = 0, target_at_ = 0, packed_at_ = 0, workspace_bytes_ = 0;
};

OneDnnConv::OneDnnConv(const ConvProblem& problem, const Tensor* weight, const Tensor* bias,
                       int64_t pieces)
    : problem_(problem),
      rank_(problem.window.rank),
      in_(spatial_of(problem.window.input, rank_)),
      out_(spatial_of(problem.window.output, rank_)),
      kernel_(spatial_of(problem.window.kernel, rank_)),
      output_shape_(problem.output_shape()) {
  const onednn::SingleThreaded alone;
  for (const Region& region : split(problem, pieces)) add_slice(region);
  if (weight != nullptr) {
    packed_ = Tensor(DType::u8, {static_cast<int64_t>(packed_desc_.get_size())});
    onednn::reorder(weight_desc(), weight->raw(), packed_desc_, packed_.raw());
  } else {
    pack_ = onednn::reorder_task(weight_desc(), packed_desc_);
  }
  if (bias != nullptr) bias_ = bias->clone();
  plan_workspace();
}

dnnl::memory::desc OneDnnConv::weight_desc() const {
  const int64_t inner = problem_.in_channels / problem_.group;
  Dims dims;
  if (problem_.group > 1) dims.push_back(problem_.group);
  dims.push_back(problem_.out_channels / problem_.group);
  dims.push_back(inner);
  dims.insert(dims.end(), kernel_.begin(), kernel_.end());
  return onednn::dense(dims);
}

void OneDnnConv::add_slice(const Region& region) {
  const Window& w = problem_.window;
  // The rows that these output rows read; what lies outside the input is padding.
  const int64_t first = region.row * w.stride[0] - w.pad_begin[0];
  const int64_t last = (region.row + region.rows - 1) * w.stride[0] - w.pad_begin[0] + w.reach(0);
  const int64_t begin = std::clamp<int64_t>(first, 0, in_[0]);
  // Whole images keep their unread last rows, over which oneDNN steps to the next image.
  const bool whole = region.rows == out_[0];
  const int64_t end = whole ? in_[0] : std::clamp<int64_t>(last, begin, in_[0]);
  Dims source = in_, target = out_, stride, dilation, pad_begin, pad_end;
  source[0] = end - begin;
  target[0] = region.rows;
  for (size_t i = 0; i < in_.size(); ++i) {
    stride.push_back(w.stride[i]);
    dilation.push_back(w.dilation[i] - 1);
    pad_begin.push_back(i == 0 ? begin - first : w.pad_begin[i]);
    // Exactly what the last window needs, so that no input is left over.
    const int64_t needed = (target[i] - 1) * w.stride[i] + w.reach(static_cast<int>(i));
    pad_end.push_back(needed - source[i] - pad_begin[i]);
  }
  const auto source_desc = channels_last_desc(region.images, problem_.in_channels, source);
  const auto target_desc = channels_last_desc(region.images, problem_.out_channels, target);
  const Dims bias_dims = {problem_.out_channels};
  const dnnl::memory::desc bias_desc =
      problem_.bias ? onednn::dense(bias_dims) : dnnl::memory::desc();
  const dnnl::memory::desc weights =
      slices_.empty() ? onednn::any_layout(weight_desc().dims()) : packed_desc_;
  const dnnl::convolution_forward::desc desc(
      dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_direct, source_desc, weights,
      bias_desc, target_desc, stride, dilation, pad_begin, pad_end);
  const dnnl::convolution_forward::primitive_desc chosen(desc, onednn::attributes(problem_.clamp),
                                                         onednn::engine());
  if (slices_.empty()) {
    packed_desc_ = chosen.weights_desc();
    implementation_ = chosen.impl_info_str();
  }
  uniform_ = uniform_ && implementation_ == chosen.impl_info_str();
  Slice slice{.task = onednn::Task(dnnl::convolution_forward(chosen))};
  slice.task.add_argument(DNNL_ARG_SRC, source_desc);
  slice.task.add_argument(DNNL_ARG_WEIGHTS, packed_desc_);
  slice.task.add_argument(DNNL_ARG_DST, target_desc);
  slice.task.add_argument(DNNL_ARG_SCRATCHPAD, chosen.scratchpad_desc());
  if (problem_.bias) slice.task.add_argument(DNNL_ARG_BIAS, bias_desc);
  slice.source = (region.image * in_[0] + begin) * product(in_) / in_[0] * problem_.in_channels;
  slice.target =
      (region.image * out_[0] + region.row) * product(out_) / out_[0] * problem_.out_channels;
  slice.scratch_bytes = chosen.scratchpad_desc().get_size();
  slices_.push_back(std::move(slice));
}

void OneDnnConv::plan_workspace() {
  const auto take = [this](size_t bytes) {
    const size_t at = workspace_bytes_;
    workspace_bytes_ += onednn::aligned(bytes);
    return at;
  };
  if (!problem_.channels_last) {
    const Shape source = spatial_shape(problem_.batch, problem_.in_channels, in_, false);
    enter_ = to_channels_last(source);
    leave_ = to_channels_first(spatial_shape(problem_.batch, problem_.out_channels, out_, true));
    source_at_ = take(sizeof(float) * static_cast<size_t>(enter_.elements));
    target_at_ = take(sizeof(float) * static_cast<size_t>(leave_.elements));
  }
  if (packed_.empty()) packed_at_ = take(packed_desc_.get_size());
  for (Slice& slice : slices_) slice.scratch = take(slice.scratch_bytes);
}

void OneDnnConv::run(EvalContext& context) const {
  auto* workspace = static_cast<std::byte*>(context.workspace);
  Tensor& output = context.output(0, DType::f32, output_shape_);
  auto* source = static_cast<float*>(const_cast<void*>(context.input(0).raw()));
  auto* target = static_cast<float*>(output.raw());
  if (!problem_.channels_last) {
    auto* transposed = reinterpret_cast<float*>(workspace + source_at_);
    permute(enter_, sizeof(float), source, transposed, context.pool);
    source = transposed;
    target = reinterpret_cast<float*>(workspace + target_at_);
  }
  void* packed = const_cast<void*>(packed_.raw());
  if (packed_.empty()) {
    packed = workspace + packed_at_;
    const std::array<void*, 2> buffers = {const_cast<void*>(context.input(1).raw()), packed};
    pack_.run(buffers);
  }
  void* bias = nullptr;
  if (problem_.bias) bias = const_cast<void*>(bias_.empty() ? context.input(2).raw() : bias_.raw());
  context.pool.parallel_for(static_cast<int64_t>(slices_.size()), [&](int64_t i) {
    const Slice& slice = slices_[static_cast<size_t>(i)];
    const std::array<void*, 5> buffers = {source + slice.source, packed, target + slice.target,
                                          workspace + slice.scratch, bias};
    slice.task.run(buffers);
  });
  if (!problem_.channels_last) permute(leave_, sizeof(float), target, output.raw(), context.pool);
}

// oneDNN wants data to read in every row slice; a window wholly in the padding has none.
bool is_ordinary(const ConvProblem& problem) {
  const Window& w = problem.window;
  for (int i = 0; i < w.rank; ++i) {
    const auto a = static_cast<size_t>(i);
    if (w.pad_begin[a] < 0 || w.pad_end[a] < 0) return false;
    if (w.pad_begin[a] >= w.reach(i) || w.pad_end[a] >= w.reach(i)) return false;
  }
  return w.rank >= 1 && w.rank <= 3 && problem.macs() > 0;
}

}  // namespace

std::unique_ptr<Kernel> make_conv_kernel(const ConvProblem& problem, const Tensor* weight,
                                         const Tensor* bias) {
  if (!is_ordinary(problem)) return nullptr;
  return onednn::make_in_pieces(problem.macs(), [&](int64_t pieces) {
    return std::make_unique<OneDnnConv>(problem, weight, bias, pieces);
  });
}

}  // namespace nibble
