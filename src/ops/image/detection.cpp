// NonMaxSuppression, RoiAlign, MaxUnpool, Col2Im.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "ops/families.h"
#include "ops/support/axes.h"
#include "ops/support/float_eval.h"
#include "ops/support/spatial.h"

namespace nibble {
namespace {

constexpr const char* kPlain = "plain loops: nothing to prepare";
constexpr const char* kFloat = "post-processing: stays in float";

// ---- NonMaxSuppression

struct Box {
  float y1, x1, y2, x2;
  float area() const { return (y2 - y1) * (x2 - x1); }
};

Box box_of(const float* data, bool centred) {
  if (centred) {  // x, y of the centre, width, height
    return {data[1] - data[3] / 2, data[0] - data[2] / 2, data[1] + data[3] / 2,
            data[0] + data[2] / 2};
  }
  return {std::min(data[0], data[2]), std::min(data[1], data[3]), std::max(data[0], data[2]),
          std::max(data[1], data[3])};
}

float overlap(const Box& a, const Box& b) {
  const float height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1);
  const float width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (height <= 0 || width <= 0) return 0;
  const float shared = height * width;
  const float all = a.area() + b.area() - shared;
  return all > 0 ? shared / all : 0;
}

float scalar_or(const EvalContext& context, size_t i, float fallback) {
  if (!context.has(i) || context.input(i).elements() == 0) return fallback;
  return convert(context.input(i), DType::f32).data<float>()[0];
}

std::vector<TensorType> infer_nms(const NodeTypes&) {
  return {{.dtype = DType::i64, .shape = {Shape::kUnknown, 3}}};
}

void eval_nms(EvalContext& context) {
  const Shape &boxes_shape = context.input(0).shape(), &scores_shape = context.input(1).shape();
  if (boxes_shape.rank() != 3 || scores_shape.rank() != 3 || boxes_shape[2] != 4 ||
      boxes_shape[1] != scores_shape[2] || boxes_shape[0] != scores_shape[0]) {
    fail(ErrorCode::invalid_data, "boxes {} and scores {} do not fit", boxes_shape.to_string(),
         scores_shape.to_string());
  }
  const float* boxes = context.input(0).data<float>().data();
  const float* scores = context.input(1).data<float>().data();
  const auto most = static_cast<int64_t>(scalar_or(context, 2, 0));
  const float iou = scalar_or(context, 3, 0), least = scalar_or(context, 4, -INFINITY);
  const bool centred = context.node.attributes.integer("center_point_box", 0) != 0;
  const int64_t classes = scores_shape[1], count = scores_shape[2];
  std::vector<int64_t> selected, order;
  std::vector<Box> kept;
  for (int64_t batch = 0; batch < scores_shape[0]; ++batch) {
    for (int64_t label = 0; label < classes; ++label) {
      const float* score = scores + (batch * classes + label) * count;
      order.clear();
      for (int64_t i = 0; i < count; ++i) {
        if (score[i] > least || !context.has(4)) order.push_back(i);
      }
      std::ranges::stable_sort(order, [&](int64_t a, int64_t b) { return score[a] > score[b]; });
      kept.clear();
      for (int64_t i : order) {
        if (static_cast<int64_t>(kept.size()) >= most) break;
        const Box box = box_of(boxes + (batch * count + i) * 4, centred);
        if (std::ranges::any_of(kept, [&](const Box& k) { return overlap(k, box) > iou; }))
          continue;
        kept.push_back(box);
        selected.insert(selected.end(), {batch, label, i});
      }
    }
  }
  context.set_output(0,
                     Tensor::of<int64_t>({static_cast<int64_t>(selected.size()) / 3, 3}, selected));
}

// ---- RoiAlign

std::vector<TensorType> infer_roi_align(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).rank() == 4 && types.shape(1).has_rank()) {
    type.shape = {types.shape(1)[0], types.shape(0)[1],
                  types.node.attributes.integer("output_height", 1),
                  types.node.attributes.integer("output_width", 1)};
  }
  return {type};
}

// The four pixels around a point with their weights; nothing outside [-1, extent].
struct Bilinear {
  std::array<int64_t, 4> at{};
  std::array<float, 4> weight{};

