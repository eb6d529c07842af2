// What a model file says that means nothing to Nibble: doc strings, denotations, the metadata of
// nodes and tensors, who wrote it, its IR version, which constants it also lists as inputs, and
// whatever is newer than Nibble.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "nibble/ids.h"

#pragma GCC visibility push(default)
namespace nibble {

/// One side table per graph, so that a file read and written again loses nothing. Only the code of
/// the file format reads and writes its entries (src/onnx/notes.h); whoever edits a graph says no
/// more than what becomes of them. Notes of values and nodes that are gone are not written.
class FileNotes {
 public:
  /// What is said of the two values (not of the storage of constants) is exchanged: one takes the
  /// place of the other for those who know it by name.
  void exchange_declarations(ValueId a, ValueId b);
  /// What is said of the storage of constant `from` holds for `to` instead.
  void move_storage(ValueId from, ValueId to);
  /// What another graph's notes say of the storage of its constant `from` holds for `to` as well.
  void copy_storage(const FileNotes& other, ValueId from, ValueId to);
  /// The constant's content is now Nibble's own: it can no longer be fed by the caller.
  void forget_input(ValueId constant);
  /// Size of all notes, about as large as they are in the file.
  size_t bytes() const;

 private:
  friend class OnnxNotes;

  // The strings are serialized messages of the format, without what the graph itself holds.
  struct OfValue {
    std::string declaration, storage;
    bool is_input = false;  // a constant that the file also lists as an input
  };
  struct OfNode {
    std::string rest;
    bool is_initializer = false;  // stands for an initializer of a type that Nibble has not
  };
  std::map<ValueId, OfValue> values_;
  std::map<NodeId, OfNode> nodes_;
  std::string graph_, model_;
};

}  // namespace nibble
#pragma GCC visibility pop
