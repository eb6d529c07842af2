// IDX, CIFAR-10 binary, .npy and .npz.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "../support/shared_files.h"
#include "../support/temp_folder.h"
#include "base/file.h"
#include "base/random.h"
#include "data/npy.h"
#include "make_files.h"
#include "nibble/data.h"

namespace nibble {
namespace {

using testing::as_bytes;
using testing::contains;
using testing::error_of;
using testing::TempFolder;
using testing::write_gzip;

std::string big_endian(uint32_t value) {
  return {static_cast<char>(value >> 24U), static_cast<char>(value >> 16U),
          static_cast<char>(value >> 8U), static_cast<char>(value)};
}

std::string idx(std::vector<uint32_t> extents, const std::string& data) {
  std::string file = {'\0', '\0', '\x08', static_cast<char>(extents.size())};
  for (uint32_t extent : extents) file += big_endian(extent);
  return file + data;
}

TEST(Idx, plain_and_gzipped_files_are_read) {
  const TempFolder folder;
  folder.write("train-images-idx3-ubyte", idx({4, 2, 2}, std::string("0123456789abcdef")));
  folder.write("train-labels-idx1-ubyte", idx({4}, std::string("\0\1\2\1", 4)));
  write_gzip(folder / "t10k-images-idx3-ubyte.gz", idx({1, 2, 2}, "abcd"));
  write_gzip(folder / "t10k-labels-idx1-ubyte.gz", idx({1}, std::string("\2", 1)));
  const std::string spec = folder.path().string();
  const auto train = open_dataset(spec, {.split = Split::train, .validation_share = 0});
  EXPECT_EQ(train->size(), 4);
  EXPECT_EQ(train->classes(), 3);
  EXPECT_EQ(sample_shape(*train, "the test"), (Shape{1, 2, 2}));
  const auto test = open_dataset(spec, {.preprocess = Preprocess{.scale = 1}});
  EXPECT_EQ(test->label(0), 2);
  const Tensor batch = read_batch(*test, 0, 1, 1)[0];
  EXPECT_EQ(batch.shape(), (Shape{1, 3, 2, 2}));
  EXPECT_EQ(batch.data<float>()[3], 'd');
}

TEST(Idx, mistakes_are_named) {
  const TempFolder folder;
  const auto message = [&](const std::string& images, const std::string& labels) {
    folder.write("t10k-images-idx3-ubyte", images);
    folder.write("t10k-labels-idx1-ubyte", labels);
    return error_of([&] { open_dataset(folder.path().string(), {}); });
  };
  const std::string images = idx({1, 2, 2}, "abcd");
  const std::string labels = idx({1}, std::string(1, '\0'));
  EXPECT_PRED2(contains, message(images.substr(0, 17), labels), "t10k-images-idx3-ubyte: has 17");
  EXPECT_PRED2(contains, message("PK", labels), "not an IDX file");
  EXPECT_PRED2(contains, message(labels, labels), "1 dimensions, expected 3");
  EXPECT_PRED2(contains, message(images, idx({2}, std::string(2, '\0'))), "2 labels");
  EXPECT_PRED2(contains, message(idx({0, 2, 2}, ""), idx({0}, "")), "empty");
  EXPECT_PRED2(contains, message(idx({1, 0, 0}, ""), labels), "0x0 pixels");
  const uint32_t huge = 0xFFFFFFFF;
  EXPECT_PRED2(contains, message(idx({huge, huge, huge}, "abcd"), labels), "does not agree");
  std::filesystem::remove(folder / "t10k-labels-idx1-ubyte");
  EXPECT_PRED2(contains, error_of([&] { open_dataset(folder.path().string(), {}); }),
               "no file of labels");
}

TEST(Idx, damaged_gzip_is_an_error) {
  const TempFolder folder;
  std::string data(4000, '\0');
  Random random(3);
  for (char& c : data) c = static_cast<char>(random.next());
  write_gzip(folder / "t10k-images-idx3-ubyte.gz", idx({10, 20, 20}, data));
  write_gzip(folder / "t10k-labels-idx1-ubyte.gz", idx({10}, std::string(10, '\0')));
  const std::string whole = read_file(folder / "t10k-images-idx3-ubyte.gz");
  const auto message = [&](const std::string& bytes) {
    folder.write("t10k-images-idx3-ubyte.gz", bytes);
    return error_of([&] { open_dataset(folder.path().string(), {}); });
  };
  EXPECT_PRED2(contains, message(whole.substr(0, 1000)), "truncated");
  std::string damaged = whole;
  damaged[2000] = static_cast<char>(damaged[2000] ^ 0x10);
  EXPECT_PRED2(contains, message(damaged), "not a sound gzip stream");
}

TEST(Idx, test_part_alone_does_not_train) {
  const TempFolder folder;
  folder.write("t10k-images-idx3-ubyte", idx({1, 2, 2}, "abcd"));
  folder.write("t10k-labels-idx1-ubyte", idx({1}, std::string(1, '\0')));
  EXPECT_PRED2(contains,
               error_of([&] { open_dataset(folder.path().string(), {.split = Split::train}); }),
               "no training part");
}

TEST(RealData, fashion_mnist_has_its_sizes_and_classes) {
  NIBBLE_SHARED_FILE(path, "data/fashion-mnist");
  const auto test = open_dataset(path.string(), {});
  EXPECT_EQ(test->size(), 5000);
  EXPECT_EQ(test->classes(), 10);
  EXPECT_EQ(sample_shape(*test, "the test"), (Shape{1, 28, 28}));
  EXPECT_EQ(test->describe(), "fashion-mnist/test: 5,000 samples, 10 classes");
}

std::string cifar_record(uint8_t label, uint8_t first) {
  std::string record(3073, '\0');
  record[0] = static_cast<char>(label);
  for (size_t c = 0; c < 3; ++c) record[1 + c * 1024] = static_cast<char>(first + c);
  return record;
}

TEST(Cifar, batches_join_and_planes_are_rgb) {
  const TempFolder folder;
  folder.write("data_batch_1.bin", cifar_record(3, 10) + cifar_record(4, 20));
  folder.write("data_batch_2.bin", cifar_record(9, 30));
  folder.write("test_batch.bin", cifar_record(1, 40));
  folder.write("batches.meta.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n");
  const std::string spec = folder.path().string();
  const auto train = open_dataset(
      spec, {.split = Split::train, .preprocess = Preprocess{.scale = 1}, .validation_share = 0});
  ASSERT_EQ(train->size(), 3);
  EXPECT_EQ(train->label(2), 9);
  EXPECT_EQ(train->class_names()[9], "j");
  const Tensor batch = read_batch(*train, 0, 3, 2)[0];
  ASSERT_EQ(batch.shape(), (Shape{3, 3, 32, 32}));
  EXPECT_EQ(batch.data<float>()[2 * 3072], 30);
  EXPECT_EQ(batch.data<float>()[2 * 3072 + 1024], 31);
  EXPECT_EQ(batch.data<float>()[2 * 3072 + 2048], 32);
  EXPECT_EQ(open_dataset(spec, {})->size(), 1);
}

TEST(Cifar, wrong_files_are_named) {
  const TempFolder folder;
  folder.write("test_batch.bin", cifar_record(1, 0).substr(0, 3000));
  EXPECT_PRED2(contains, error_of([&] { open_dataset(folder.path().string(), {}); }),
               "test_batch.bin: has 3000 bytes");
  folder.write("test_batch.bin", cifar_record(1, 0) + cifar_record(10, 0));
  EXPECT_PRED2(contains, error_of([&] { open_dataset(folder.path().string(), {}); }),
               "the label 10 of sample 1");
}

TEST(Npy, every_type_comes_back) {
  const TempFolder folder;
  const auto round_trip = [&](const Tensor& tensor) {
    save_npy(tensor, folder / "t.npy");
    const Tensor back = load_npy(folder / "t.npy");
    EXPECT_EQ(back.dtype(), tensor.dtype());
    EXPECT_EQ(back.shape(), tensor.shape());
    EXPECT_EQ(std::memcmp(back.raw(), tensor.raw(), tensor.bytes()), 0);
    EXPECT_EQ(std::filesystem::file_size(folder / "t.npy") - tensor.bytes(), 128U);
  };
  round_trip(Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6.5F}));
  round_trip(Tensor::of<int64_t>({3}, {-1, 0, 1LL << 40}));
  round_trip(Tensor::of<uint8_t>({1, 1, 2}, {0, 255}));
  round_trip(Tensor::of<int8_t>({2}, {-128, 127}));
  round_trip(Tensor::of<double>({}, {0.1}));
  round_trip(Tensor::of<bool>({2}, {true, false}));
  round_trip(Tensor::of<Half>({1}, {to_half(1.5F)}));
  EXPECT_THROW(save_npy(Tensor(DType::i4, {2}), folder / "t.npy"), Error);
}

