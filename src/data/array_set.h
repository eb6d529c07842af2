// Data sets of named arrays, each with a row per sample or the same for all.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/array.h"
#include "data/roles.h"

namespace nibble {

struct NamedArray {
  ArrayRole role;
  Array array;
};

/// The samples that `arrays` make: beside those of `base` if there is one, which has no field that
/// they have. An array of exactly the shape of its input is the same for every sample, others have
/// a row per sample; bytes for an input of images are images. A nameless field of `base` goes to
/// the first input that can hold it and that no array is for. Throws Error{invalid_data} naming
/// arrays of different lengths.
std::shared_ptr<const Dataset> join_arrays(const std::string& name, std::vector<NamedArray> arrays,
                                           const DataOptions& options,
                                           std::shared_ptr<const Dataset> base = nullptr);
/// The same with labels that are no array.
std::shared_ptr<const Dataset> join_arrays(const std::string& name, std::vector<NamedArray> arrays,
                                           const DataOptions& options, Labels labels);

}  // namespace nibble
