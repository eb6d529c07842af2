// The state of lowering a graph: which physical forms of each value exist so far. Nodes are lowered
// in lower.cpp; forms.cpp makes the forms they ask for.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ops/support/codes.h"
#include "runtime/executable.h"

namespace nibble {

/// The type without quantization.
inline TensorType plain(const TensorType& type) {
  return {.dtype = type.dtype, .shape = type.shape, .quant = {}};
}

inline bool is_static(const TensorType& type) {
  return type.dtype != DType::undefined && type.shape.is_static();
}

class Lowering {
 public:
  Lowering(Executable& program, const CompileOptions& options, ThreadPool& pool)
      : program_(program),
        graph_(program.graph),
        options_(options),
        pool_(pool),
        real_(static_cast<size_t>(graph_.value_count()), -1),
        codes_(static_cast<size_t>(graph_.value_count()), -1) {}

  void run() {
    for (ValueId id : graph_.inputs) {
      const int slot = add_slot(plain(graph_.value(id).type), Slot::Home::input);
      program_.inputs.push_back(slot);
      define_real(id, slot);
    }
    for (NodeId id : graph_.nodes()) {
      const Node& node = graph_.node(id);
      with_context([&] { return describe(node); }, [&] { lower_node(node); });
    }
    for (ValueId id : graph_.outputs) program_.outputs.push_back(real(id));
  }

 private:
  int& real_of(ValueId id) { return real_[static_cast<size_t>(id.index)]; }
  int& codes_of(ValueId id) { return codes_[static_cast<size_t>(id.index)]; }
  Slot& slot(int index) { return program_.slots[static_cast<size_t>(index)]; }

  int add_slot(const TensorType& type, Slot::Home home) {
    program_.slots.push_back({.home = home, .type = type, .view_of = -1, .tensor = {}});
    return static_cast<int>(program_.slots.size()) - 1;
  }
  int add_slot(const TensorType& type) {
    return add_slot(type, is_static(type) ? Slot::Home::arena : Slot::Home::heap);
  }
  int add_constant(const TensorType& type, Tensor tensor) {
    const int index = add_slot(type, Slot::Home::constant);
    slot(index).tensor = std::move(tensor);
    return index;
  }
  int add_view(int source, const TensorType& type) {
    const int index = add_slot(type, slot(source).home);
    slot(index).view_of = source;
    return index;
  }

  void lower_node(const Node& node);
  bool lower_integer(const Node& node, const OpRow& row, std::string& why_not);
  bool lower_view(const Node& node, bool as_codes);
  bool lower_quantizing_transpose(const Node& node);
  void lower_real(const Node& node, const OpRow& row, std::string note);
  std::unique_ptr<Kernel> prepare(const Node& node, const OpRow& row);

  int convert(ValueId id, int source, const TensorType& type, std::unique_ptr<Kernel> kernel,
              const char* op);
  int real(ValueId id);
  int codes(ValueId id);
  void complete(ValueId id, int slot);
  void define_real(ValueId id, int slot);
  void define_rounded(ValueId id, int slot);
  void define_codes(ValueId id, int slot);

  TensorType physical_type(ValueId id, bool stored_constant) const;
  bool has_codes(ValueId id) const {
    return codes_[static_cast<size_t>(id.index)] >= 0 ||
           (graph_.value(id).is_constant() && code_form(graph_.value(id).type));
  }

  Executable& program_;
  const Graph& graph_;
  const CompileOptions& options_;
  ThreadPool& pool_;
  std::vector<int> real_;   // slot of each value's real numbers, -1 while there is none
  std::vector<int> codes_;  // slot of its codes, likewise
};

}  // namespace nibble
