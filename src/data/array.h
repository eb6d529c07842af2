// Arrays of files, with the bytes they lie in and what messages call them.
#pragma once

#include <filesystem>
#include <string>

#include "data/bytes.h"
#include "data/npy.h"
#include "data/samples.h"

namespace nibble {

struct Array {
  Bytes bytes;    // that the tensor borrows; none if it has its own
  Tensor tensor;  // row-major
  std::string name;
};

/// The array in the bytes of a .npy file. Throws Error{invalid_data} naming it.
Array make_array(Bytes bytes, std::string name);
/// A .npy file, or a .pb one (an ONNX TensorProto). Throws Error naming it.
Array load_array(const std::filesystem::path& path);
/// Its ending says that it is one that load_array() reads.
bool is_array_file(const std::string& path);

/// Row `index` of the array, borrowed.
Tensor row_of(const Array& array, int64_t index);

/// `array` as the labels of `samples` samples: integers [N] or [N,1]. Throws Error{invalid_data}
/// naming it.
Labels labels_of(const Array& array, int64_t samples);

/// Bytes as images: [N,H,W], [N,H,W,C] or, if only that fits, [N,C,H,W], with 1 or 3 channels.
std::optional<PixelBlock> as_images(const Array& array);

}  // namespace nibble
