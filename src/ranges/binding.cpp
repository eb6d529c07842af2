#include "ranges/binding.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <optional>
#include <utility>

#include "base/check.h"
#include "tensor/agree.h"

namespace nibble {
namespace {

// Dimensions [begin, end) as a shape.
Shape part(const Shape& shape, int begin) {
  return Shape(shape.dims().subspan(static_cast<size_t>(begin)));
}

struct Fitted {
  InputBinding::Fit fit = InputBinding::Fit::batched;
  bool leading_one = false;
};

// How samples of this shape go into an input declared as `wanted`, which has a rank.
std::optional<Fitted> fit_batched(const Shape& wanted, const Shape& sample, bool is_real) {
  using Fit = InputBinding::Fit;
  if (wanted.rank() == 0) return std::nullopt;
  const Shape rest = part(wanted, 1);
  if (agree(rest.dims(), sample.dims())) return Fitted{};
  if (sample.is_static() && rest.rank() == 1 && rest[0] == sample.elements()) {
    return Fitted{.fit = Fit::flat};
  }
  const bool is_image =
      is_real && sample.rank() == 3 && rest.rank() == 3 && sample[0] >= 1 && sample[0] <= 4;
  if (is_image && agree(rest.dims(), std::array{sample[1], sample[2], sample[0]})) {
    return Fitted{.fit = Fit::channels_last};
  }
  return std::nullopt;
}

std::optional<Fitted> find_fit(const Shape& wanted, const Shape& sample, bool is_real) {
  if (!wanted.has_rank()) return Fitted{};
  if (!sample.has_rank()) {
    // Samples of any rank: each is all of the input.
    return Fitted{.fit = InputBinding::Fit::whole};
  }
  if (auto fitted = fit_batched(wanted, sample, is_real)) return fitted;
  if (sample.rank() > 0 && sample[0] == 1 && wanted.rank() > 0 && wanted[0] < 0) {
    if (auto fitted = fit_batched(wanted, part(sample, 1), is_real)) {
      fitted->leading_one = true;
      return fitted;
    }
  }
  if (agree(wanted.dims(), sample.dims())) return Fitted{.fit = InputBinding::Fit::whole};
  return std::nullopt;
}

bool converts(DType from, DType to) {
  if (is_float(to)) return true;
  if (is_float(from)) return to == DType::u8;  // the bytes of an image
  return from == to || (from != DType::boolean && to != DType::boolean);
}

// Letters of a name that say what it is, not which side of the network it is on: "hn", "h_out" and
// "h.1" are "h".
std::string stem(std::string_view name) {
  std::string text;
  for (const char c : name) {
    text += std::isalnum(static_cast<unsigned char>(c)) != 0
                ? static_cast<char>(std::tolower(static_cast<unsigned char>(c)))
                : ' ';
  }
  static constexpr std::string_view kSides[] = {"output", "out",  "input", "in",      "next",
                                                "new",    "prev", "past",  "present", "previous"};
  std::string result;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (std::ranges::find(kSides, word) == std::end(kSides)) result += word;
    begin = end + 1;
  }
  if (result.size() > 1 && result.ends_with("n")) result.pop_back();  // hn: the h after n steps
  return result;
}

bool is_feedable(const Graph& graph, ValueId input, ValueId output) {
  const TensorType& to = graph.value(input).type;
  const TensorType& from = graph.value(output).type;
  return to.dtype == from.dtype && to.shape.has_rank() && to.shape.rank() > 0 &&
         from.shape.has_rank() && to.shape.rank() == from.shape.rank() &&
         agree(to.shape.dims(), from.shape.dims());
}

class Binder {
 public:
  Binder(const Graph& graph, const Dataset& data)
      : graph_(graph), data_(data), fields_(data.fields()), stored_(stored_carry(graph)) {}

  Binding bind() {
    Binding binding;
    for (const ValueId id : graph_.inputs) {
      const Value& value = graph_.value(id);
      binding.inputs.push_back(
          {.input = id, .name = value.name, .dtype = value.type.dtype, .shape = value.type.shape});
    }
    find_fields(binding);
    find_states(binding);
    require_all(binding);
    for (InputBinding& input : binding.inputs) {
      if (input.field >= 0) fit(input);
      if (input.carried_from < 0) settle_fit(input, binding);
    }
    settle_batch(binding);
    return binding;
  }

