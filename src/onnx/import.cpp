// Reading models: bytes -> ModelProto -> Graph.
#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/file_view.h"
#include "nibble/onnx.h"
#include "onnx/expand/expand.h"
#include "onnx/import_graph.h"
#include "onnx/inline_functions.h"
#include "onnx/notes.h"
#include "onnx/proto.h"
#include "passes/pass.h"

namespace nibble {
namespace {

constexpr int64_t kOldestOpset = 7;
constexpr int64_t kNewestOpset = 28;

std::map<std::string, int64_t> read_opsets(const schema::ModelProto& proto) {
  std::map<std::string, int64_t> opsets;
  for (const auto& import : proto.opset_import) {
    const std::string domain = *import.domain == "ai.onnx" ? std::string() : *import.domain;
    opsets[domain] = std::max(opsets[domain], *import.version);
  }
  const auto own = opsets.find("");
  if (own != opsets.end() && (own->second < kOldestOpset || own->second > kNewestOpset)) {
    fail(ErrorCode::unsupported, "the model uses opset {}; Nibble reads {} to {}", own->second,
         kOldestOpset, kNewestOpset);
  }
  return opsets;
}

template <typename T>
bool has_nan(const Tensor& tensor) {
  return std::ranges::any_of(tensor.data<T>(), [](T value) {
    if constexpr (std::is_floating_point_v<T>) {
      return std::isnan(value);
    } else {
      return std::isnan(to_float(value));
    }
  });
}

// A weight that is not a number makes every result not a number. Scalars may be: masks are built
// from them.
void refuse_nan(const Graph& graph) {
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (!value.is_constant() || !is_float(value.data.dtype()) || value.data.elements() < 2)
      continue;
    const bool bad = with_type(value.data.dtype(), [&](auto zero) {
      using T = decltype(zero);
      if constexpr (std::is_floating_point_v<T> || std::is_same_v<T, Half> ||
                    std::is_same_v<T, BFloat16>) {
        return has_nan<T>(value.data);
      } else {
        return false;
      }
    });
    if (bad) fail(ErrorCode::invalid_model, "tensor '{}' contains NaN", value.name);
  }
}

// A value's type holds scales of f32.
bool has_half_grids(const Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [&](NodeId id) {
    const Node& node = graph.node(id);
    if (node.op != "QuantizeLinear" && node.op != "DequantizeLinear") return false;
    const DType scale = node.input(1) ? graph.value(node.inputs[1]).type.dtype : DType::undefined;
    return scale == DType::f16 || scale == DType::bf16;
  });
}

Graph read_model(schema::ModelProto& proto, const std::filesystem::path& directory) {
  if (!proto.graph.has()) {
    fail(ErrorCode::invalid_model, "this is not an ONNX model: it contains no graph");
  }
  inline_functions(proto);
  const ModelContext model{directory, read_opsets(proto)};
  Graph graph = GraphReader(model).read(proto.graph.edit());
  for (const auto& entry : proto.metadata_props) graph.metadata[*entry.key] = *entry.value;
  proto.graph.clear();
  proto.opset_import.clear();
  proto.metadata_props.clear();
  OnnxNotes::of_model(graph) = serialize_proto(proto);
  graph.validate();
  refuse_nan(graph);
  if (expand_operators(graph) > 0) graph.validate();
  if (has_half_grids(graph)) widen_half(graph);
  fold_qdq(graph);
  return graph;
}

}  // namespace

Graph parse_onnx(std::string_view bytes, const std::filesystem::path& directory) {
  if (bytes.size() >= size_t{1} << 31U) {
    fail(ErrorCode::unsupported, "the model file is larger than 2 GiB, which ONNX does not allow");
  }
  schema::ModelProto proto;
  if (bytes.empty() || !parse_proto(proto, bytes, Elements::refer)) {
    fail(ErrorCode::invalid_model, "this is not an ONNX model, or it is damaged");
  }
  return read_model(proto, directory);
}

Graph load_onnx(const std::filesystem::path& path) {
  return with_context([&] { return fmt::format("loading {}", path.string()); },
                      [&] {
                        const std::filesystem::path parent = path.parent_path();
                        return parse_onnx(FileView(path).bytes(), parent.empty() ? "." : parent);
                      });
}

}  // namespace nibble
