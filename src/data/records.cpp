#include "data/records.h"

#include <algorithm>

#include "base/check.h"
#include "data/samples.h"

namespace nibble {
namespace {

using Kind = ArrayRole::Kind;

const RecordEntry* find_entry(const Record& record, const ArrayRole& role) {
  const auto at = std::ranges::find_if(record, [&](const RecordEntry& entry) {
    return entry.role.kind == role.kind && entry.role.name == role.name;
  });
  return at == record.end() ? nullptr : &*at;
}

Shape common_shape(const Shape& a, const Shape& b) {
  if (!a.has_rank() || a.rank() != b.rank()) return Shape::unknown_rank();
  Shape shape = a;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] != b[axis]) shape[axis] = Shape::kUnknown;
  }
  return shape;
}

// What all records have in common: entries without tensors.
class Layout {
 public:
  void add(const RecordSource& source, int64_t index, const Record& record) {
    if (index == 0) {
      first_ = record;
      for (RecordEntry& entry : first_) entry.tensor = {};
      return;
    }
    for (RecordEntry& known : first_) {
      const RecordEntry* entry = find_entry(record, known.role);
      if (entry == nullptr) {
        fail(ErrorCode::invalid_data, "{}: there is no '{}', which {} has", source.place(index),
             known.array, source.place(0));
      }
      known.dtype = common_type(source, index, known, *entry);
      known.shape = common_shape(known.shape, entry->shape);
    }
    for (const RecordEntry& entry : record) {
      if (find_entry(first_, entry.role) != nullptr) continue;
      fail(ErrorCode::invalid_data, "{}: it has '{}', which {} has not", source.place(index),
           entry.array, source.place(0));
    }
  }
  std::vector<RecordEntry> of(Kind kind) const {
    std::vector<RecordEntry> entries;
    std::ranges::copy_if(first_, std::back_inserter(entries),
                         [&](const RecordEntry& entry) { return entry.role.kind == kind; });
    return entries;
  }

 private:
  static DType common_type(const RecordSource& source, int64_t index, const RecordEntry& known,
                           const RecordEntry& entry) {
    if (known.dtype == entry.dtype) return known.dtype;
    const auto is_number = [](DType dtype) { return dtype == DType::i64 || dtype == DType::f32; };
    if (is_number(known.dtype) && is_number(entry.dtype)) return DType::f32;
    fail(ErrorCode::invalid_data, "{}: '{}' is {}, in {} it is {}", source.place(index),
         entry.array, name_of(entry.dtype), source.place(0), name_of(known.dtype));
  }
  Record first_;
};

std::vector<Field> fields_of(const std::vector<RecordEntry>& entries) {
  std::vector<Field> fields;
  for (const RecordEntry& entry : entries) {
    fields.push_back({.name = entry.role.name, .dtype = entry.dtype, .shape = entry.shape});
  }
  return fields;
}

class Records : public Labelled<Dataset> {
 public:
  Records(RecordSource source, Labels labels, const Layout& layout)
      : Labelled(source.name, std::move(labels)),
        source_(std::move(source)),
        fields_(layout.of(Kind::field)),
        targets_(layout.of(Kind::target)) {}

  std::vector<Field> fields() const override { return fields_of(fields_); }
  std::vector<Tensor> sample(int64_t index) const override { return read(index, fields_); }
  std::vector<Field> target_fields() const override { return fields_of(targets_); }
  std::string file_of(int64_t index) const override { return source_.place(index); }
  std::vector<Tensor> targets(int64_t index) const override { return read(index, targets_); }

 private:
  std::vector<Tensor> read(int64_t index, const std::vector<RecordEntry>& wanted) const {
    const Record record = source_.read(index);
    std::vector<Tensor> tensors;
    for (const RecordEntry& one : wanted) {
      const RecordEntry* entry = find_entry(record, one.role);
      if (entry == nullptr) {  // the file has changed since it was opened
        fail(ErrorCode::invalid_data, "{}: there is no '{}'", source_.place(index), one.array);
      }
      tensors.push_back(entry->dtype == one.dtype ? entry->tensor
                                                  : convert(entry->tensor, one.dtype));
    }
    return tensors;
  }

  RecordSource source_;
  std::vector<RecordEntry> fields_, targets_;
};

int64_t label_in(const RecordSource& source, int64_t index, const RecordEntry& entry) {
  if (!is_integer(entry.dtype) || entry.tensor.elements() != 1) {
    fail(ErrorCode::invalid_data, "{}: '{}' is {}{}, a label is one integer", source.place(index),
         entry.array, name_of(entry.dtype), entry.shape.to_string());
  }
  return convert(entry.tensor, DType::i64).data<int64_t>()[0];
}

}  // namespace

std::shared_ptr<const Dataset> open_records(RecordSource source) {
  Layout layout;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < source.samples; ++i) {
    const Record record = source.types(i);
    layout.add(source, i, record);
    if (const RecordEntry* label = find_entry(record, {Kind::label, ""})) {
      labels.push_back(label_in(source, i, *label));
    }
  }
  if (layout.of(Kind::field).empty()) {
    fail(ErrorCode::invalid_data, "{}: there is nothing for an input in it",
         source.samples == 0 ? source.name : source.place(0));
  }
  Labels numbered =
      labels.empty() ? Labels::none(source.samples) : number_labels(labels, source.name);
  return std::make_shared<Records>(std::move(source), std::move(numbered), layout);
}

}  // namespace nibble
