#include "runtime/lower.h"

#include <algorithm>

#include "base/check.h"
#include "ops/quantization/integer_support.h"
#include "ops/roles.h"
#include "ops/support/codes.h"
#include "runtime/conversions.h"
#include "runtime/lowering.h"
#include "runtime/subgraph.h"

namespace nibble {
void Lowering::lower_node(const Node& node) {
  const OpRow& row = require_op(node, graph_.opset());
  check_arity(node, row);
  ++program_.node_count;
  std::string why_not;
  const bool some_codes =
      std::ranges::any_of(node.inputs, [&](ValueId id) { return id && codes_of(id) >= 0; });
  const bool view = node.input(0) && is_view(node, graph_.value(node.inputs[0]).type.shape);
  if (options_.arithmetic == Arithmetic::integer && some_codes) {
    if (view && codes_of(node.inputs[0]) >= 0 && lower_view(node, true)) return;
    if (lower_quantizing_transpose(node)) return;
    if (lower_integer(node, row, why_not)) return;
  }
  if (view && lower_view(node, false)) return;
  lower_real(node, row, std::move(why_not));
}

bool Lowering::lower_view(const Node& node, bool as_codes) {
  const ValueId from = node.inputs[0];
  const ValueId to = node.outputs[0];
  if (!is_static(graph_.value(to).type)) return false;
  const int source = as_codes ? codes_of(from) : real(from);
  if (slot(source).home == Slot::Home::heap) return false;
  TensorType type = slot(source).type;
  type.shape = graph_.value(to).type.shape;
  if (type.shape.elements() != slot(source).type.shape.elements()) return false;
  Step step;
  step.node = &node;
  step.integer = as_codes;
  step.inputs = {source};
  program_.steps.push_back(std::move(step));
  program_.integer_nodes += as_codes ? 1 : 0;
  const int view = add_view(source, type);
  if (as_codes) {
    define_codes(to, view);
  } else if (graph_.value(to).type.quant == graph_.value(from).type.quant) {
    define_rounded(to, view);
  } else {
    define_real(to, view);
  }
  return true;
}

// A Transpose that is the only reader of a value quantized just before: one step does both.
bool Lowering::lower_quantizing_transpose(const Node& node) {
  if (node.op != "Transpose" || !node.domain.empty() || !options_.optimize) return false;
  const ValueId from = node.inputs[0];
  const ValueId to = node.outputs[0];
  if (program_.steps.empty() || graph_.is_output(from) || graph_.consumers(from).size() != 1) {
    return false;
  }
  const Step& before = program_.steps.back();
  const int source = codes_of(from);
  if (!before.conversion || before.conversion->op != "Quantize" || before.outputs[0] != source) {
    return false;
  }
  TensorType type = slot(source).type;
  if (!is_static(type)) return false;
  const auto exchange = exchanged_axes(node, type.shape);
  if (!exchange) return false;
  type.shape = graph_.value(to).type.shape;
  Step step;
  step.node = &node;
  step.integer = true;
  step.kernel = quantize_transpose_kernel(*type.quant, *exchange, type.shape);
  step.inputs = {before.inputs[0]};
  step.outputs = {add_slot(type)};
  ++program_.integer_nodes;
  program_.steps.back() = std::move(step);
  define_codes(to, program_.steps.back().outputs[0]);
  return true;
}

bool Lowering::lower_integer(const Node& node, const OpRow& row, std::string& why_not) {
  if (!row.integer) return false;
  const bool weighted = row.quant == QuantRole::weighted;
  std::vector<TensorType> inputs;
  std::vector<Tensor> constants(node.inputs.size());
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    const bool stored = weighted && i > 0;
    inputs.push_back(physical_type(id, stored));
    if (!id) continue;
    if (!is_static(inputs.back())) return false;
    const Value& value = graph_.value(id);
    if (!value.is_constant()) continue;
    constants[i] = !inputs.back().quant ? real_form_of(value)
                   : stored             ? value.data
                                        : slot(codes(id)).tensor;
  }
  std::vector<TensorType> outputs;
  for (ValueId id : node.outputs) {
    if (!id) {
      outputs.emplace_back();
      continue;
    }
    TensorType type = plain(graph_.value(id).type);
    if (!is_static(type)) return false;
    type.quant =
        row.quant == QuantRole::same_codes ? inputs[0].quant : code_form(graph_.value(id).type);
    outputs.push_back(type);
  }
  if (row.quant == QuantRole::same_codes && !inputs[0].quant) return false;

