#include "train/graph_builder.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace nibble {

GraphBuilder::GraphBuilder(std::string name, const Shape& sample, uint64_t seed) : random_(seed) {
  graph_.name = std::move(name);
  graph_.opsets[""] = 17;
  Shape shape{Shape::kUnknown};
  for (int64_t dim : sample) shape.push_back(dim);
  const ValueId id = graph_.add_value("input", {.dtype = DType::f32, .shape = shape, .quant = {}});
  graph_.value(id).dim_names.assign(static_cast<size_t>(shape.rank()), "");
  graph_.value(id).dim_names[0] = "N";
  graph_.inputs = {id};
}

ValueId GraphBuilder::append(const std::string& op, const std::string& name,
                             std::vector<ValueId> inputs, const Shape& shape,
                             Attributes attributes) {
  const ValueId out = graph_.add_value(name, {.dtype = DType::f32, .shape = shape, .quant = {}});
  graph_.value(out).dim_names.assign(static_cast<size_t>(shape.rank()), "");
  graph_.value(out).dim_names[0] = "N";
  graph_.add_node({.op = op,
                   .domain = "",
                   .name = name,
                   .inputs = std::move(inputs),
                   .outputs = {out},
                   .attributes = std::move(attributes),
                   .captures = {}});
  return out;
}

ValueId GraphBuilder::he_normal(const std::string& name, const Shape& shape, int64_t fan_in) {
  Tensor weight(DType::f32, shape);
  const double deviation = std::sqrt(2.0 / static_cast<double>(fan_in));
  for (float& w : weight.data<float>()) w = static_cast<float>(deviation * random_.normal());
  return graph_.add_constant(name, std::move(weight));
}

ValueId GraphBuilder::filled(const std::string& name, int64_t count, float value) {
  Tensor tensor(DType::f32, {count});
  std::ranges::fill(tensor.data<float>(), value);
  return graph_.add_constant(name, std::move(tensor));
}

ValueId GraphBuilder::conv(const std::string& name, ValueId x, int64_t channels,
                           const LayerWindow& window, bool bias) {
  const Shape in = shape(x);
  check(in.rank() == 4 && in[1] % window.groups == 0, "conv: wrong input shape");
  const int64_t per_group = in[1] / window.groups;
  Shape out{in[0], channels, 0, 0};
  for (int axis : {2, 3}) {
    out[axis] = (in[axis] + 2 * window.padding - window.kernel) / window.stride + 1;
    if (in[axis] + 2 * window.padding < window.kernel) {
      fail(ErrorCode::invalid_argument, "samples of {} are too small for layer {}",
           shape(input()).to_string(), name);
    }
  }
  Attributes attributes;
  attributes.set("kernel_shape", std::vector<int64_t>{window.kernel, window.kernel});
  attributes.set("strides", std::vector<int64_t>{window.stride, window.stride});
  attributes.set("pads", std::vector<int64_t>(4, window.padding));
  attributes.set("group", window.groups);
  std::vector<ValueId> inputs = {
      x, he_normal(name + ".weight", {channels, per_group, window.kernel, window.kernel},
                   per_group * window.kernel * window.kernel)};
  if (bias) inputs.push_back(filled(name + ".bias", channels, 0));
  return append("Conv", name, std::move(inputs), out, std::move(attributes));
}

ValueId GraphBuilder::batch_norm(const std::string& name, ValueId x) {
  const int64_t channels = shape(x)[1];
  Attributes attributes;
  attributes.set("epsilon", 1e-5F);
  attributes.set("momentum", 0.9F);
  return append("BatchNormalization", name,
                {x, filled(name + ".gamma", channels, 1), filled(name + ".beta", channels, 0),
                 filled(name + ".mean", channels, 0), filled(name + ".var", channels, 1)},
                shape(x), std::move(attributes));
}

ValueId GraphBuilder::relu(const std::string& name, ValueId x) {
  return append("Relu", name, {x}, shape(x));
}

ValueId GraphBuilder::relu6(const std::string& name, ValueId x) {
  const ValueId low = graph_.add_constant(name + ".min", Tensor::scalar(0.0F));
  const ValueId high = graph_.add_constant(name + ".max", Tensor::scalar(6.0F));
  return append("Clip", name, {x, low, high}, shape(x));
}

ValueId GraphBuilder::sigmoid(const std::string& name, ValueId x) {
  return append("Sigmoid", name, {x}, shape(x));
}

ValueId GraphBuilder::add(const std::string& name, ValueId a, ValueId b) {
  check(shape(a) == shape(b), "add: the shapes differ");
  return append("Add", name, {a, b}, shape(a));
}

ValueId GraphBuilder::max_pool(const std::string& name, ValueId x, int64_t size) {
  Shape out = shape(x);
  for (int axis : {2, 3}) {
    out[axis] /= size;
    if (out[axis] == 0) {
      fail(ErrorCode::invalid_argument, "samples of {} are too small for layer {}",
           shape(input()).to_string(), name);
    }
  }
  Attributes attributes;
  attributes.set("kernel_shape", std::vector<int64_t>{size, size});
  attributes.set("strides", std::vector<int64_t>{size, size});
  return append("MaxPool", name, {x}, out, std::move(attributes));
}

ValueId GraphBuilder::global_average(const std::string& name, ValueId x) {
  const Shape in = shape(x);
  const ValueId pooled = append("GlobalAveragePool", name, {x}, {in[0], in[1], 1, 1});
  return flatten(name + ".flat", pooled);
}

ValueId GraphBuilder::flatten(const std::string& name, ValueId x) {
  const Shape in = shape(x);
  Attributes attributes;
  attributes.set("axis", int64_t{1});
  return append("Flatten", name, {x}, {in[0], in.elements(1, in.rank())}, std::move(attributes));
}

ValueId GraphBuilder::dropout(const std::string& name, ValueId x, float ratio) {
  const ValueId share = graph_.add_constant(name + ".ratio", Tensor::scalar(ratio));
  return append("Dropout", name, {x, share}, shape(x));
}

ValueId GraphBuilder::dense(const std::string& name, ValueId x, int64_t units) {
  const Shape in = shape(x);
  check(in.rank() == 2, "dense: the input is not flat");
  Attributes attributes;
  attributes.set("transB", int64_t{1});
  return append(
      "Gemm", name,
      {x, he_normal(name + ".weight", {units, in[1]}, in[1]), filled(name + ".bias", units, 0)},
      {in[0], units}, std::move(attributes));
}

Graph GraphBuilder::finish(ValueId output, const std::string& name) && {
  graph_.value(output).name = name;
  graph_.outputs = {output};
  graph_.validate();
  return std::move(graph_);
}

}  // namespace nibble
