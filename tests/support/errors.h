// What the code under test complains of.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "nibble/error.h"

namespace nibble::testing {

/// What the Error that `body` throws says; a failure if it throws none.
template <typename Body>
std::string error_of(const Body& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

}  // namespace nibble::testing
