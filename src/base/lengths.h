// Lengths that come from a model.
#pragma once

#include <concepts>
#include <new>
#include <stdexcept>
#include <utility>

#include "base/check.h"

namespace nibble {

/// Runs `body`, which works through a part of a model. Where a malformed model asks a container of
/// the standard library for a length that it cannot have, an element that it has not, or memory
/// that there is not, that is the model's fault: Error{invalid_model}. A failed check() stays an
/// InternalError.
template <std::invocable Body>
decltype(auto) with_lengths_from_model(Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (const std::bad_alloc&) {
    fail(ErrorCode::invalid_model, "there is not enough memory");
  } catch (const std::length_error&) {
    fail(ErrorCode::invalid_model, "it asks for more elements than memory can hold");
  } catch (const std::out_of_range&) {
    fail(ErrorCode::invalid_model, "a list is too short");
  }
}

}  // namespace nibble
