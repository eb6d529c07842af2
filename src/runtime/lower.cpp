#include "runtime/lower.h"

#include <algorithm>

#include "base/lengths.h"
#include "ops/quantization/integer_kernels.h"
#include "ops/roles.h"
#include "ops/weight_pairs.h"
#include "runtime/conversions.h"
#include "runtime/lowering.h"
#include "runtime/subgraph.h"

namespace nibble {
namespace {

// ONNX Runtime's kernels for AVX2 add such products in pairs of 16 bits, and no others: not those
// of signed data, of unsigned weights, of ConvInteger.
bool multiplies_bytes_of_both_signs(const Graph& graph, const Node& node) {
  if (node.op == "DynamicMatMul" && node.domain == "nibble") {
    return graph.value(node.inputs[1]).type.dtype == DType::i8;
  }
  if (!multiplies_codes(node)) return false;
  const auto& data = graph.value(data_of(node)).type.quant;
  const auto& weight = graph.value(weight_of(node)).type.quant;
  return data && weight && !is_signed(data->storage) && is_signed(weight->storage);
}

}  // namespace

void Lowering::run() {
  for (ValueId id : graph_.inputs) {
    const int index = add_slot(plain(graph_.value(id).type), {}, Slot::Home::input);
    program_.inputs.push_back(index);
    settle(id, index, false);
  }
  for (NodeId id : graph_.nodes()) {
    const Node& node = graph_.node(id);
    with_context([&] { return describe(node); },
                 [&] { with_lengths_from_model([&] { lower_node(node); }); });
  }
  for (ValueId id : graph_.outputs) program_.outputs.push_back(real(id));
}

void Lowering::lower_node(const Node& node) {
  const OpRow& row = require_op(node, graph_.opset());
  check_arity(node, row);
  ++program_.node_count;
  if (node.input(0) && is_view(node, graph_.value(node.inputs[0]).type.shape) && lower_view(node)) {
    return;
  }
  if (lower_quantizing_transpose(node)) return;
  std::vector<Refusal> refusals;
  if (is_static_node(node)) {
    for (const KernelRow& kernel : kernels_of(node, row)) {
      if (kernel.is_quantized() && !runs_on_codes(options_.arithmetic)) continue;
      std::string why_not;
      if (lower_kernel(node, row, kernel, why_not)) {
        program_.steps.back().refusals = std::move(refusals);
        return;
      }
      refusals.push_back({kernel.name, std::move(why_not)});
    }
  }
  lower_eval(node, row, std::move(refusals));
}

std::vector<KernelRow> Lowering::kernels_of(const Node& node, const OpRow& row) const {
  std::vector<KernelRow> kernels;
  if (const auto trial = trials_.find(node.op); trial != trials_.end()) kernels = trial->second;
  kernels.insert(kernels.end(), row.kernels.rows.begin(), row.kernels.rows.end());
  return kernels;
}

bool Lowering::is_static_node(const Node& node) const {
  const auto is_known = [&](ValueId id) { return !id || is_static(graph_.value(id).type); };
  return std::ranges::all_of(node.inputs, is_known) && std::ranges::all_of(node.outputs, is_known);
}

// The codes of the input if it has any, else its reals, under another shape.
bool Lowering::lower_view(const Node& node) {
  const ValueId from = node.inputs[0];
  const ValueId to = node.outputs[0];
  if (!is_static(graph_.value(to).type)) return false;
  const int source = codes_of(from).empty() ? real(from) : codes_of(from).front();
  const Shape shape = graph_.value(to).type.shape;
  if (slot(source).home == Slot::Home::heap ||
      shape.elements() != slot(source).type.shape.elements()) {
    return false;
  }
  Step step;
  step.node = &node;
  step.integer = slot(source).form.is_codes();
  step.inputs = {source};
  program_.integer_nodes += step.integer ? 1 : 0;
  program_.steps.push_back(std::move(step));
  settle(to, add_view(source, shape), graph_.value(to).type.quant == graph_.value(from).type.quant);
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
  const int source = codes_in(from, DType::u8);
  if (!before.conversion || !before.conversion->quantizes() || before.outputs[0] != source) {
    return false;
  }
  TensorType type = slot(source).type;
  if (!is_static(type)) return false;
  const auto exchange = exchanged_axes(node, type.shape);
  if (!exchange) return false;
  type.shape = graph_.value(to).type.shape;
  const Form form = slot(source).form;
  Step step;
  step.node = &node;
  step.integer = true;
  step.kernel = quantize_transpose_kernel(*form.grid, *exchange, type.shape);
  step.inputs = {before.inputs[0]};
  step.outputs = {add_slot(type, form)};
  ++program_.integer_nodes;
  program_.steps.back() = std::move(step);
  settle(to, program_.steps.back().outputs[0], false);
  return true;
}

std::optional<Offer> Lowering::offer(const Node& node, const KernelRow& kernel,
                                     std::string& why_not) {
  Offer offer;
  offer.constants.resize(node.inputs.size());
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const ValueId id = node.inputs[i];
    std::string reason;
    const std::optional<Form> form = form_for(id, kernel.read(i), reason);
    if (!form) {
      why_not = fmt::format("input {} {}", i, reason);
      return std::nullopt;
    }
    offer.input_forms.push_back(*form);
    TensorType type = id ? plain(graph_.value(id).type) : TensorType{};
    type.dtype = form->stored(type.dtype);
    offer.inputs.push_back(std::move(type));
    if (id && graph_.value(id).is_constant()) {
      offer.constants[i] = constant_in(id, *form, kernel.read(i));
    }
  }
  for (const ValueId id : node.outputs) {
    const Form first = offer.input_forms.empty() ? Form{} : offer.input_forms[0];
    const std::optional<Form> form = form_given(id, kernel.gives, first, why_not);
    if (!form) return std::nullopt;
    offer.output_forms.push_back(*form);
    TensorType type = id ? graph_.value(id).type : TensorType{};
    type.dtype = form->stored(type.dtype);
    offer.outputs.push_back(std::move(type));
  }
  return offer;
}