  const NodeTypes types(node, graph_.opset(), inputs, constants);
  std::unique_ptr<Kernel> kernel = row.integer.function(
      {.types = types, .outputs = outputs, .threads = pool_.threads(), .why_not = &why_not});
  if (!kernel) return false;

  Step step;
  step.node = &node;
  step.kernel = std::move(kernel);
  step.integer = true;
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    const bool packed = !id || (weighted && i > 0 && graph_.value(id).is_constant());
    step.inputs.push_back(packed ? -1 : inputs[i].quant ? codes(id) : real(id));
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    step.outputs.push_back(node.outputs[i] ? add_slot(outputs[i]) : -1);
  }
  const std::vector<int> results = step.outputs;
  program_.steps.push_back(std::move(step));
  ++program_.integer_nodes;
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i]) continue;
    outputs[i].quant ? define_codes(node.outputs[i], results[i])
                     : define_real(node.outputs[i], results[i]);
  }
  return true;
}

std::unique_ptr<Kernel> Lowering::prepare(const Node& node, const OpRow& row) {
  if (!row.prepare) return nullptr;
  std::vector<TensorType> inputs;
  std::vector<Tensor> constants(node.inputs.size());
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    inputs.push_back(id ? plain(graph_.value(id).type) : TensorType{});
    if (id && !is_static(inputs.back())) return nullptr;
    if (id && graph_.value(id).is_constant()) constants[i] = slot(real(id)).tensor;
  }
  std::vector<TensorType> outputs;
  for (ValueId id : node.outputs) {
    outputs.push_back(id ? plain(graph_.value(id).type) : TensorType{});
    if (id && !is_static(outputs.back())) return nullptr;
  }
  const NodeTypes types(node, graph_.opset(), inputs, constants);
  return row.prepare.function(
      {.types = types, .outputs = outputs, .threads = pool_.threads(), .why_not = nullptr});
}

void Lowering::lower_real(const Node& node, const OpRow& row, std::string note) {
  Step step;
  step.node = &node;
  step.note = std::move(note);
  for (ValueId id : node.inputs) step.inputs.push_back(id ? real(id) : -1);
  for (ValueId id : node.captures) step.captures.push_back(real(id));
  step.kernel = prepare(node, row);
  if (!step.kernel) {
    if (!row.eval) {
      fail(ErrorCode::unsupported, "these types cannot be computed: {}", row.eval.reason);
    }
    step.row = &row;
  }
  const bool has_bodies = std::ranges::any_of(node.attributes, [](const auto& item) {
    return std::holds_alternative<std::shared_ptr<const Graph>>(item.second);
  });
  if (has_bodies) {
    step.bodies = std::make_unique<BodyRunner>(program_, node, step.captures, options_, pool_);
  }
  for (ValueId id : node.outputs) {
    step.outputs.push_back(id ? add_slot(plain(graph_.value(id).type)) : -1);
  }
  const std::vector<int> results = step.outputs;
  program_.steps.push_back(std::move(step));
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (!node.outputs[i]) continue;
    if (row.quant == QuantRole::same_codes &&
        graph_.value(node.outputs[i]).type.quant == graph_.value(node.inputs[0]).type.quant) {
      define_rounded(node.outputs[i], results[i]);
    } else {
      define_real(node.outputs[i], results[i]);
    }
  }
}

std::unique_ptr<Executable> lower(Graph graph, const CompileOptions& options, ThreadPool& pool) {
  auto program = std::make_unique<Executable>(std::move(graph));
  Lowering(*program, options, pool).run();
  for (int32_t i = 0; i < program->graph.value_count(); ++i) program->graph.value({i}).data = {};
  program->finish();
  return program;
}

}  // namespace nibble
