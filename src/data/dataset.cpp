// What the interface of a data set gives by itself.
#include "base/check.h"
#include "nibble/data.h"

namespace nibble {

const std::vector<std::string>& Dataset::class_names() const {
  static const std::vector<std::string> none;
  return none;
}

int64_t Dataset::label(int64_t) const {
  check(false, "a data set with labels");
  return 0;
}

std::vector<Tensor> Dataset::targets(int64_t) const { return {}; }

std::vector<Tensor> RealDataset::sample(int64_t index) const {
  Tensor values(DType::f32, sample_shape());
  read(index, values.data<float>());
  return {std::move(values)};
}

Shape sample_shape(const Dataset& data, std::string_view user) {
  const std::vector<Field> fields = data.fields();
  if (fields.size() == 1 && fields[0].shape.is_static()) return fields[0].shape;
  fail(ErrorCode::invalid_data,
       "{} needs samples that are one tensor each, all of one shape; those of {} {}", user,
       data.describe(),
       fields.size() > 1 ? fmt::format("have {} tensors", fields.size()) : "differ in shape");
}

}  // namespace nibble
