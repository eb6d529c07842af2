// Samples that say nothing: what the user should know before trusting ranges that were measured on
// them.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/packing.h"
#include "data/batch_reader.h"

namespace nibble {

class CalibrationNotes {
 public:
  explicit CalibrationNotes(const Dataset& data);

  void see(const SampleBatch& batch);
  /// What was seen, for append().
  void pack(Packer& packer) const;
  /// Adds what another rank packed of the samples behind those seen here.
  void append(Unpacker& packed);
  /// Reals that are the same number everywhere, samples that are all equal, labels of one class:
  /// sentences without their ends.
  std::vector<std::string> sentences() const;

 private:
  // Of one field.
  struct Seen {
    std::string name;
    Tensor first;           // sample
    bool all_equal = true;  // all samples are the first one
    std::optional<double> number;
    bool one_number = true;  // every element of every sample is `number`
  };
  void see(Seen& seen, const Tensor& sample) const;

  const Dataset* data_;
  std::vector<Seen> seen_;
  int64_t samples_ = 0;
  int64_t label_ = -1;
  bool one_class_ = true;
};

}  // namespace nibble