bool Lowering::lower_kernel(const Node& node, const OpRow& row, const KernelRow& kernel,
                            std::string& why_not) {
  const std::optional<Offer> given = offer(node, kernel, why_not);
  if (!given) return false;
  const NodeTypes types(node, graph_.opset(), given->inputs, given->constants);
  Step step;
  step.node = &node;
  step.kernel = kernel.make({.types = types,
                             .outputs = given->outputs,
                             .input_forms = given->input_forms,
                             .output_forms = given->output_forms,
                             .saturating16 = options_.arithmetic == Arithmetic::saturating16 &&
                                             multiplies_bytes_of_both_signs(graph_, node),
                             .why_not = &why_not});
  if (!step.kernel) {
    if (why_not.empty()) why_not = "these types or attributes are not for it";
    return false;
  }
  step.integer = std::ranges::any_of(given->input_forms, &Form::is_codes) ||
                 std::ranges::any_of(given->output_forms, &Form::is_codes);
  for (size_t i = 0; i < node.inputs.size(); ++i) {
    const Reads reads = kernel.read(i);
    const bool held = !node.inputs[i] || reads == Reads::weight || reads == Reads::parameter;
    step.inputs.push_back(held ? -1 : in_form(node.inputs[i], given->input_forms[i]));
  }
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    const ValueId id = node.outputs[i];
    step.outputs.push_back(id ? add_slot(plain(graph_.value(id).type), given->output_forms[i])
                              : -1);
  }
  const std::vector<int> results = step.outputs;
  program_.integer_nodes += step.integer ? 1 : 0;
  program_.steps.push_back(std::move(step));
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i]) {
      settle(node.outputs[i], results[i], stays_on_grid(node, row, node.outputs[i]));
    }
  }
  return true;
}

// What only moves elements leaves them on the grid of its input.
bool Lowering::stays_on_grid(const Node& node, const OpRow& row, ValueId output) const {
  return row.quant == QuantRole::same_codes && (row.writes == nullptr || !row.writes(node)) &&
         graph_.value(output).type.quant == graph_.value(node.inputs[0]).type.quant;
}

void Lowering::lower_eval(const Node& node, const OpRow& row, std::vector<Refusal> refusals) {
  if (!row.eval) {
    fail(ErrorCode::unsupported, "these types cannot be computed: {}", row.eval.reason);
  }
  Step step;
  step.node = &node;
  step.row = &row;
  step.refusals = std::move(refusals);
  for (ValueId id : node.inputs) step.inputs.push_back(id ? real(id) : -1);
  for (ValueId id : node.captures) step.captures.push_back(real(id));
  const bool has_bodies = std::ranges::any_of(node.attributes, [](const auto& item) {
    return std::holds_alternative<std::shared_ptr<const Graph>>(item.second);
  });
  if (has_bodies) {
    step.bodies = std::make_shared<BodyRunner>(program_, node, step.captures, options_, pool_);
  }
  for (ValueId id : node.outputs) {
    step.outputs.push_back(id ? add_slot(plain(graph_.value(id).type)) : -1);
  }
  const std::vector<int> results = step.outputs;
  program_.steps.push_back(std::move(step));
  for (size_t i = 0; i < node.outputs.size(); ++i) {
    if (node.outputs[i]) {
      settle(node.outputs[i], results[i], stays_on_grid(node, row, node.outputs[i]));
    }
  }
}

std::unique_ptr<Executable> lower(Graph graph, const CompileOptions& options, ThreadPool& pool,
                                  const TrialKernels& trials) {
  auto program = std::make_unique<Executable>(std::move(graph));
  Lowering(*program, options, pool, trials).run();
  for (int32_t i = 0; i < program->graph.value_count(); ++i) program->graph.value({i}).data = {};
  program->finish();
  return program;
}

}  // namespace nibble
