// The forms of values, and the conversions between them, each made once.
#include "base/check.h"
#include "runtime/conversions.h"
#include "runtime/lowering.h"

namespace nibble {
namespace {

// The storage of codes that a kernel reads or gives; nullopt if it asks for none.
std::optional<DType> storage_of(Reads reads) {
  switch (reads) {
    case Reads::u8:
    case Reads::u8_or_constant:
      return DType::u8;
    case Reads::s8:
      return DType::i8;
    case Reads::u16:
      return DType::u16;
    case Reads::s16:
      return DType::i16;
    default:
      return std::nullopt;
  }
}

std::optional<DType> storage_of(Gives gives) {
  switch (gives) {
    case Gives::u8:
    case Gives::u8_or_real:
      return DType::u8;
    case Gives::s8:
      return DType::i8;
    case Gives::u16:
      return DType::u16;
    case Gives::s16:
      return DType::i16;
    default:
      return std::nullopt;
  }
}

}  // namespace

int Lowering::add_slot(const TensorType& type, Form form, Slot::Home home) {
  program_.slots.push_back(
      {.home = home, .type = type, .form = std::move(form), .view_of = -1, .tensor = {}});
  return static_cast<int>(program_.slots.size()) - 1;
}

int Lowering::add_constant(const TensorType& type, Form form, Tensor tensor) {
  const int index = add_slot(type, std::move(form), Slot::Home::constant);
  slot(index).tensor = std::move(tensor);
  return index;
}

int Lowering::add_view(int source, const Shape& shape) {
  TensorType type = slot(source).type;
  type.shape = shape;
  const int index = add_slot(type, slot(source).form, slot(source).home);
  slot(index).view_of = source;
  return index;
}

std::optional<Form> Lowering::form_for(ValueId id, Reads reads, std::string& why_not) {
  if (!id) {
    if (reads == Reads::weight) why_not = "is left out";
    return reads == Reads::weight ? std::nullopt : std::optional(Form{});
  }
  const Value& value = graph_.value(id);
  if (reads == Reads::weight || reads == Reads::parameter) {
    if (!value.is_constant()) {
      why_not = "is computed while running";
      return std::nullopt;
    }
    if (value.type.quant) return Form::packed(*value.type.quant);
    if (reads == Reads::parameter) return Form{};
    why_not = "is not quantized";
    return std::nullopt;
  }
  if (reads == Reads::as_it_is) {
    return codes_of(id).empty() ? Form{} : slot(codes_of(id).front()).form;
  }
  const std::optional<DType> storage = storage_of(reads);
  if (!storage || (reads == Reads::u8_or_constant && value.is_constant())) return Form{};
  if (const int known = codes_in(id, *storage); known >= 0) return slot(known).form;
  if (auto form = codes_form(value.type, *storage)) return form;
  why_not = fmt::format("has no codes of {} bits", bits_of(*storage));
  return std::nullopt;
}

std::optional<Form> Lowering::form_given(ValueId id, Gives gives, const Form& first,
                                         std::string& why_not) {
  if (!id) return Form{};
  if (gives == Gives::moved) return first;
  const std::optional<DType> storage = storage_of(gives);
  if (!storage) return Form{};
  if (auto form = codes_form(graph_.value(id).type, *storage)) return form;
  if (gives == Gives::u8_or_real) return Form{};
  why_not = fmt::format("its result is not quantized to {} bits or fewer", bits_of(*storage));
  return std::nullopt;
}

const Tensor& Lowering::real_constant(ValueId id) {
  const Value& value = graph_.value(id);
  if (!value.type.quant) return value.data;
  Tensor& known = real_constants_[id];
  if (known.empty()) known = reals_of(value);
  return known;
}

Tensor Lowering::constant_in(ValueId id, const Form& form, Reads reads) {
  if (reads == Reads::weight || reads == Reads::parameter) return graph_.value(id).data;
  return form.is_codes() ? slot(codes(id, form)).tensor : real_constant(id);
}

// A step that no node of the graph asked for.
int Lowering::convert(ValueId id, int source, Form to, std::unique_ptr<Kernel> kernel) {
  Step step;
  step.conversion = Conversion{graph_.value(id).name, id, slot(source).form, to};
  step.kernel = std::move(kernel);
  step.inputs = {source};
  step.outputs = {add_slot(slot(source).type, std::move(to))};
  program_.steps.push_back(std::move(step));
  return program_.steps.back().outputs[0];
}

int Lowering::codes_in(ValueId id, DType storage) {
  for (const int index : codes_of(id)) {
    if (slot(index).form.grid->storage == storage) return index;
  }
  return -1;
}

int Lowering::real(ValueId id) {
  if (const int known = real_of(id); known >= 0) return known;
  const Value& value = graph_.value(id);
  if (value.is_constant()) {
    return real_of(id) = add_constant(plain(value.type), {}, real_constant(id));
  }
  check(!codes_of(id).empty(), "a value is read before it is computed");
  const int source = codes_of(id).front();
  const int index = convert(id, source, {}, conversion_kernel(slot(source).form, {}));
  return real_of(id) = index;
}

int Lowering::codes(ValueId id, const Form& form) {
  if (const int known = codes_in(id, form.grid->storage); known >= 0) return known;
  const Value& value = graph_.value(id);
  int index = -1;
  if (value.is_constant()) {
    index = add_constant(plain(value.type), form, nibble::codes_of(value, form));
  } else {
    const int source = codes_of(id).empty() ? real(id) : codes_of(id).front();
    index = convert(id, source, form, conversion_kernel(slot(source).form, form));
  }
  codes_of(id).push_back(index);
  return index;
}

void Lowering::complete(ValueId id, int index) {
  if (program_.steps.empty()) {
    program_.known_at_start.emplace_back(id, index);
  } else {
    program_.steps.back().completes.emplace_back(id, index);
  }
}

void Lowering::settle(ValueId id, int index, bool on_grid) {
  if (slot(index).form.is_codes()) return settle_codes(id, index);
  const TensorType& type = graph_.value(id).type;
  const bool rounds =
      type.quant && type.dtype == DType::f32 && options_.arithmetic != Arithmetic::f32 && !on_grid;
  if (!rounds) {
    real_of(id) = index;
    return complete(id, index);
  }
  const std::optional<Form> form = codes_form(type, DType::u8);
  if (form && runs_on_codes(options_.arithmetic)) {
    const int quantized = convert(id, index, *form, conversion_kernel({}, *form));
    codes_of(id).push_back(quantized);
    return complete(id, quantized);
  }
  const int rounded = convert(id, index, {}, round_kernel(*type.quant));
  real_of(id) = rounded;
  complete(id, rounded);
}

// Computed as codes, perhaps with other parameters than the type has. Without any, it keeps what it
// has: it lies on that grid.
void Lowering::settle_codes(ValueId id, int index) {
  const Form have = slot(index).form;
  const std::optional<Form> wanted = codes_form(graph_.value(id).type, have.grid->storage);
  if (wanted && *wanted != have) {
    index = convert(id, index, *wanted, conversion_kernel(have, *wanted));
  }
  codes_of(id).push_back(index);
  complete(id, index);
}

}  // namespace nibble