 private:
  // By name; a field without one goes to the one input that is left.
  void find_fields(Binding& binding) const {
    std::vector<InputBinding*> left;
    for (InputBinding& input : binding.inputs) {
      const auto at = std::ranges::find(fields_, input.name, &Field::name);
      if (at != fields_.end() && !at->name.empty()) {
        input.field = static_cast<int>(at - fields_.begin());
      } else if (!stored_.contains(input.name)) {
        left.push_back(&input);
      }
    }
    if (fields_.size() != 1 || left.empty() ||
        left.size() != binding.inputs.size() - stored_.size())
      return;
    const bool nameless = fields_[0].name.empty();
    if (!nameless && left.size() > 1) return;
    // Others may be states that nothing says of yet: the samples are for the one input that they
    // fit, or for the one of those that can be no state.
    const auto keep = [&](const auto& is_kept) {
      if (left.size() > 1) std::erase_if(left, [&](const auto* input) { return !is_kept(*input); });
    };
    keep([&](const InputBinding& input) { return takes(input, fields_[0]); });
    keep([&](const InputBinding& input) { return candidates(input.input).empty(); });
    if (left.size() == 1) left[0]->field = 0;
  }

  static bool takes(const InputBinding& input, const Field& field) {
    return converts(field.dtype, input.dtype) &&
           find_fit(input.shape, field.shape, is_float(field.dtype));
  }

  std::vector<int> candidates(ValueId input) const {
    std::vector<int> found;
    for (size_t i = 0; i < graph_.outputs.size(); ++i) {
      if (is_feedable(graph_, input, graph_.outputs[i])) found.push_back(static_cast<int>(i));
    }
    return found;
  }

  const std::string& output_name(int index) const {
    return graph_.value(graph_.outputs[static_cast<size_t>(index)]).name;
  }

  void find_states(Binding& binding) const {
    std::string proposed;
    for (InputBinding& input : binding.inputs) {
      const auto stored = stored_.find(input.name);
      if (stored != stored_.end()) {
        for (size_t i = 0; i < graph_.outputs.size(); ++i) {
          if (output_name(static_cast<int>(i)) == stored->second) {
            input.carried_from = static_cast<int>(i);
          }
        }
        continue;
      }
      if (input.field >= 0) continue;
      input.carried_from = proposal(binding, input);
      if (input.carried_from < 0) continue;
      proposed += fmt::format("{}{}={}", proposed.empty() ? "" : " ",
                              output_name(input.carried_from), input.name);
    }
    if (!proposed.empty()) {
      binding.notes.push_back(
          fmt::format("States are carried from sample to sample, starting from zeros, as if by "
                      "--carry {}",
                      proposed));
    }
  }

  // The output that pairs up with an input that nothing is given for; -1 if none does for sure.
  int proposal(const Binding& binding, const InputBinding& input) const {
    std::vector<int> fitting = candidates(input.input);
    std::vector<int> named;
    for (const int i : fitting) {
      if (stem(output_name(i)) == stem(input.name)) named.push_back(i);
    }
    if (named.size() == 1) return named[0];
    const auto rivals = std::ranges::count_if(binding.inputs, [&](const InputBinding& other) {
      return other.field < 0 && candidates(other.input) == fitting;
    });
    return fitting.size() == 1 && rivals == 1 ? fitting[0] : -1;
  }

  std::string inputs_text() const {
    std::string text;
    for (const ValueId id : graph_.inputs) {
      text += fmt::format("{}'{}' {}", text.empty() ? "" : ", ", graph_.value(id).name,
                          to_string(graph_.value(id).type));
    }
    return text;
  }

  std::string fields_text() const {
    std::string text;
    for (const Field& field : fields_) {
      text += fmt::format("{}{}{}{}", text.empty() ? "" : ", ",
                          field.name.empty() ? "" : "'" + field.name + "' ", name_of(field.dtype),
                          field.shape.has_rank() ? field.shape.to_string() : "[...]");
    }
    return text;
  }

  void require_all(const Binding& binding) const {
    for (const InputBinding& input : binding.inputs) {
      if (input.field >= 0 || input.carried_from >= 0) continue;
      fail(ErrorCode::invalid_argument,
           "nothing is given for the model's input '{}' {}: the samples of {} are {}, the model "
           "takes {}; name the array with --input {}=NAME, or, if it is a state, the output it "
           "comes from with --carry OUTPUT={}",
           input.name, to_string(graph_.value(input.input).type), data_.describe(), fields_text(),
           inputs_text(), input.name, input.name);
    }
    for (size_t i = 0; i < fields_.size(); ++i) {
      const bool used = std::ranges::any_of(binding.inputs, [&](const InputBinding& input) {
        return input.field == static_cast<int>(i);
      });
      if (used) continue;
      fail(ErrorCode::invalid_argument,
           "the samples of {} have '{}', which the model has no input for; it takes {}",
           data_.describe(), fields_[i].name, inputs_text());
    }
  }

