// Before: %y = Add(%x, %c:f32)            After: %c = Cast(%c_f16:f16) {to=f32}   %y = Add(%x, %c)
#include "onnx/narrow_constants.h"

#include <cstring>

#include "onnx/notes.h"
#include "onnx/proto.h"
#include "passes/graph_editor.h"

namespace nibble {
namespace {

// The bytes of a Cast and of the names that come with it.
constexpr int64_t kCostOfCast = 100;

// The element type of which the file's notes speak; undefined if they do not.
DType stored_type(const Graph& graph, ValueId id) {
  const std::string& notes = OnnxNotes::of(graph, id).storage;
  schema::TensorProto tensor;
  if (notes.empty() || !parse_proto(tensor, notes) || *tensor.data_type == 0) {
    return DType::undefined;
  }
  return dtype_from_onnx(*tensor.data_type).value_or(DType::undefined);
}

class Narrower {
 public:
  explicit Narrower(Graph& graph) : graph_(graph), editor_(graph) {}
  Narrower(Graph& body, Narrower& owner) : graph_(body), editor_(body, owner.editor_) {}

  int run() {
    const int32_t count = graph_.value_count();
    for (int32_t i = 0; i < count; ++i) {
      const DType stored = stored_type(std::as_const(graph_), {i});
      if (stored == DType::f16 || stored == DType::bf16) narrow({i}, stored);
    }
    for (NodeId id : graph_.nodes()) {
      edit_bodies(graph_.node(id), [&](Graph& body) { narrowed_ += Narrower(body, *this).run(); });
    }
    editor_.finish();
    return narrowed_;
  }

 private:
  void narrow(ValueId id, DType stored) {
    const Value& value = graph_.value(id);
    if (!value.is_constant() || value.data.dtype() != DType::f32 || value.type.quant) return;
    if (editor_.is_output(id) || value.data.elements() * 2 < kCostOfCast) return;
    if (stored == DType::bf16 && graph_.opset() < 13) return;  // Cast has not known it
    const Tensor data = value.data;
    const Tensor half = convert(data, stored);
    const Tensor back = convert(half, DType::f32);
    if (std::memcmp(back.raw(), data.raw(), data.bytes()) != 0) return;
    const std::string suffix = "_" + std::string(name_of(stored));
    const ValueId constant = editor_.add_constant(value.name + suffix, half);
    graph_.notes.move_storage(id, constant);
    graph_.notes.forget_input(id);
    graph_.value(id).data = {};
    Node cast{.op = "Cast", .inputs = {constant}, .outputs = {id}};
    cast.attributes.set("to", int64_t{onnx_data_type(DType::f32)});
    editor_.insert_at_front(std::move(cast));
    ++narrowed_;
  }

  Graph& graph_;
  GraphEditor editor_;
  int narrowed_ = 0;
};

}  // namespace

int narrow_constants(Graph& graph) { return Narrower(graph).run(); }

}  // namespace nibble
