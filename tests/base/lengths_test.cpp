// Which mistakes are the model's and which are Nibble's own.
#include "base/lengths.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "nibble/tensor.h"

namespace nibble {
namespace {

TEST(lengths_from_model, what_no_container_can_have_is_the_models_fault) {
  const std::vector<int> three(3);
  const auto expect_error = [](auto body) {
    try {
      with_lengths_from_model(body);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_model);
    }
  };
  volatile size_t huge = static_cast<size_t>(-8);
  expect_error([&] { return std::vector<int>(huge).size(); });
  expect_error([&] { return three.at(3); });
  expect_error([&] { return std::string("abc").substr(4).size(); });
  expect_error([&]() -> int { throw std::bad_alloc(); });
  EXPECT_EQ(with_lengths_from_model([&] { return three.at(2); }), 0);
}

TEST(check, a_failed_one_is_an_internal_error_that_names_the_place_and_the_way_to_it) {
  try {
    with_context([] { return std::string("node 'n' (Relu)"); },
                 [] { with_lengths_from_model([] { check(false, "it cannot be"); }); });
    FAIL() << "nothing was thrown";
  } catch (const InternalError& error) {
    const std::string_view text = error.what();
    EXPECT_TRUE(text.starts_with("node 'n' (Relu): internal error at ")) << text;
    EXPECT_NE(text.find("lengths_test.cpp:"), std::string_view::npos) << text;
    EXPECT_TRUE(text.ends_with(": it cannot be")) << text;
  }
}

TEST(check, a_tensor_given_the_wrong_number_of_values_is_an_internal_error) {
  EXPECT_THROW(Tensor::of<float>({3}, {1, 2}), InternalError);
}

}  // namespace
}  // namespace nibble
