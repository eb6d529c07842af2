#include "model.h"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "convert.h"
#include "module.h"
#include "nibble/error.h"
#include "nibble/onnx.h"
#include "onnx/model_size.h"
#include "passes/insert_qdq.h"
#include "verbs/check.h"
#include "verbs/inspect.h"
#include "verbs/layers.h"

namespace nibble::python {
namespace {

nb::object values_of(const Graph& graph, const std::vector<ValueId>& ids) {
  nb::list list;
  for (const ValueId id : ids) {
    const Value& value = graph.value(id);
    nb::dict entry;
    entry["name"] = value.name;
    entry["dtype"] = nb::str(name_of(value.type.dtype).data(), name_of(value.type.dtype).size());
    entry["shape"] = to_python(value.type.shape, value.dim_names);
    entry["type"] = to_string(value.type);
    list.append(entry);
  }
  return list;
}

nb::object quant_of(const TensorType& type) {
  if (!type.quant) return nb::none();
  const QuantParams& quant = *type.quant;
  nb::dict entry;
  entry["storage"] = nb::str(name_of(quant.storage).data(), name_of(quant.storage).size());
  entry["bits"] = quant.bits();
  entry["scale"] = nb::cast(quant.scale);
  entry["zero_point"] = nb::cast(quant.zero_point);
  entry["granularity"] = quant.granularity == Granularity::per_tensor    ? "per_tensor"
                         : quant.granularity == Granularity::per_channel ? "per_channel"
                                                                         : "per_block";
  entry["axis"] = quant.axis;
  entry["block_size"] = quant.block_size;
  return entry;
}

nb::object constants_of(const Graph& graph) {
  nb::list list;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (value.is_constant()) list.append(nb::str(value.name.c_str()));
  }
  return list;
}

const Value& constant_named(const Graph& graph, const std::string& name) {
  const auto id = graph.find_value(name);
  if (!id || !graph.value(*id).is_constant()) {
    throw Error(ErrorCode::invalid_argument, "the model has no constant '" + name + "'");
  }
  return graph.value(*id);
}

nb::object layers_of(const Graph& graph) {
  nb::list list;
  for (const LayerState& layer : layer_states(graph)) {
    nb::dict entry;
    entry["node"] = layer.node;
    entry["op"] = layer.op;
    entry["weight"] = layer.weight;
    entry["shape"] = to_python(layer.shape, {});
    entry["parameters"] = layer.shape.elements();
    entry["weight_bits"] = layer.weight_bits;
    entry["activation_bits"] = layer.activation_bits;
    entry["weight_type"] = layer.weight_type;
    entry["data_type"] = layer.data_type;
    list.append(entry);
  }
  return list;
}

Model parse(const nb::bytes& bytes, const std::string& folder) {
  const std::string_view view(static_cast<const char*>(bytes.data()), bytes.size());
  const nb::gil_scoped_release released;
  return make_model(parse_onnx(view, folder));
}

nb::bytes serialize(const Model& model, const std::string& target) {
  std::string bytes;
  {
    const nb::gil_scoped_release released;
    bytes = serialize_onnx(*model.graph, find_target(target));
  }
  return nb::bytes(bytes.data(), bytes.size());
}

void save(const Model& model, const std::string& path, const std::string& target) {
  with_context([&] { return "saving " + path; },
               [&] { save_onnx(*model.graph, path, find_target(target)); });
}

}  // namespace

void define_models(nb::module_& module) {
  using nb::arg;
  const nb::call_guard<nb::gil_scoped_release> released;
  // Of an ONNX file and the files that hold its constants; None if there is no such file.
  module.def(
      "file_size", [](const std::string& path) { return size_of_model(path); }, arg("path"),
      released);
  nb::class_<Model>(module, "Model")
      .def_static(
          "load", [](const std::string& path) { return make_model(load_onnx(path)); }, arg("path"),
          released)
      .def_static("parse", parse, arg("bytes"), arg("folder"))
      .def("save", save, arg("path"), arg("target"), released)
      .def("serialize", serialize, arg("target"))
      .def_prop_ro("inputs", [](const Model& m) { return values_of(*m.graph, m.graph->inputs); })
      .def_prop_ro("outputs", [](const Model& m) { return values_of(*m.graph, m.graph->outputs); })
      .def_prop_ro("name", [](const Model& m) { return m.graph->name; })
      .def_prop_ro("opset", [](const Model& m) { return m.graph->opset(); })
      .def_prop_ro("metadata", [](const Model& m) { return to_python(Json(m.graph->metadata)); })
      .def_prop_ro("quantized", [](const Model& m) { return is_quantized(*m.graph); })
      .def("constants", [](const Model& m) { return constants_of(*m.graph); })
      .def(
          "constant",
          [](const Model& m, const std::string& name) {
            const Value& value = constant_named(*m.graph, name);
            return nb::make_tuple(to_numpy(value.data, false), quant_of(value.type));
          },
          arg("name"))
      .def("layers", [](const Model& m) { return layers_of(*m.graph); })
      .def("text", [](const Model& m) { return to_text(*m.graph); })
      .def("inspect",
           [](const Model& m) {
             Inspection found;
             {
               const nb::gil_scoped_release unlocked;
               found = inspect_model(*m.graph);
             }
             return to_python(to_json(found, *m.graph, std::nullopt));
           })
      .def(
          "check",
          [](const Model& m, const std::string& target) {
            const Target& row = find_target(target);
            return to_python(to_json(check_model(*m.graph, row), row));
          },
          arg("target"));
}

}  // namespace nibble::python
