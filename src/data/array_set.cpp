#include "data/array_set.h"

#include <algorithm>

#include "base/check.h"
#include "tensor/agree.h"

namespace nibble {
namespace {

// The whole of an input, and not one sample of several: its first dimension is known.
bool is_constant(const Field* input, const Shape& shape) {
  if (shape.rank() == 0) return true;
  return input != nullptr && input->shape.has_rank() && agree(input->shape.dims(), shape.dims()) &&
         input->shape[0] > 0;
}

// One array as a field or a target of samples.
struct Part {
  Field field;
  Array array;
  bool constant = false;
  std::shared_ptr<const PixelDataset> images;

  Tensor of(int64_t index) const {
    if (images != nullptr) return std::move(images->sample(index)[0]);
    if (constant) {
      return Tensor::borrow(field.dtype, field.shape, const_cast<void*>(array.tensor.raw()));
    }
    return row_of(array, index);
  }
  int64_t rows() const { return array.tensor.shape()[0]; }
};

class ArraySet : public Labelled<Dataset> {
 public:
  ArraySet(std::string name, Labels labels, std::shared_ptr<const Dataset> base,
           std::vector<Field> base_fields)
      : Labelled(std::move(name), std::move(labels)),
        base_(std::move(base)),
        base_fields_(std::move(base_fields)) {}

  std::vector<Part> fields_of_arrays, targets_of_arrays;

  std::vector<Field> fields() const override {
    std::vector<Field> fields = base_fields_;
    for (const Part& part : fields_of_arrays) fields.push_back(part.field);
    return fields;
  }
  std::vector<Tensor> sample(int64_t index) const override {
    std::vector<Tensor> tensors;
    if (base_ != nullptr) tensors = base_->sample(index);
    for (const Part& part : fields_of_arrays) tensors.push_back(part.of(index));
    return tensors;
  }
  std::vector<Field> target_fields() const override {
    std::vector<Field> fields;
    if (base_ != nullptr) fields = base_->target_fields();
    for (const Part& part : targets_of_arrays) fields.push_back(part.field);
    return fields;
  }
  std::vector<Tensor> targets(int64_t index) const override {
    std::vector<Tensor> tensors;
    if (base_ != nullptr) tensors = base_->targets(index);
    for (const Part& part : targets_of_arrays) tensors.push_back(part.of(index));
    return tensors;
  }
  std::string file_of(int64_t index) const override {
    return base_ == nullptr ? "" : base_->file_of(index);
  }
  bool starts_sequence(int64_t index) const override {
    return base_ == nullptr ? index == 0 : base_->starts_sequence(index);
  }
  std::optional<Preprocess> preprocess() const override {
    if (base_ != nullptr && base_->preprocess()) return base_->preprocess();
    for (const Part& part : fields_of_arrays) {
      if (part.images != nullptr) return part.images->preprocess();
    }
    return std::nullopt;
  }

 private:
  std::shared_ptr<const Dataset> base_;
  std::vector<Field> base_fields_;
};

Part make_part(NamedArray array, const DataOptions& options) {
  const Shape& shape = array.array.tensor.shape();
  const bool is_field = array.role.kind == ArrayRole::Kind::field;
  const Field* input = is_field ? find_input(options, array.role.name) : nullptr;
  Part part{.field = {.name = array.role.name, .dtype = array.array.tensor.dtype()},
            .array = std::move(array.array),
            .constant = is_constant(input, shape)};
  const bool takes_images = input != nullptr && input->shape.has_rank() && input->shape.rank() == 4;
  if (auto block = takes_images && !part.constant ? as_images(part.array) : std::nullopt) {
    const Preprocess chosen = chosen_preprocess(default_preprocess(block->channels), options);
    part.images = std::make_shared<PixelDataset>(part.array.name, Labels::none(shape[0]),
                                                 *std::move(block), chosen);
    part.field.dtype = DType::f32;
    part.field.shape = part.images->sample_shape();
  } else {
    part.field.shape = part.constant ? shape : Shape(shape.dims().subspan(1));
  }
  return part;
}

// The number of samples, which all agree on.
class Count {
 public:
  void add(const std::string& name, int64_t rows) {
    if (samples_ < 0) {
      samples_ = rows;
      first_ = name;
    } else if (samples_ != rows) {
      fail(ErrorCode::invalid_data, "{} has {} samples, {} has {}", first_, samples_, name, rows);
    }
  }
  int64_t samples() const { return samples_ < 0 ? 1 : samples_; }

