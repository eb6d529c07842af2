// Samples that the caller holds: data sets of them as they would be of files.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/source.h"
#include "nibble/data.h"

#pragma GCC visibility push(default)
namespace nibble {

/// An array in memory. Nameless: the samples of the only input. Else as in a file FILE.npz: the
/// name of an input, "label", "target", "target:OUTPUT", "x_train", ...
struct HeldArray {
  std::string name;
  Tensor tensor;
  std::shared_ptr<const void> owner;  // keeps the bytes that the tensor borrows; null: its own
};

/// Arrays with a row per sample, or, of exactly the shape of their input, the same for every
/// sample. Nothing is copied; bytes are images as they are in files. `name` is what messages call
/// the set. Throws as open_dataset() does.
std::unique_ptr<Dataset> open_held_arrays(const std::string& name, std::vector<HeldArray> arrays,
                                          const DataOptions& options);

/// Samples one by one: `read(i)` gives the arrays of one sample, without a row. It is called from
/// several threads. All are looked at once when the set is opened.
struct HeldSamples {
  std::string name;
  int64_t count = 0;
  std::function<std::vector<HeldArray>(int64_t index)> read;
};
std::unique_ptr<Dataset> open_held_samples(HeldSamples samples, const DataOptions& options);

/// Pictures one by one, decoded: `read(i)` gives u8 [height, width], or [height, width, channels]
/// of 1 (grey) or 3 (RGB) channels. They are preprocessed as files of pictures are. It is called
/// from several threads.
struct HeldPictures {
  std::string name;
  int64_t count = 0;
  std::vector<int64_t> labels;           // one for each, or none
  std::vector<std::string> class_names;  // one for each class, or none
  std::function<HeldArray(int64_t index)> read;
};
std::unique_ptr<Dataset> open_held_pictures(HeldPictures pictures, const DataOptions& options);

}  // namespace nibble
#pragma GCC visibility pop
