// Failure, as a user of the library meets it: one exception type for bad input and unsupported
// models, and one for mistakes in Nibble itself.
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

/// What both have: `what()` is one sentence, preceded by the chain of contexts: "loading model.onnx
/// > node conv1 (Conv): weight has 2 dimensions, expected 3 to 5".
class Failure : public std::exception {
 public:
  const std::string& message() const noexcept { return message_; }
  /// Outermost first.
  const std::vector<std::string>& context() const noexcept { return context_; }
  const char* what() const noexcept override { return what_.c_str(); }

  /// Puts `where` in front of the context chain.
  void add_context(std::string where);

 protected:
  explicit Failure(std::string message);

 private:
  void rebuild();

  std::string message_;
  std::vector<std::string> context_;
  std::string what_;
};

/// Bad input or an unsupported model.
class Error : public Failure {
 public:
  Error(ErrorCode code, std::string message) : Failure(std::move(message)), code_(code) {}
  ErrorCode code() const noexcept { return code_; }

 private:
  ErrorCode code_;
};

/// A mistake in Nibble, whatever the input: the message begins with "internal error" and names the
/// place. Worth a report; nobody but main() should catch it.
class InternalError : public Failure {
 public:
  explicit InternalError(std::string message) : Failure(std::move(message)) {}
};

/// Runs `body`; a Failure that leaves it gains the context `where()` (called only then).
template <std::invocable Where, std::invocable Body>
decltype(auto) with_context(Where&& where, Body&& body) {
  try {
    return std::forward<Body>(body)();
  } catch (Failure& failure) {
    failure.add_context(where());
    throw;
  }
}

}  // namespace nibble
#pragma GCC visibility pop