 private:
  int64_t samples_ = -1;
  std::string first_;
};

// A sample of this shape can be one of the input's, or all of it.
bool may_hold(const Field& input, const Shape& sample) {
  if (!input.shape.has_rank() || !sample.has_rank()) return true;
  const auto fits = [&](std::span<const int64_t> wanted) {
    return std::ranges::equal(wanted, sample.dims(),
                              [](int64_t x, int64_t y) { return x < 0 || y < 0 || x == y; });
  };
  const std::span<const int64_t> all = input.shape.dims();
  return fits(all) || (!all.empty() && fits(all.subspan(1)));
}

// The first input that no array is for and that can hold the sample; else the first of those that
// no array is for.
const Field* input_left(const Shape& sample, const std::vector<Part>& parts,
                        const DataOptions& options) {
  const Field* first = nullptr;
  for (const Field& input : options.inputs) {
    const bool taken =
        std::ranges::any_of(parts, [&](const Part& part) { return part.field.name == input.name; });
    if (taken) continue;
    if (may_hold(input, sample)) return &input;
    if (first == nullptr) first = &input;
  }
  return first;
}

// Of `base`, with a name for one that has none.
std::vector<Field> named_fields(const Dataset* base, const std::vector<Part>& parts,
                                const DataOptions& options) {
  std::vector<Field> fields;
  if (base != nullptr) fields = base->fields();
  for (Field& field : fields) {
    const bool nameless = field.name.empty() && !parts.empty();
    const Field* left = nameless ? input_left(field.shape, parts, options) : nullptr;
    if (left != nullptr) field.name = left->name;
    for (const Part& part : parts) {
      if (part.field.name != field.name) continue;
      fail(ErrorCode::invalid_argument, "the input '{}' is given twice: by {} and by {}",
           field.name, base->describe(), part.array.name);
    }
  }
  return fields;
}

// Arrays sorted by what they are.
struct Sorted {
  std::vector<Part> fields, targets;
  std::optional<Array> label;
  Count count;

  Sorted(const std::string& name, std::vector<NamedArray> arrays, const DataOptions& options,
         const Dataset* base) {
    using Kind = ArrayRole::Kind;
    if (base != nullptr) count.add(name, base->size());
    for (NamedArray& array : arrays) {
      if (array.role.kind == Kind::label) {
        label = std::move(array.array);
        continue;
      }
      std::vector<Part>& parts = array.role.kind == Kind::field ? fields : targets;
      add(make_part(std::move(array), options), parts);
    }
    if (fields.empty() && base == nullptr) {
      fail(ErrorCode::invalid_data, "{}: there is no array for an input in it", name);
    }
  }

 private:
  void add(Part part, std::vector<Part>& parts) {
    for (const Part& other : parts) {
      if (other.field.name != part.field.name) continue;
      fail(ErrorCode::invalid_data, "{} and {} are both for '{}'", other.array.name,
           part.array.name, part.field.name);
    }
    if (!part.constant) count.add(part.array.name, part.rows());
    parts.push_back(std::move(part));
  }
};

std::shared_ptr<const Dataset> make_set(const std::string& name, Sorted arrays, Labels labels,
                                        const DataOptions& options,
                                        std::shared_ptr<const Dataset> base) {
  std::vector<Field> base_fields = named_fields(base.get(), arrays.fields, options);
  auto set =
      std::make_shared<ArraySet>(name, std::move(labels), std::move(base), std::move(base_fields));
  set->fields_of_arrays = std::move(arrays.fields);
  set->targets_of_arrays = std::move(arrays.targets);
  return set;
}

Labels labels_of_set(const Dataset& data) {
  Labels labels{.classes = data.classes(), .names = data.class_names()};
  for (int64_t i = 0; i < data.size(); ++i) {
    labels.values.push_back(static_cast<int32_t>(data.label(i)));
  }
  return labels;
}

}  // namespace

std::shared_ptr<const Dataset> join_arrays(const std::string& name, std::vector<NamedArray> arrays,
                                           const DataOptions& options,
                                           std::shared_ptr<const Dataset> base) {
  Sorted sorted(name, std::move(arrays), options, base.get());
  Labels labels = sorted.label ? labels_of(*sorted.label, sorted.count.samples())
                  : base != nullptr && base->classes() > 0 ? labels_of_set(*base)
                                                           : Labels::none(sorted.count.samples());
  return make_set(name, std::move(sorted), std::move(labels), options, std::move(base));
}

std::shared_ptr<const Dataset> join_arrays(const std::string& name, std::vector<NamedArray> arrays,
                                           const DataOptions& options, Labels labels) {
  return make_set(name, Sorted(name, std::move(arrays), options, nullptr), std::move(labels),
                  options, nullptr);
}

}  // namespace nibble
