#include <gtest/gtest.h>

#include "../support/temp_folder.h"
#include "data/npy.h"
#include "make_files.h"
#include "nibble/data.h"

namespace nibble {
namespace {

using testing::contains;
using testing::error_of;

TEST(NpzWriter, what_is_written_is_read_back) {
  const testing::TempFolder folder;
  const std::vector<std::pair<std::string, Tensor>> tensors = {
      {"boxes", Tensor::of<float>({1, 2}, {1.5F, -2})},
      {"layer/ids:0", Tensor::of<int64_t>({3}, {7, 8, 9})},
      {"none", Tensor(DType::u8, {0, 4})},
      {"scalar", Tensor::scalar(true)}};
  const auto path = folder.write("t.npz", npz_bytes(tensors));
  EXPECT_EQ(load_npz(path, "boxes").shape(), (Shape{1, 2}));
  EXPECT_EQ(load_npz(path, "boxes").data<float>()[1], -2);
  EXPECT_EQ(load_npz(path, "layer/ids:0").data<int64_t>()[2], 9);
  EXPECT_EQ(load_npz(path, "none").shape(), (Shape{0, 4}));
  EXPECT_EQ(load_npz(path, "scalar").data<bool>()[0], true);
  EXPECT_PRED2(contains, error_of([&] { load_npz(path, "box"); }), "no array 'box'");
}

TEST(NpzWriter, the_same_tensors_give_the_same_bytes) {
  const std::vector<std::pair<std::string, Tensor>> tensors = {{"x", Tensor(DType::i32, {3, 3})}};
  EXPECT_EQ(npz_bytes(tensors), npz_bytes(tensors));
}

TEST(NpzWriter, a_type_that_numpy_lacks_is_refused) {
  EXPECT_PRED2(
      contains, error_of([] {
        npz_bytes(std::vector<std::pair<std::string, Tensor>>{{"x", Tensor(DType::bf16, {1})}});
      }),
      "cannot hold elements of type bf16");
}

}  // namespace
}  // namespace nibble
