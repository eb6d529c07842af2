// WAV files, and how they become samples.
#include <gtest/gtest.h>

#include "../support/temp_folder.h"
#include "base/random.h"
#include "data/wav.h"
#include "make_files.h"
#include "nibble/data.h"
#include "wav_files.h"

namespace nibble {
namespace {

using testing::as_bytes;
using testing::bytes_of;
using testing::contains;
using testing::error_of;
using testing::little_endian;
using testing::TempFolder;
using testing::wav_of;
using testing::wav_of_points;

std::vector<float> points_of(const std::string& file, int64_t begin, size_t count) {
  const WavFormat format = parse_wav(as_bytes(file));
  std::vector<float> points(count);
  read_wav(as_bytes(file), format, begin, points);
  return points;
}

std::vector<float> values_of(const Tensor& tensor) {
  const auto values = tensor.data<float>();
  return {values.begin(), values.end()};
}

TEST(Wav, every_coding_gives_the_same_points) {
  const std::vector<float> expected = {0.5F, -1.0F, 0.0F};
  EXPECT_EQ(points_of(wav_of(bytes_of<uint8_t>({192, 0, 128}), {.bits = 8}), 0, 3), expected);
  EXPECT_EQ(points_of(wav_of(bytes_of<int16_t>({16384, -32768, 0})), 0, 3), expected);
  const std::string three_bytes =
      little_endian(0x400000, 3) + little_endian(0x800000, 3) + little_endian(0, 3);
  EXPECT_EQ(points_of(wav_of(three_bytes, {.bits = 24}), 0, 3), expected);
  EXPECT_EQ(points_of(wav_of(bytes_of<int32_t>({1 << 30, INT32_MIN, 0}), {.bits = 32}), 0, 3),
            expected);
  EXPECT_EQ(points_of(wav_of(bytes_of<float>(expected), {.coding = 3, .bits = 32}), 0, 3),
            expected);
  EXPECT_EQ(points_of(wav_of(bytes_of<double>({0.5, -1, 0}), {.coding = 3, .bits = 64}), 0, 3),
            expected);
}

TEST(Wav, channels_are_averaged_and_silence_follows_the_end) {
  const std::string stereo = wav_of(bytes_of<int16_t>({16384, 0, -16384, -16384}), {.channels = 2});
  EXPECT_EQ(parse_wav(as_bytes(stereo)).points, 2);
  EXPECT_EQ(points_of(stereo, 0, 3), (std::vector<float>{0.25F, -0.5F, 0.0F}));
}

TEST(Wav, other_chunks_are_passed_over_and_a_pipe_leaves_the_size_open) {
  const std::string odd = "LIST" + little_endian(3, 4) + "abc" + std::string(1, '\0');
  std::string file = wav_of(bytes_of<int16_t>({8192}), {.before_data = odd});
  EXPECT_EQ(points_of(file, 0, 1)[0], 0.25F);
  file = wav_of_points({8192, 16384});
  file.replace(file.size() - 8, 4, "\xFF\xFF\xFF\xFF");
  EXPECT_EQ(points_of(file, 0, 2), (std::vector<float>{0.25F, 0.5F}));
}

TEST(Wav, mistakes_are_named) {
  const auto message = [](const std::string& file) {
    return error_of([&] { parse_wav(as_bytes(file)); });
  };
  const std::string good = wav_of_points({1, 2, 3});
  EXPECT_PRED2(contains, message(""), "not a WAV file");
  EXPECT_PRED2(contains, message(good.substr(0, good.size() - 2)), "truncated WAV: 2 bytes");
  EXPECT_PRED2(contains, message(good.substr(0, 36)), "no sound");
  EXPECT_PRED2(contains, message(wav_of("ab", {.coding = 2, .bits = 4})), "coding 2 with 4 bits");
  EXPECT_PRED2(contains, message(wav_of("ab", {.rate = 0})), "0 Hz");
}

TEST(Wav, damaged_files_never_crash) {
  const std::string good = wav_of_points({1, 2, 3, 4}, 8000);
  Random random(11);
  int errors = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = good;
    for (uint64_t flips = 1 + random.below(4); flips > 0; --flips) {
      const uint64_t bit = random.below(damaged.size() * 8);
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    }
    damaged.resize(random.below(4) == 0 ? random.below(damaged.size()) : damaged.size());
    try {
      points_of(damaged, 0, 8);
    } catch (const Error&) {
      ++errors;
    }
  }
  EXPECT_GT(errors, 5000);
}

TEST(Sound, files_are_cut_into_frames_and_each_starts_a_sequence) {
  const TempFolder folder;
  folder.write("a.wav", wav_of_points({0, 8192, 16384, -8192, -16384}));
  folder.write("deep/b.WAV", wav_of_points({16384}));
  const std::string spec = folder.path().string();
  const auto data = open_dataset(spec, {.frame = 2});
  ASSERT_EQ(data->size(), 4);  // 2 + 2 + 1 points and silence; 1 and silence
  EXPECT_EQ(data->fields()[0].shape, (Shape{2}));
  EXPECT_EQ(values_of(data->sample(2)[0]), (std::vector<float>{-0.5F, 0.0F}));
  EXPECT_EQ(values_of(data->sample(3)[0]), (std::vector<float>{0.5F, 0.0F}));
  std::vector<bool> starts;
  for (int64_t i = 0; i < 4; ++i) starts.push_back(data->starts_sequence(i));
  EXPECT_EQ(starts, (std::vector<bool>{true, false, false, true}));
  const auto overlapping = open_dataset((folder / "a.wav").string(), {.frame = 3, .hop = 1});
  EXPECT_EQ(overlapping->size(), 3);
  EXPECT_EQ(values_of(overlapping->sample(1)[0]), (std::vector<float>{0.25F, 0.5F, -0.25F}));
}

TEST(Sound, the_models_input_says_how_long_a_frame_is_and_how_it_lies) {
  const TempFolder folder;
  folder.write("a.wav", wav_of_points({1, 2, 3, 4, 5, 6}));
  const auto shape_for = [&](const Shape& input) {
    const DataOptions options{.inputs = {{.name = "x", .shape = input}}};
    const auto data = open_dataset(folder.path().string(), options);
    return std::pair(data->fields()[0].shape, data->size());
  };
  EXPECT_EQ(shape_for({-1, 3}), std::pair(Shape{3}, int64_t{2}));
  EXPECT_EQ(shape_for({1, 1, 3}), std::pair(Shape({1, 3}), int64_t{2}));
  EXPECT_EQ(shape_for({1, 2, 1}), std::pair(Shape({2, 1}), int64_t{3}));
  EXPECT_EQ(shape_for({-1, -1}), std::pair(Shape{6}, int64_t{1}));  // a file is a sample
}

TEST(Sound, files_of_any_length_are_samples_and_other_rates_are_refused) {
  const TempFolder folder;
  folder.write("a.wav", wav_of_points({1, 2, 3}));
  folder.write("b.wav", wav_of_points({1}));
  const std::string spec = folder.path().string();
  const auto data = open_dataset(spec, {});
  EXPECT_EQ(data->fields()[0].shape, (Shape{-1}));
  EXPECT_EQ(data->sample(0)[0].shape(), (Shape{3}));
  folder.write("b.wav", wav_of_points({1}, 8000));
  EXPECT_PRED2(contains, error_of([&] { open_dataset(spec, {}); }), "b.wav has 8000 Hz");
  folder.write("b.wav", "RIFF");
  EXPECT_PRED2(contains, error_of([&] { open_dataset(spec, {}); }), "b.wav: not a WAV file");
}

}  // namespace
}  // namespace nibble
