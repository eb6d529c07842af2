// .npz files for tests, made on the spot.
#pragma once

#include <zlib.h>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "../support/temp_folder.h"
#include "base/file.h"
#include "nibble/data.h"
#include "wav_files.h"

namespace nibble::testing {

/// As numpy.savez writes it: stored, not compressed.
inline std::string npz_of(const std::vector<std::pair<std::string, Tensor>>& arrays) {
  const TempFolder folder;
  std::string file, directory;
  for (const auto& [name, tensor] : arrays) {
    save_npy(tensor, folder / "entry.npy");
    const std::string bytes = read_file(folder / "entry.npy");
    const std::string entry = name + ".npy";
    const auto sum =
        crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<unsigned>(bytes.size()));
    // From the version needed to the length of the extra field.
    const std::string common = little_endian(20, 2) + little_endian(0, 8) + little_endian(sum, 4) +
                               little_endian(bytes.size(), 4) + little_endian(bytes.size(), 4) +
                               little_endian(entry.size(), 2) + little_endian(0, 2);
    directory += "PK\1\2" + little_endian(20, 2) + common + little_endian(0, 10) +
                 little_endian(file.size(), 4) + entry;
    file += "PK\3\4" + common + entry + bytes;
  }
  return file + directory + "PK\5\6" + little_endian(0, 4) + little_endian(arrays.size(), 2) +
         little_endian(arrays.size(), 2) + little_endian(directory.size(), 4) +
         little_endian(file.size(), 4) + little_endian(0, 2);
}

}  // namespace nibble::testing
