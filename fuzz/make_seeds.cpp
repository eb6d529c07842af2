// make_seeds FOLDER: writes what each fuzz target starts from into FOLDER/TARGET.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "data/make_files.h"
#include "data/wav_files.h"
#include "data/zip_files.h"
#include "fuzz/seed_graphs.h"
#include "nibble/data.h"
#include "nibble/onnx.h"

namespace {

using namespace nibble;

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

void write_arrays(const std::filesystem::path& folder) {
  for (const DType dtype :
       {DType::f32, DType::f16, DType::f64, DType::i64, DType::u8, DType::boolean}) {
    save_npy(Tensor(dtype, {2, 3}), folder / (std::string(name_of(dtype)) + ".npy"));
  }
  // A zip archive with nothing in it: only the end of its directory.
  write(folder / "empty.npz", std::string("PK\5\6", 4) + std::string(18, '\0'));
  write(folder / "one.npz", nibble::testing::npz_of({{"x", Tensor(DType::f32, {2, 3})}}));
  write(folder / "mono.wav", nibble::testing::wav_of_points({1, -2, 3}));
  write(folder / "stereo.wav",
        nibble::testing::wav_of(std::string(16, 'a'), {.coding = 3, .bits = 32, .channels = 2}));
}

void write_images(const std::filesystem::path& folder) {
  for (const int channels : {1, 3}) {
    const Image image = nibble::testing::test_image(5, 7, channels);
    const std::string name = channels == 1 ? "grey" : "colour";
    write(folder / (name + ".jpg"), nibble::testing::jpeg_of(image));
    write(folder / (name + ".png"), nibble::testing::png_of(image));
  }
  write(folder / "turned.jpg",
        nibble::testing::with_exif(nibble::testing::jpeg_of(nibble::testing::test_image(5, 7, 3)),
                                   nibble::testing::exif_of(6)));
  write(folder / "cmyk.jpg", nibble::testing::jpeg_of(nibble::testing::test_image(5, 7, 4)));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: make_seeds FOLDER\n");
    return 2;
  }
  const std::filesystem::path folder = argv[1];
  for (const char* target : {"read_onnx", "read_arrays", "read_images", "run_graph"}) {
    std::filesystem::create_directories(folder / target);
  }
  const auto seeds = fuzz::seed_graphs();
  for (size_t i = 0; i < seeds.size(); ++i) {
    save_onnx(seeds[i].graph, folder / "read_onnx" / (seeds[i].name + ".onnx"));
    // run_graph reads the number of a graph, then what to change in it.
    write(folder / "run_graph" / seeds[i].name, std::string(1, static_cast<char>(i)) + "\1\2\3\4");
  }
  write_arrays(folder / "read_arrays");
  write_images(folder / "read_images");
  return 0;
}