  Bilinear(float y, float x, int64_t height, int64_t width) {
    const bool near =
        y >= -1 && y <= static_cast<float>(height) && x >= -1 && x <= static_cast<float>(width);
    if (!near) return;  // NaN too
    const auto place = [](float v, int64_t extent, int64_t& low, int64_t& high) {
      v = std::clamp(v, 0.0F, static_cast<float>(extent - 1));
      low = static_cast<int64_t>(v);
      high = std::min(low + 1, extent - 1);
      return v - static_cast<float>(low);
    };
    int64_t y0 = 0, y1 = 0, x0 = 0, x1 = 0;
    const float ly = place(y, height, y0, y1), lx = place(x, width, x0, x1);
    at = {y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1};
    weight = {(1 - ly) * (1 - lx), (1 - ly) * lx, ly * (1 - lx), ly * lx};
  }
};

// One box of four finite numbers and one image of the data [N,C,H,W] for each region.
void require_rois(const Tensor& boxes, std::span<const int64_t> images, const Shape& data) {
  const Shape& shape = boxes.shape();
  if (data.rank() != 4 || shape.rank() != 2 || shape[1] != 4 ||
      static_cast<int64_t>(images.size()) != shape[0]) {
    fail(ErrorCode::invalid_model, "boxes {} and {} image numbers do not fit the data {}",
         shape.to_string(), images.size(), data.to_string());
  }
  for (int64_t image : images) {
    if (image < 0 || image >= data[0]) {
      fail(ErrorCode::invalid_data, "image {} is not in [0, {})", image, data[0]);
    }
  }
  constexpr float kFarthest = 1e6F;  // pixels
  for (float edge : boxes.data<float>()) {
    if (!(std::abs(edge) <= kFarthest)) {
      fail(ErrorCode::invalid_data, "a box has the coordinate {}", edge);
    }
  }
}

void eval_roi_align(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_roi_align);
  const Attributes& attributes = context.node.attributes;
  const Shape& shape = context.input(0).shape();
  if (shape.rank() != 4 || context.input(1).shape().rank() != 2) {
    fail(ErrorCode::invalid_model, "the data {} and the boxes {} must have 4 and 2 dimensions",
         shape.to_string(), context.input(1).shape().to_string());
  }
  const int64_t rois = context.input(1).shape()[0], channels = shape[1];
  const int64_t height = shape[2], width = shape[3];
  const int64_t out_h = attributes.integer("output_height", 1);
  const int64_t out_w = attributes.integer("output_width", 1);
  const int64_t sampling = attributes.integer("sampling_ratio", 0);
  const float scale = attributes.real("spatial_scale", 1);
  const bool half_pixel =
      attributes.text("coordinate_transformation_mode",
                      context.opset >= 16 ? "half_pixel" : "output_half_pixel") == "half_pixel";
  const bool average = attributes.text("mode", "avg") == "avg";
  const float* boxes = context.input(1).data<float>().data();
  const std::vector<int64_t> batch = to_int64s(context.input(2));
  require_rois(context.input(1), batch, shape);
  if (out_h < 1 || out_w < 1 || sampling < 0 || height * width == 0) {
    fail(ErrorCode::invalid_model, "{} cannot be pooled to {}x{} with {} samples",
         shape.to_string(), out_h, out_w, sampling);
  }
  const float* in = context.input(0).data<float>().data();
  float* out = context.output(0, DType::f32, {rois, channels, out_h, out_w}).data<float>().data();
  const float shift = half_pixel ? 0.5F : 0.0F;
  context.pool.parallel_for(rois, [&](int64_t n) {
    const float* box = boxes + n * 4;
    const float x0 = box[0] * scale - shift, y0 = box[1] * scale - shift;
    float roi_w = box[2] * scale - shift - x0, roi_h = box[3] * scale - shift - y0;
    if (!half_pixel) {
      roi_w = std::max(roi_w, 1.0F);
      roi_h = std::max(roi_h, 1.0F);
    }
    const float bin_h = roi_h / static_cast<float>(out_h),
                bin_w = roi_w / static_cast<float>(out_w);
    const auto grid = [&](float bin) {
      return sampling > 0 ? sampling : std::max<int64_t>(1, static_cast<int64_t>(std::ceil(bin)));
    };
    const int64_t grid_h = grid(bin_h), grid_w = grid(bin_w);
    for (int64_t c = 0; c < channels; ++c) {
      const float* plane = in + (batch.at(static_cast<size_t>(n)) * channels + c) * height * width;
      float* to = out + (n * channels + c) * out_h * out_w;
      for (int64_t bin = 0; bin < out_h * out_w; ++bin) {
        float sum = 0, largest = -INFINITY;
        for (int64_t s = 0; s < grid_h * grid_w; ++s) {
          const auto step = [](int64_t cell, float size, int64_t sample, int64_t samples) {
            return static_cast<float>(cell) * size +
                   (static_cast<float>(sample) + 0.5F) * size / static_cast<float>(samples);
          };
          const Bilinear point(y0 + step(bin / out_w, bin_h, s / grid_w, grid_h),
                               x0 + step(bin % out_w, bin_w, s % grid_w, grid_w), height, width);
          for (size_t k = 0; k < 4; ++k) {
            const float value = point.weight[k] * plane[point.at[k]];
            sum += value;
            largest = std::max(largest, value);
          }
        }
        to[bin] = average ? sum / static_cast<float>(grid_h * grid_w) : largest;
      }
    }
  });
}

