// Data sets whose samples are records of named tensors, of shapes that may differ: a file or a line
// each.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "data/roles.h"
#include "nibble/data.h"

namespace nibble {

struct RecordEntry {
  std::string array;  // as the record names it
  ArrayRole role;
  DType dtype = DType::undefined;
  Shape shape;
  Tensor tensor;  // empty if only its type was asked for
};
using Record = std::vector<RecordEntry>;

struct RecordSource {
  std::string name;  // of the data set
  int64_t samples = 0;
  /// "clips/a.npz", "ids.jsonl line 7": begins the messages about a record.
  std::function<std::string(int64_t)> place;
  std::function<Record(int64_t)> read;
  /// The same, but only labels need a tensor.
  std::function<Record(int64_t)> types;
};

/// Looks at the types of all records: a shape has -1 where they differ, integers among reals become
/// f32. Keeps labels and types. Throws Error{invalid_data} naming the record that lacks what the
/// first one has, or has what that lacks, or has another type of it.
std::shared_ptr<const Dataset> open_records(RecordSource source);

}  // namespace nibble