std::string npy(const std::string& header, const std::string& data, char version = 1) {
  std::string file = std::string("\x93NUMPY") + version + '\0';
  file += {static_cast<char>(header.size()), static_cast<char>(header.size() >> 8U)};
  if (version > 1) file += {'\0', '\0'};
  return file + header + data;
}

TEST(Npy, fortran_order_becomes_row_major) {
  const TempFolder folder;
  const auto path = folder.write(
      "t.npy", npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", "adbecf", 2));
  const Tensor tensor = load_npy(path);
  const auto data = tensor.data<uint8_t>();
  EXPECT_EQ(std::string(data.begin(), data.end()), "abcdef");
}

TEST(Npy, mistakes_are_named) {
  const TempFolder folder;
  const auto message = [&](const std::string& file) {
    const auto path = folder.write("t.npy", file);
    return error_of([&] { load_npy(path); });
  };
  EXPECT_PRED2(contains, message("hello"), "t.npy: not a .npy file");
  EXPECT_PRED2(contains, message(""), "not a .npy file");
  EXPECT_PRED2(contains,
               message(npy("{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", "abcd")),
               "'>f4' is not supported");
  EXPECT_PRED2(contains,
               message(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", "abcd")),
               "holds 4 bytes of data, but f32[2] needs 8");
  EXPECT_PRED2(contains, message(npy("{'descr': '<f4', 'fortran_order': False, }", "abcd")),
               "no 'shape'");
  EXPECT_PRED2(contains,
               message(npy("{'descr': '<f4', 'fortran_order': False, 'shape': "
                           "(9223372036854775807, 9223372036854775807), }",
                           "abcd")),
               "absurd");
  EXPECT_THROW(load_npy(folder / "absent.npy"), Error);
}

TEST(Npy, damaged_headers_never_crash) {
  const std::string good =
      npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", std::string(16, 'x'));
  Random random(5);
  int errors = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = good;
    for (uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
      const uint64_t bit = random.below((damaged.size() - 16) * 8);
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    }
    damaged.resize(random.below(4) == 0 ? random.below(damaged.size()) : damaged.size());
    try {
      npy_tensor(as_bytes(damaged));
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 5000);
}

TEST(NpyPair, bytes_are_images_and_floats_are_taken_as_they_are) {
  const TempFolder folder;
  const std::string spec = (folder / "x.npy").string() + "," + (folder / "y.npy").string();
  save_npy(Tensor::of<int64_t>({2}, {1, 0}), folder / "y.npy");
  save_npy(Tensor::of<float>({2, 3}, {1, 2, 3, 4, 5, 6}), folder / "x.npy");
  const auto floats = open_dataset(spec, {});
  EXPECT_EQ(sample_shape(*floats, "the test"), (Shape{3}));
  EXPECT_FALSE(floats->preprocess());
  EXPECT_EQ(read_batch(*floats, 1, 1, 1)[0].data<float>()[2], 6);
  save_npy(Tensor::of<uint8_t>({2, 1, 2, 3}, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}),
           folder / "x.npy");
  const auto images = open_dataset(spec, {.preprocess = Preprocess{.scale = 1}});
  EXPECT_EQ(sample_shape(*images, "the test"), (Shape{3, 1, 2}));
  const Tensor second = read_batch(*images, 1, 1, 1)[0];
  const auto values = second.data<float>();
  EXPECT_EQ(std::vector(values.begin(), values.end()), (std::vector<float>{7, 10, 8, 11, 9, 12}));
}

TEST(NpyPair, mistakes_are_named) {
  const TempFolder folder;
  const std::string spec = (folder / "x.npy").string() + "," + (folder / "y.npy").string();
  save_npy(Tensor(DType::f32, {2, 3}), folder / "x.npy");
  const auto message = [&](const Tensor& labels) {
    save_npy(labels, folder / "y.npy");
    return error_of([&] { open_dataset(spec, {}); });
  };
  EXPECT_PRED2(contains, message(Tensor(DType::i64, {3})), "3 labels for 2 samples");
  EXPECT_PRED2(contains, message(Tensor(DType::f32, {2})), "these are f32");
  EXPECT_PRED2(contains, message(Tensor(DType::i32, {2, 10})), "one-hot");
  EXPECT_PRED2(contains, message(Tensor::of<int64_t>({2}, {0, -5})), "label -5 of sample 1");
  EXPECT_PRED2(contains, message(Tensor::of<int64_t>({2}, {0, 1LL << 33})), "out of range");
  save_npy(Tensor(DType::f32, {0, 3}), folder / "x.npy");
  EXPECT_PRED2(contains, message(Tensor(DType::i64, {0})), "empty");
}

// numpy.savez_compressed(x=numpy.arange(6, dtype='u1').reshape(2,3), y=numpy.array([1, 0])),
// as Python writes it: zip64 local headers, deflated.
const char* const kNpz =
    "504b03042d0000000800000021007e9ed7cfffffffffffffffff05001400782e6e7079010010008600000000"
    "0000004c000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a05e536aa8aea3a09e965f5452"
    "9498179f5f94920a12774bcc294e058a17672416a402f91a463a0ac69a3a0ab50a64032e0646266616560050"
    "4b03042d00000008000000210071fb39abffffffffffffffff05001400792e6e707901001000900000000000"
    "000048000000000000009bec17ea1b10c9c850c650ad9e925a9c5ca46ea5a06e9369a1aea3a09e965f545294"
    "98179f5f94920a12774bcc294e058a17672416a402f91a463a9a3a0ab50a14002e4606540000504b01022d03"
    "2d0000000800000021007e9ed7cf4c00000086000000050000000000000000000000800100000000782e6e70"
    "79504b01022d032d00000008000000210071fb39ab4800000090000000050000000000000000000000800183"
    "000000792e6e7079504b0506000000000200020066000000020100000000";

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (size_t i = 0; i < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

TEST(Npz, deflated_entries_are_read) {
  const TempFolder folder;
  const auto path = folder.write("t.npz", from_hex(kNpz));
  const Tensor x = load_npz(path, "x");
  EXPECT_EQ(x.shape(), (Shape{2, 3}));
  EXPECT_EQ(x.data<uint8_t>()[5], 5);
  EXPECT_EQ(load_npz(path, "y").data<int64_t>()[0], 1);
  EXPECT_PRED2(contains, error_of([&] { load_npz(path); }), "name one of: x.npy, y.npy");
  EXPECT_PRED2(contains, error_of([&] { load_npz(path, "z"); }), "no array 'z'");
  const auto data = open_dataset(path.string(), {});
  EXPECT_EQ(data->size(), 2);
  EXPECT_EQ(data->label(0), 1);
  EXPECT_EQ(sample_shape(*data, "the test"), (Shape{3}));
}

// Reads every entry of an archive that may be damaged; true if that went well.
bool reads(const std::string& archive) {
  try {
    const auto entries = zip_entries(as_bytes(archive));
    for (const ZipEntry& entry : entries) parse_npy(extract(as_bytes(archive), entry));
    return entries.size() == 2;
  } catch (const Error&) {
    return false;
  }
}

TEST(Npz, damaged_files_never_crash) {
  const std::string good = from_hex(kNpz);
  ASSERT_TRUE(reads(good));
  for (size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(reads(good.substr(0, size)));
  int errors = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string damaged = good;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    if (!reads(damaged)) ++errors;
  }
  EXPECT_GT(errors, 1000);
}

}  // namespace
}  // namespace nibble