// ---- MaxUnpool

Shape unpooled(const Node& node, const Shape& shape) {
  const std::vector<int64_t> kernel = node.attributes.integers("kernel_shape");
  const std::vector<int64_t> strides = node.attributes.integers("strides");
  const std::vector<int64_t> pads = node.attributes.integers("pads");
  const auto rank = static_cast<size_t>(std::max(0, shape.rank() - 2));
  if (kernel.size() != rank) {
    fail(ErrorCode::invalid_model, "attribute kernel_shape has {} entries, expected {}",
         kernel.size(), rank);
  }
  Shape result = shape;
  for (size_t i = 0; i < rank; ++i) {
    const auto axis = static_cast<int>(i) + 2;
    const int64_t stride = strides.empty() ? 1 : strides.at(i);
    const int64_t padding = pads.empty() ? 0 : pads.at(i) + pads.at(i + rank);
    if (shape[axis] >= 0) result[axis] = (shape[axis] - 1) * stride + kernel[i] - padding;
  }
  return result;
}

std::vector<TensorType> infer_max_unpool(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.has(2)) {
    if (types.constant(2) != nullptr) type.shape = Shape(to_int64s(*types.constant(2)));
  } else if (types.shape(0).has_rank()) {
    type.shape = unpooled(types.node, types.shape(0));
  }
  return {type};
}

void eval_max_unpool(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_max_unpool);
  const Shape pooled_from = unpooled(context.node, context.input(0).shape());
  const Shape shape = context.has(2) ? Shape(to_int64s(context.input(2))) : pooled_from;
  const std::span<const float> in = context.input(0).data<float>();
  const std::vector<int64_t> indices = to_int64s(context.input(1));
  if (shape.rank() != pooled_from.rank() || indices.size() != in.size() ||
      (pooled_from.elements() == 0 && !in.empty())) {
    fail(ErrorCode::invalid_model, "{} indices cannot lead from {} to {}", indices.size(),
         context.input(0).shape().to_string(), shape.to_string());
  }
  const std::span<float> out = context.output(0, DType::f32, shape).data<float>();
  std::ranges::fill(out, 0.0F);
  for (size_t i = 0; i < in.size(); ++i) {
    // The index counts in the tensor that was pooled, which output_shape may have made larger.
    int64_t rest = indices.at(i), place = 0, step = 1;
    for (int axis = shape.rank() - 1; axis >= 0; --axis) {
      place += rest % pooled_from[axis] * step;
      rest /= pooled_from[axis];
      step *= shape[axis];
    }
    if (place < 0 || place >= static_cast<int64_t>(out.size())) {
      fail(ErrorCode::invalid_data, "index {} is outside of {}", indices[i], shape.to_string());
    }
    out[static_cast<size_t>(place)] = in[i];
  }
}

