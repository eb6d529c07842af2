#include "nibble/file_notes.h"

#include <utility>

namespace nibble {

void FileNotes::exchange_declarations(ValueId a, ValueId b) {
  if (!values_.contains(a) && !values_.contains(b)) return;
  std::swap(values_[a].declaration, values_[b].declaration);
}

void FileNotes::move_storage(ValueId from, ValueId to) {
  const auto known = values_.find(from);
  if (known == values_.end()) return;
  std::string storage = std::exchange(known->second.storage, {});
  values_[to].storage = std::move(storage);
}

void FileNotes::copy_storage(const FileNotes& other, ValueId from, ValueId to) {
  const auto known = other.values_.find(from);
  if (known != other.values_.end() && !known->second.storage.empty()) {
    values_[to].storage = known->second.storage;
  }
}

void FileNotes::forget_input(ValueId constant) {
  const auto known = values_.find(constant);
  if (known != values_.end()) known->second.is_input = false;
}

size_t FileNotes::bytes() const {
  size_t bytes = graph_.size() + model_.size();
  for (const auto& [id, notes] : values_) bytes += notes.declaration.size() + notes.storage.size();
  for (const auto& [id, notes] : nodes_) bytes += notes.rest.size();
  return bytes;
}

}  // namespace nibble
