#include "data/array.h"

#include "base/check.h"
#include "nibble/onnx.h"

namespace nibble {

// Keeps the tensor inside its bytes, also when it had to be reordered.
Array make_array(Bytes bytes, std::string name) {
  return with_context([&] { return name; },
                      [&] {
                        Array array{bytes, npy_tensor(bytes.view()), name};
                        const auto* begin = static_cast<const uint8_t*>(array.tensor.raw());
                        const auto all = bytes.view();
                        if (begin < all.data() || begin >= all.data() + all.size()) {
                          array.bytes = Bytes(std::vector(begin, begin + array.tensor.bytes()));
                          array.tensor =
                              Tensor::borrow(array.tensor.dtype(), array.tensor.shape(),
                                             const_cast<uint8_t*>(array.bytes.view().data()));
                        }
                        return array;
                      });
}

bool is_array_file(const std::string& path) {
  return path.ends_with(".npy") || path.ends_with(".pb");
}

Array load_array(const std::filesystem::path& path) {
  if (path.extension() == ".npy") return make_array(Bytes::map(path), path.string());
  if (path.extension() == ".pb") {
    const Tensor tensor = load_tensor_proto(path);
    const auto* begin = static_cast<const uint8_t*>(tensor.raw());
    Bytes bytes(std::vector(begin, begin + tensor.bytes()));
    auto* data = const_cast<uint8_t*>(bytes.view().data());
    return {std::move(bytes), Tensor::borrow(tensor.dtype(), tensor.shape(), data), path.string()};
  }
  fail(ErrorCode::invalid_argument, "'{}' is neither .npy nor .pb (an ONNX TensorProto)",
       path.string());
}

Tensor row_of(const Array& array, int64_t index) {
  const Shape& shape = array.tensor.shape();
  const Shape row(shape.dims().subspan(1));
  const size_t bytes = storage_bytes(array.tensor.dtype(), row.elements());
  const auto* from =
      static_cast<const uint8_t*>(array.tensor.raw()) + static_cast<size_t>(index) * bytes;
  return Tensor::borrow(array.tensor.dtype(), row, const_cast<uint8_t*>(from));
}

Labels labels_of(const Array& array, int64_t samples) {
  const Shape& shape = array.tensor.shape();
  if (!is_integer(array.tensor.dtype())) {
    fail(ErrorCode::invalid_data, "{}: labels must be integers, these are {}", array.name,
         name_of(array.tensor.dtype()));
  }
  const bool column = shape.rank() == 2 && shape[1] == 1;
  if (shape.rank() != 1 && !column) {
    fail(ErrorCode::invalid_data, "{}: labels must be of shape [N] or [N,1], these are {}{}",
         array.name, shape.to_string(), shape.rank() == 2 ? " (one-hot? take argmax)" : "");
  }
  if (shape[0] != samples) {
    fail(ErrorCode::invalid_data, "{}: {} labels for {} samples", array.name, shape[0], samples);
  }
  const Tensor wide = convert(array.tensor, DType::i64);
  return number_labels(wide.data<int64_t>(), array.name);
}

// Bytes as images: [N,H,W], [N,H,W,C] or, if only that fits, [N,C,H,W], with 1 or 3 channels.
std::optional<PixelBlock> as_images(const Array& array) {
  const Shape& shape = array.tensor.shape();
  if (array.tensor.dtype() != DType::u8 || shape.rank() < 3 || shape.rank() > 4) return {};
  for (int64_t extent : shape.dims().subspan(1)) {
    if (extent < 1 || extent > 1 << 14) return {};
  }
  const auto is_channels = [&](int axis) { return shape[axis] == 1 || shape[axis] == 3; };
  const bool planar = shape.rank() == 4 && !is_channels(3) && is_channels(1);
  if (shape.rank() == 4 && !planar && !is_channels(3)) return {};
  const int first = planar ? 2 : 1;
  const int channels = shape.rank() == 3 ? 1 : static_cast<int>(shape[planar ? 1 : 3]);
  return PixelBlock{array.bytes,
                    static_cast<size_t>(static_cast<const uint8_t*>(array.tensor.raw()) -
                                        array.bytes.view().data()),
                    static_cast<size_t>(shape.elements(1, shape.rank())),
                    static_cast<int>(shape[first]),
                    static_cast<int>(shape[first + 1]),
                    channels,
                    planar};
}

}  // namespace nibble
