// Models as ONNX bytes, built by protobuf and ONNX's own schema, for tests of reading and writing.
#pragma once

#define ONNX_ML  // the schema with functions
#include <onnx/onnx_pb.h>

#include <string>
#include <vector>

namespace nibble::testing {

struct ModelBuilder {
  onnx::ModelProto model;

  explicit ModelBuilder(int64_t opset = 17, int64_t ir_version = 8) {
    model.set_ir_version(ir_version);
    model.add_opset_import()->set_version(opset);
    model.mutable_graph()->set_name("test");
  }
  onnx::GraphProto& graph() { return *model.mutable_graph(); }

  static void set_type(onnx::ValueInfoProto& info, const std::string& name,
                       const std::vector<int64_t>& dims, int dtype = 1) {
    info.set_name(name);
    auto& tensor = *info.mutable_type()->mutable_tensor_type();
    tensor.set_elem_type(dtype);
    tensor.mutable_shape();
    for (int64_t dim : dims) {
      auto& entry = *tensor.mutable_shape()->add_dim();
      if (dim >= 0) entry.set_dim_value(dim);
    }
  }
  void input(const std::string& name, const std::vector<int64_t>& dims, int dtype = 1) {
    set_type(*graph().add_input(), name, dims, dtype);
  }
  void output(const std::string& name, const std::vector<int64_t>& dims, int dtype = 1) {
    set_type(*graph().add_output(), name, dims, dtype);
  }
  onnx::NodeProto& node(const std::string& op, const std::vector<std::string>& inputs,
                        const std::vector<std::string>& outputs) {
    onnx::NodeProto& node = *graph().add_node();
    node.set_op_type(op);
    for (const std::string& name : inputs) node.add_input(name);
    for (const std::string& name : outputs) node.add_output(name);
    return node;
  }
  onnx::TensorProto& floats(const std::string& name, const std::vector<int64_t>& dims,
                            const std::vector<float>& values) {
    onnx::TensorProto& tensor = *graph().add_initializer();
    tensor.set_name(name);
    tensor.set_data_type(1);
    for (int64_t dim : dims) tensor.add_dims(dim);
    for (float value : values) tensor.add_float_data(value);
    return tensor;
  }
  std::string bytes() const { return model.SerializeAsString(); }
};

}  // namespace nibble::testing
