// What an array of a data set is to a model: one of its inputs, the labels, or what an output
// should be.
#pragma once

#include <string>
#include <string_view>

#include "nibble/data.h"

namespace nibble {

struct ArrayRole {
  enum class Kind : uint8_t { field, label, target };
  Kind kind = Kind::field;
  std::string name;  // of the input, or of the output; empty: the only input, the first output
};

/// The role of an array by its name: what DataOptions::sources says of it; else the input of this
/// name (or of the file name made of it, see file_names()); else "label" and "labels", "target",
/// and "target:OUTPUT"; else an input that the model may not have.
ArrayRole role_of(const std::string& array, const DataOptions& options);
/// The role that a key of DataOptions::sources stands for.
ArrayRole role_of_key(const std::string& key, const DataOptions& options);

/// The input of this name; null if the model, as far as it is known, has none.
const Field* find_input(const DataOptions& options, std::string_view name);

/// Throws Error{invalid_argument} naming a key of DataOptions::sources that is no input.
void check_sources(const DataOptions& options);

/// "'ids' i64[?,9], 'mask' i64[?,9]".
std::string to_text(std::span<const Field> fields);

}  // namespace nibble
