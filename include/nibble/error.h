// Failure, as a user of the library meets it: one exception type for bad input and unsupported
// models.
#pragma once

#include <concepts>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#pragma GCC visibility push(default)
namespace nibble {

enum class ErrorCode {
  invalid_argument,  // an option or value the caller passed makes no sense
  invalid_model,     // the model is malformed (cycle, truncated, NaN weight, ...)
  unsupported,       // well-formed, but Nibble has no support for it
  invalid_data,      // a data set or tensor file is malformed or empty
  io,                // a file could not be read or written
  cancelled,         // the user asked to stop
};

/// Bad input or an unsupported model. `what()` is one sentence, preceded by the chain of contexts:
/// "loading model.onnx > node conv1 (Conv): weight has 2 dimensions, expected 3 to 5".
class Error : public std::exception {
 public:
  Error(ErrorCode code, std::string message);

  ErrorCode code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  /// Outermost first.
  const std::vector<std::string>& context() const noexcept { return context_; }
  const char* what() const noexcept override { return what_.c_str(); }

  /// Puts `where` in front of the context chain.
  void add_context(std::string where);

 private:
  void rebuild();

  ErrorCode code_;
  std::string message_;
  std::vector<std::string> context_;
  std::string what_;
};

/// Runs `body`; an Error that leaves it gains the context `where()` (called only then).
template <std::invocable Where, std::invocable Body>
decltype(auto) with_context(Where&& where, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (Error& error) {
    error.add_context(where());
    throw;
  }
}

}  // namespace nibble
#pragma GCC visibility pop
