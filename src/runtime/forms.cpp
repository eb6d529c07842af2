// The physical forms of values: real numbers or codes, and the conversions between them, each made
// once.
#include "base/check.h"
#include "runtime/conversions.h"
#include "runtime/lowering.h"

namespace nibble {

// A step that no node of the graph asked for.
int Lowering::convert(ValueId id, int source, const TensorType& type,
                      std::unique_ptr<Kernel> kernel, const char* op) {
  Step step;
  step.conversion = std::make_unique<Node>();
  step.conversion->op = op;
  step.conversion->domain = "nibble";
  step.conversion->name = graph_.value(id).name;
  step.conversion->outputs = {id};
  step.node = step.conversion.get();
  step.kernel = std::move(kernel);
  step.inputs = {source};
  step.outputs = {add_slot(type)};
  program_.steps.push_back(std::move(step));
  return program_.steps.back().outputs[0];
}

int Lowering::real(ValueId id) {
  int& known = real_of(id);
  if (known >= 0) return known;
  const Value& value = graph_.value(id);
  if (value.is_constant()) {
    known = add_constant(plain(value.type), real_form_of(value));
    return known;
  }
  const int source = codes_of(id);
  check(source >= 0, "a value is read before it is computed");
  const QuantParams params = *slot(source).type.quant;
  return known =
             convert(id, source, plain(slot(source).type), dequantize_kernel(params), "Dequantize");
}

int Lowering::codes(ValueId id) {
  int& known = codes_of(id);
  if (known >= 0) return known;
  const Value& value = graph_.value(id);
  TensorType type = plain(value.type);
  type.quant = code_form(value.type);
  check(value.is_constant() && type.quant, "a value has no codes");
  return known = add_constant(type, code_form_of(value));
}

void Lowering::complete(ValueId id, int index) {
  if (program_.steps.empty()) {
    program_.known_at_start.emplace_back(id, index);
  } else {
    program_.steps.back().completes.emplace_back(id, index);
  }
}

// `id` was computed in real numbers; now it takes the form that its type asks for.
void Lowering::define_real(ValueId id, int index) {
  const TensorType& type = graph_.value(id).type;
  if (!type.quant || type.dtype != DType::f32 || options_.arithmetic == Arithmetic::f32) {
    real_of(id) = index;
    return complete(id, index);
  }
  TensorType result = plain(slot(index).type);
  const std::optional<QuantParams> params = code_form(type);
  if (params && options_.arithmetic == Arithmetic::integer) {
    result.quant = params;
    codes_of(id) = convert(id, index, result, quantize_kernel(*params), "Quantize");
    return complete(id, codes_of(id));
  }
  real_of(id) = convert(id, index, result, round_kernel(*type.quant), "Round");
  complete(id, real_of(id));
}

// `id` lies on the grid of its type already, if it has one.
void Lowering::define_rounded(ValueId id, int index) {
  real_of(id) = index;
  complete(id, index);
}

// `id` was computed as codes, perhaps with other parameters than its type has. Without any, it
// keeps what it has: it lies on that grid.
void Lowering::define_codes(ValueId id, int index) {
  const TensorType& type = graph_.value(id).type;
  const QuantParams have = *slot(index).type.quant;
  const std::optional<QuantParams> wanted = code_form(type);
  if (wanted && !(*wanted == have)) {
    TensorType result = slot(index).type;
    result.quant = wanted;
    index = convert(id, index, result, requantize_kernel(have, *wanted), "Requantize");
  }
  codes_of(id) = index;
  complete(id, index);
}

// The type of an input as the integer column sees it: see KernelSpec.
TensorType Lowering::physical_type(ValueId id, bool stored_constant) const {
  if (!id) return {};
  const Value& value = graph_.value(id);
  TensorType type = plain(value.type);
  if (const int index = codes_[static_cast<size_t>(id.index)]; index >= 0) {
    type.quant = program_.slots[static_cast<size_t>(index)].type.quant;
  } else if (value.is_constant()) {
    type.quant = stored_constant ? value.type.quant : code_form(value.type);
  }
  return type;
}

}  // namespace nibble
