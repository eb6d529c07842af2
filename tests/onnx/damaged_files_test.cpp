// Files that are cut short or have flipped bits: they are read and can then be written and read
// again, or end in an Error. Nothing else may leave the reader and the writer, least of all an
// InternalError.
#include <gtest/gtest.h>

#include <fstream>

#include "base/random.h"
#include "nibble/error.h"
#include "nibble/onnx.h"
#include "onnx/sample_models.h"
#include "support/shared_files.h"

namespace nibble {
namespace {

void read_and_write(const std::string& bytes) {
  Graph graph;
  std::string written;
  try {
    graph = parse_onnx(bytes);
    written = serialize_onnx(graph);
  } catch (const Error&) {
    return;
  }
  EXPECT_NO_THROW(parse_onnx(written)) << to_text(graph);
}

std::vector<std::string> small_models() {
  return {testing::with_quantized_value().bytes(), testing::rich_model().bytes(),
          testing::with_branches().bytes()};
}

TEST(damaged_files, every_prefix_is_an_error_or_a_smaller_model) {
  for (const std::string& bytes : small_models()) {
    for (size_t length = 0; length < bytes.size(); ++length) {
      read_and_write(bytes.substr(0, length));
    }
  }
}

TEST(damaged_files, flipped_bits_end_in_an_error_or_in_another_model) {
  Random random(1);
  for (const std::string& model : small_models()) {
    for (int round = 0; round < 10000; ++round) {
      std::string bytes = model;
      for (uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
        bytes[random.below(bytes.size())] ^= static_cast<char>(1U << random.below(8));
      }
      read_and_write(bytes);
    }
  }
}

TEST(damaged_files, bytes_of_other_values_end_in_an_error_or_in_another_model) {
  Random random(2);
  for (const std::string& model : small_models()) {
    for (int round = 0; round < 10000; ++round) {
      std::string bytes = model;
      const uint64_t at = random.below(bytes.size());
      const uint64_t value = random.below(4);
      bytes[at] = value == 0 ? '\0' : value == 1 ? '\x7f' : value == 2 ? '\xff' : '\x01';
      read_and_write(bytes);
    }
  }
}

TEST(damaged_files, a_real_model_truncated_or_flipped) {
  NIBBLE_SHARED_FILE(path, "models/mnist-8/model.onnx");
  std::ifstream file(path, std::ios::binary);
  const std::string model((std::istreambuf_iterator<char>(file)), {});
  for (size_t length = 0; length < model.size(); length += 97) {
    read_and_write(model.substr(0, length));
  }
  for (size_t position = 0; position < model.size(); position += 13) {
    std::string bytes = model;
    bytes[position] ^= static_cast<char>(1U << (position % 8));
    read_and_write(bytes);
  }
}

}  // namespace
}  // namespace nibble
