// The state of lowering a graph: which forms of each value exist so far. Nodes are lowered in
// lower.cpp, which asks the kernels of the op table; forms.cpp makes the forms that they ask for.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/executable.h"
#include "runtime/lower.h"

namespace nibble {

/// The type without quantization.
inline TensorType plain(const TensorType& type) {
  return {.dtype = type.dtype, .shape = type.shape, .quant = {}};
}

/// Quantized values are integers while running.
inline bool runs_on_codes(Arithmetic arithmetic) {
  return arithmetic == Arithmetic::integer || arithmetic == Arithmetic::saturating16;
}

inline bool is_static(const TensorType& type) {
  return type.dtype != DType::undefined && type.shape.is_static();
}

/// What a kernel row would be given: the operands in the forms it asks for.
struct Offer {
  std::vector<TensorType> inputs, outputs;  // as in memory; outputs with the grid the graph wants
  std::vector<Form> input_forms, output_forms;
  std::vector<Tensor> constants;
};

class Lowering {
 public:
  Lowering(Executable& program, const CompileOptions& options, ThreadPool& pool,
           const TrialKernels& trials)
      : program_(program),
        graph_(program.graph),
        options_(options),
        pool_(pool),
        trials_(trials),
        real_(static_cast<size_t>(graph_.value_count()), -1),
        codes_(static_cast<size_t>(graph_.value_count())) {}

  void run();

 private:
  int& real_of(ValueId id) { return real_[static_cast<size_t>(id.index)]; }
  std::vector<int>& codes_of(ValueId id) { return codes_[static_cast<size_t>(id.index)]; }
  Slot& slot(int index) { return program_.slots[static_cast<size_t>(index)]; }

  int add_slot(const TensorType& type, Form form, Slot::Home home);
  int add_slot(const TensorType& type, Form form = {}) {
    return add_slot(type, std::move(form), is_static(type) ? Slot::Home::arena : Slot::Home::heap);
  }
  int add_constant(const TensorType& type, Form form, Tensor tensor);
  int add_view(int source, const Shape& shape);

  // lower.cpp
  void lower_node(const Node& node);
  bool lower_view(const Node& node);
  bool lower_quantizing_transpose(const Node& node);
  bool lower_kernel(const Node& node, const OpRow& row, const KernelRow& kernel,
                    std::string& why_not);
  void lower_eval(const Node& node, const OpRow& row, std::vector<Refusal> refusals);
  std::optional<Offer> offer(const Node& node, const KernelRow& kernel, std::string& why_not);
  std::vector<KernelRow> kernels_of(const Node& node, const OpRow& row) const;
  bool is_static_node(const Node& node) const;
  bool stays_on_grid(const Node& node, const OpRow& row, ValueId output) const;

  // forms.cpp
  /// The form in which a kernel that reads `reads` gets the value; nullopt if it cannot.
  std::optional<Form> form_for(ValueId id, Reads reads, std::string& why_not);
  std::optional<Form> form_given(ValueId id, Gives gives, const Form& first, std::string& why_not);
  const Tensor& real_constant(ValueId id);
  Tensor constant_in(ValueId id, const Form& form, Reads reads);
  int in_form(ValueId id, const Form& form) { return form.is_codes() ? codes(id, form) : real(id); }
  int codes_in(ValueId id, DType storage);
  int convert(ValueId id, int source, Form to, std::unique_ptr<Kernel> kernel);
  int real(ValueId id);
  int codes(ValueId id, const Form& form);
  void complete(ValueId id, int slot);
  /// `id` was computed into `slot`; now it takes the form and grid that its type asks for.
  /// `on_grid`: its reals lie on that grid already.
  void settle(ValueId id, int slot, bool on_grid);
  void settle_codes(ValueId id, int slot);

  Executable& program_;
  const Graph& graph_;
  const CompileOptions& options_;
  ThreadPool& pool_;
  const TrialKernels& trials_;
  std::vector<int> real_;                     // slot of each value's real numbers, -1 while none
  std::vector<std::vector<int>> codes_;       // slots of its codes, one for each storage
  std::map<ValueId, Tensor> real_constants_;  // quantized constants, dequantized
};

}  // namespace nibble
