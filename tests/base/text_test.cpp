// Names that were misspelt, and names that become files.
#include "base/text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/file_names.h"

namespace nibble {
namespace {

using Names = std::vector<std::string>;

TEST(edit_distance, counts_edits_and_swaps_without_regard_to_case) {
  EXPECT_EQ(edit_distance("", ""), 0U);
  EXPECT_EQ(edit_distance("abc", ""), 3U);
  EXPECT_EQ(edit_distance("", "abc"), 3U);
  EXPECT_EQ(edit_distance("Conv", "conv"), 0U);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3U);
  EXPECT_EQ(edit_distance("wieghts", "weights"), 1U);
  EXPECT_EQ(edit_distance("ca", "abc"), 3U);  // what was swapped is not edited again
}

TEST(nearest_names, gives_the_nearest_first_and_none_that_is_far) {
  const Names names = {"Conv", "ConvTranspose", "MatMul", "Gelu", "Add"};
  EXPECT_EQ(nearest_names("Con", names), (Names{"Conv"}));
  EXPECT_EQ(nearest_names("MatMull", names), (Names{"MatMul"}));
  EXPECT_EQ(nearest_names("FusedConv", names), (Names{"Conv"}));
  EXPECT_EQ(nearest_names("BiasGelu", names), (Names{"Gelu"}));
  EXPECT_EQ(nearest_names("Transpose", names), (Names{"ConvTranspose"}));
  EXPECT_TRUE(nearest_names("NonZero", names).empty());
  EXPECT_TRUE(nearest_names("xy", names).empty());
}

TEST(did_you_mean, asks_or_says_nothing) {
  const Names names = {"weights", "weight_observer", "skip"};
  EXPECT_EQ(did_you_mean("weight", names), "; did you mean 'weights' or 'weight_observer'?");
  EXPECT_EQ(did_you_mean("zzzzzz", names), "");
}

TEST(file_names, keeps_names_that_differ_only_in_punctuation_apart) {
  EXPECT_EQ(file_names(Names{"a/b", "a_b", "a:b"}), (Names{"a_b-2", "a_b", "a_b-3"}));
  EXPECT_EQ(file_names(Names{"x/y", "z\\w"}), (Names{"x_y", "z_w"}));
  EXPECT_EQ(file_names(Names{"a/b", "a_b-2", "a_b"}), (Names{"a_b-3", "a_b-2", "a_b"}));
}

TEST(file_names, are_names_of_files_whatever_the_name) {
  const Names files = file_names(
      Names{std::string("a\0b", 3), "a\nb", std::string(300, 'n'), std::string(301, 'n'), ""});
  EXPECT_EQ(files[0], "a_b");
  EXPECT_EQ(files[1], "a_b-2");
  EXPECT_EQ(files[2], std::string(200, 'n'));
  EXPECT_EQ(files[3], fmt::format("{}-2", files[2]));
  EXPECT_EQ(files[4], "_");
  // Cut between characters, not within one: x and 99 of two bytes.
  std::string long_name = "x", kept = "x";
  for (int i = 0; i < 150; ++i) {
    long_name += "\u00fc";
    if (i < 99) kept += "\u00fc";
  }
  EXPECT_EQ(file_names(Names{long_name})[0], kept);
}

}  // namespace
}  // namespace nibble