// ---- Col2Im

struct Col2Im {
  Window window;
  Shape output;
};

// The window of the im2col that this inverts, over the image [N,C,image...].
Col2Im col2im_of(const Node& node, const Shape& columns, std::span<const int64_t> image,
                 std::span<const int64_t> block) {
  if (columns.rank() != 3 || image.size() != block.size()) {
    fail(ErrorCode::invalid_model, "columns {}, an image of {} and blocks of {} axes do not fit",
         columns.to_string(), image.size(), block.size());
  }
  int64_t taps = 1;
  for (int64_t extent : block) {
    if (extent < 1 || __builtin_mul_overflow(taps, extent, &taps)) {
      fail(ErrorCode::invalid_model, "a block has the extent {}", extent);
    }
  }
  Col2Im result{.window = make_window(node.attributes, image, block)};
  result.output = {columns[0], columns[1] < 0 ? columns[1] : columns[1] / taps};
  for (int64_t extent : image) result.output.push_back(extent);
  return result;
}

std::vector<TensorType> infer_col2im(const NodeTypes& types) {
  TensorType type{.dtype = types.input(0).dtype};
  if (types.shape(0).has_rank() && types.constant(1) != nullptr && types.constant(2) != nullptr) {
    type.shape = col2im_of(types.node, types.shape(0), to_int64s(*types.constant(1)),
                           to_int64s(*types.constant(2)))
                     .output;
  }
  return {type};
}

void eval_col2im(EvalContext& context) {
  if (is_half(context.input(0).dtype())) return eval_as_f32(context, eval_col2im);
  const Col2Im plan = col2im_of(context.node, context.input(0).shape(), to_int64s(context.input(1)),
                                to_int64s(context.input(2)));
  const Window& w = plan.window;
  int64_t taps = 1, positions = 1, pixels = 1;
  for (size_t i = 0; i < static_cast<size_t>(w.rank); ++i) {
    taps *= w.kernel[i];
    positions *= w.output[i];
    pixels *= w.input[i];
  }
  const Shape& columns = context.input(0).shape();
  if (columns[1] != plan.output[1] * taps || columns[2] != positions) {
    fail(ErrorCode::invalid_model, "columns {} do not fit {} taps at {} positions",
         columns.to_string(), taps, positions);
  }
  const float* in = context.input(0).data<float>().data();
  const std::span<float> out = context.output(0, DType::f32, plan.output).data<float>();
  std::ranges::fill(out, 0.0F);
  context.pool.parallel_for(plan.output[0] * plan.output[1], [&](int64_t plane) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int64_t position = 0; position < positions; ++position) {
        int64_t t = tap, p = position, pixel = 0, step = 1;
        bool inside = true;
        for (int i = w.rank - 1; i >= 0; --i) {
          const auto a = static_cast<size_t>(i);
          const int64_t x =
              p % w.output[a] * w.stride[a] + t % w.kernel[a] * w.dilation[a] - w.pad_begin[a];
          p /= w.output[a];
          t /= w.kernel[a];
          inside = inside && x >= 0 && x < w.input[a];
          pixel += x * step;
          step *= w.input[a];
        }
        if (!inside) continue;
        out[static_cast<size_t>(plane * pixels + pixel)] +=
            in[(plane * taps + tap) * positions + position];
      }
    }
  });
}

constexpr OpRow row(std::string_view name, int min_inputs, int max_inputs, InferSignature* infer,
                    EvalSignature* eval) {
  return {.name = name,
          .min_inputs = min_inputs,
          .max_inputs = max_inputs,
          .infer = infer,
          .eval = eval,
          .kernels = kPlain,
          .why_float = kFloat};
}

constexpr std::array kRows = {
    row("NonMaxSuppression", 2, 5, infer_nms, eval_nms),
    row("RoiAlign", 3, 3, infer_roi_align, eval_roi_align),
    row("MaxUnpool", 2, 3, infer_max_unpool, eval_max_unpool),
    row("Col2Im", 3, 3, infer_col2im, eval_col2im),
};

}  // namespace

std::span<const OpRow> detection_ops() { return kRows; }

}  // namespace nibble
