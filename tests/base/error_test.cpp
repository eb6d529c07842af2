#include "nibble/error.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

TEST(error, is_one_line_whatever_names_hold) {
  Error error(ErrorCode::invalid_model, "'a\nb\x01' is no name");
  error.add_context("node \tx");
  EXPECT_STREQ(error.what(), "node \\x09x: 'a\\x0ab\\x01' is no name");
}

TEST(error, leaves_text_in_other_scripts_as_it_is) {
  EXPECT_STREQ(Error(ErrorCode::invalid_model, "größe 大小").what(), "größe 大小");
}

}  // namespace
}  // namespace nibble
