#include "onnx/sample_models.h"

#include <string>
#include <string_view>

namespace nibble::testing {

ModelBuilder nested_if() {
  ModelBuilder b;
  b.input("c", {}, 9);
  b.input("x", {2});
  b.output("y", {2});
  onnx::NodeProto& outer = b.node("If", {"c"}, {"y"});
  for (const char* name : {"then_branch", "else_branch"}) {
    auto& attribute = *outer.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::GRAPH);
    onnx::GraphProto& body = *attribute.mutable_g();
    body.set_name(name);
    ModelBuilder inner;
    inner.graph().set_name("inner");
    inner.node("Neg", {"x"}, {"deep"});
    inner.output("deep", {2});
    onnx::NodeProto& node = *body.add_node();
    node.set_op_type("If");
    node.add_input("c");
    node.add_output(std::string(name) + "_out");
    for (const char* branch : {"then_branch", "else_branch"}) {
      auto& nested = *node.add_attribute();
      nested.set_name(branch);
      nested.set_type(onnx::AttributeProto::GRAPH);
      *nested.mutable_g() = inner.graph();
    }
    ModelBuilder::set_type(*body.add_output(), std::string(name) + "_out", {2});
  }
  return b;
}

ModelBuilder rich_model() {
  ModelBuilder b;
  b.model.set_producer_name("maker");
  b.model.set_producer_version("1.2");
  b.model.set_domain("org.example");
  b.model.set_model_version(7);
  b.model.set_doc_string("about the model");
  auto& entry = *b.model.add_metadata_props();
  entry.set_key("author");
  entry.set_value("someone");
  auto& import = *b.model.add_opset_import();
  import.set_domain("org.example");
  import.set_version(1);
  b.graph().set_doc_string("about the graph");
  b.input("x", {-1, 2});
  auto& dim = *b.graph()
                   .mutable_input(0)
                   ->mutable_type()
                   ->mutable_tensor_type()
                   ->mutable_shape()
                   ->mutable_dim(0);
  dim.set_dim_param("batch");
  dim.set_denotation("DATA_BATCH");
  b.graph().mutable_input(0)->set_doc_string("the input");
  b.output("y", {-1, 2});
  b.floats("w", {2}, {1, 2}).set_doc_string("the weight");
  onnx::TensorProto& text = *b.graph().add_initializer();
  text.set_name("labels");
  text.set_data_type(onnx::TensorProto::STRING);
  text.add_dims(1);
  text.add_string_data("cat");
  b.node("Mul", {"x", "w"}, {"m"}).set_doc_string("the product");
  onnx::NodeProto& custom = b.node("Custom", {"m", "", "labels"}, {"y"});
  custom.set_domain("org.example");
  custom.set_name("custom");
  auto& strings = *custom.add_attribute();
  strings.set_name("names");
  strings.set_type(onnx::AttributeProto::STRINGS);
  strings.add_strings("one");
  strings.set_doc_string("about the names");
  auto& type = *custom.add_attribute();
  type.set_name("kind");
  type.set_type(onnx::AttributeProto::TYPE_PROTO);
  type.mutable_tp()
      ->mutable_sequence_type()
      ->mutable_elem_type()
      ->mutable_tensor_type()
      ->set_elem_type(1);
  ModelBuilder::set_type(*b.graph().add_value_info(), "m", {-1, 2});
  return b;
}

ModelBuilder with_branches() {
  ModelBuilder b(12, 7);
  b.input("x", {2, 4});
  b.input("positive", {}, onnx::TensorProto::BOOL);
  b.output("y", {2, 1});
  b.floats("w", {4, 4}, std::vector<float>(16, 0));
  onnx::NodeProto& node = b.node("If", {"positive"}, {"y"});
  for (const char* name : {"then_branch", "else_branch"}) {
    const bool then = std::string_view(name) == "then_branch";
    onnx::AttributeProto& attribute = *node.add_attribute();
    attribute.set_name(name);
    attribute.set_type(onnx::AttributeProto::GRAPH);
    onnx::GraphProto& body = *attribute.mutable_g();
    body.set_name(name);
    if (then) {
      onnx::NodeProto& product = *body.add_node();
      product.set_op_type("MatMul");
      product.add_input("x");
      product.add_input("w");
      product.add_output("w_quantized");
    }
    onnx::NodeProto& sum = *body.add_node();
    sum.set_op_type("ReduceSum");
    sum.set_name("sum");
    sum.add_input(then ? "w_quantized" : "x");
    sum.add_output(then ? "sum_axes" : "w_scale");
    onnx::AttributeProto& axes = *sum.add_attribute();
    axes.set_name("axes");
    axes.set_type(onnx::AttributeProto::INTS);
    axes.add_ints(1);
    ModelBuilder::set_type(*body.add_output(), sum.output(0), {2, 1});
  }
  return b;
}

ModelBuilder with_quantized_value() {
  ModelBuilder b = nested_if();
  b.floats("s", {}, {0.5F});
  onnx::TensorProto& zero = b.floats("z", {}, {});
  zero.set_data_type(2);
  zero.add_int32_data(3);
  b.floats("w", {2, 2}, {1, 2, 3, 4});
  b.node("QuantizeLinear", {"x", "s", "z"}, {"q"});
  b.node("DequantizeLinear", {"q", "s", "z"}, {"d"});
  onnx::NodeProto& gemm = b.node("Gemm", {"d", "w"}, {"g"});
  auto& attribute = *gemm.add_attribute();
  attribute.set_name("alpha");
  attribute.set_type(onnx::AttributeProto::FLOAT);
  attribute.set_f(2);
  b.output("g", {2});
  return b;
}

}  // namespace nibble::testing
