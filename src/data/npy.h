// NumPy's .npy and .npz files
// (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/bytes.h"
#include "nibble/tensor.h"

namespace nibble {

/// What a .npy header says; the data follows at `offset`, row-major unless `fortran_order`.
struct NpyHeader {
  DType dtype = DType::undefined;
  Shape shape;
  bool fortran_order = false;
  size_t offset = 0;
};
/// Throws Error{invalid_data} (without the file's name) if the header is malformed, the bytes are
/// fewer or more than it says, or the element type is none of b1 i1-i8 u1-u8 f2-f8 little-endian.
NpyHeader parse_npy(std::span<const uint8_t> bytes);
/// The same of the beginning of a file: how many bytes follow is not looked at.
NpyHeader npy_header(std::span<const uint8_t> bytes);
/// The array in row-major order. Borrows `bytes` where it can: they must outlive the tensor.
Tensor npy_tensor(std::span<const uint8_t> bytes);

/// A .npy file of the tensor. Throws Error{unsupported} for types that it cannot hold (those of
/// fewer than 8 bits, bf16).
std::string npy_bytes(const Tensor& tensor);
/// A .npz file of these tensors, by name, uncompressed: what numpy.savez writes. Throws as
/// npy_bytes() does.
std::string npz_bytes(std::span<const std::pair<std::string, Tensor>> tensors);

/// A file inside a zip archive (a .npz is one).
struct ZipEntry {
  std::string name;
  uint16_t method = 0;  // 0 stored, 8 deflated
  uint32_t crc32 = 0;
  uint64_t compressed_size = 0;
  uint64_t size = 0;
  uint64_t header_offset = 0;
};
/// Throw Error{invalid_data} (without the file's name) for anything that is not sound.
std::vector<ZipEntry> zip_entries(std::span<const uint8_t> archive);
std::vector<uint8_t> extract(std::span<const uint8_t> archive, const ZipEntry& entry);
/// At most its first `most` bytes; neither size nor checksum are looked at.
std::vector<uint8_t> extract_start(std::span<const uint8_t> archive, const ZipEntry& entry,
                                   uint64_t most);

}  // namespace nibble