  void fit(InputBinding& input) const {
    const Field& field = fields_[static_cast<size_t>(input.field)];
    const TensorType& type = graph_.value(input.input).type;
    if (!converts(field.dtype, type.dtype)) {
      fail(ErrorCode::invalid_argument, "the model's input '{}' is {}, the samples of {} are {}",
           input.name, to_string(type), data_.describe(), name_of(field.dtype));
    }
    const auto fitted = find_fit(type.shape, field.shape, is_float(field.dtype));
    if (!fitted) {
      fail(ErrorCode::invalid_argument, "the model's input '{}' is {}, the samples of {} are {}{}",
           input.name, to_string(type), data_.describe(), field.shape.to_string(),
           data_.preprocess() ? "; use --resize, --crop or --color to make them fit" : "");
    }
    input.fit = fitted->fit;
    input.leading_one = fitted->leading_one;
  }

  // What the fit of an input that is no state means for all of them.
  void settle_fit(const InputBinding& input, Binding& binding) const {
    const Shape& sample = fields_[static_cast<size_t>(input.field)].shape;
    binding.ragged = binding.ragged || !sample.is_static();
    binding.single = binding.single || input.fit == InputBinding::Fit::whole;
    if (input.fit == InputBinding::Fit::channels_last) {
      binding.notes.push_back(fmt::format(
          "Samples {} are turned into {} for the input '{}', which has the channels last",
          sample.to_string(), input.shape.to_string(), input.name));
    }
  }

  static void settle_batch(Binding& binding) {
    binding.single = binding.single || binding.ragged || binding.carries();
    for (const InputBinding& input : binding.inputs) {
      const bool fixed = input.carried_from < 0 && input.fit != InputBinding::Fit::whole &&
                         input.shape.has_rank() && input.shape.rank() > 0 && input.shape[0] > 0;
      if (!fixed) continue;
      const int64_t batch = input.shape[0];
      if ((binding.fixed_batch != 0 && binding.fixed_batch != batch) ||
          (binding.single && batch != 1)) {
        fail(ErrorCode::unsupported,
             "input '{}' takes {} samples at a time, other inputs {}: they cannot be fed together",
             input.name, batch, binding.single ? 1 : binding.fixed_batch);
      }
      binding.fixed_batch = batch;
    }
  }

  const Graph& graph_;
  const Dataset& data_;
  const std::vector<Field> fields_;
  const Carry stored_;
};

// [N,C,H,W] as [N,H,W,C].
Tensor to_channels_last(const Tensor& batch) {
  const Shape& shape = batch.shape();
  const int64_t channels = shape[1], plane = shape[2] * shape[3];
  Tensor result(DType::f32, Shape{shape[0], shape[2], shape[3], channels});
  const std::span<const float> from = batch.data<float>();
  const std::span<float> to = result.data<float>();
  for (size_t i = 0; i < to.size(); ++i) {
    const auto at = static_cast<int64_t>(i);
    const int64_t n = at / (plane * channels), pixel = at / channels % plane, c = at % channels;
    to[i] = from[static_cast<size_t>((n * channels + c) * plane + pixel)];
  }
  return result;
}

Tensor to_type(const Tensor& tensor, DType dtype) {
  if (tensor.dtype() == dtype) return tensor;
  if (!is_float(tensor.dtype()) || is_float(dtype)) return convert(tensor, dtype);
  Tensor whole = convert(tensor, DType::f32);
  if (whole.raw() == tensor.raw()) whole = whole.clone();
  for (float& value : whole.data<float>()) value = std::clamp(std::nearbyint(value), 0.0F, 255.0F);
  return convert(whole, dtype);
}

}  // namespace

bool Binding::carries() const {
  return std::ranges::any_of(inputs,
                             [](const InputBinding& input) { return input.carried_from >= 0; });
}

Tensor InputBinding::from_batch(const Tensor& batch) const {
  Shape sample = part(batch.shape(), leading_one ? 2 : 1);
  Shape wanted{batch.shape()[0]};
  if (fit == Fit::whole) wanted = Shape();
  if (fit == Fit::flat) sample = Shape{sample.elements()};
  for (const int64_t extent : sample.dims()) wanted.push_back(extent);
  Tensor result = batch.reshaped(wanted);
  if (fit == Fit::channels_last) {
    result = to_channels_last(result.dtype() == DType::f32 ? result : convert(result, DType::f32));
  }
  return to_type(result, dtype);
}

Tensor InputBinding::first_state(std::span<const Tensor> samples) const {
  if (field >= 0) return from_batch(samples[static_cast<size_t>(field)]);
  // The first open dimension is the batch; another one is the length of what was seen so far.
  Shape zeros = shape;
  int64_t extent = 1;
  for (int axis = 0; axis < zeros.rank(); ++axis) {
    if (zeros[axis] < 0) zeros[axis] = std::exchange(extent, 0);
  }
  return {dtype, zeros};  // zero-filled
}

Binding bind_samples(const Graph& graph, const Dataset& data) { return Binder(graph, data).bind(); }

}  // namespace nibble
