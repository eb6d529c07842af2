// Failures of the library as Python exceptions: the same sentences, options by their Python names.
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <new>

#include "module.h"
#include "nibble/error.h"
#include "verbs/job.h"

namespace nibble::python {
namespace {

std::string_view name_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::invalid_model:
      return "invalid_model";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::invalid_data:
      return "invalid_data";
    case ErrorCode::io:
      return "io";
    case ErrorCode::cancelled:
      return "cancelled";
  }
  return "";
}

// nibble.errors makes the exception; a message is never lost for a mistake in there.
void raise(const char* maker, const Failure& failure, std::string_view code) {
  try {
    const nb::object make = nb::module_::import_("nibble.errors").attr(maker);
    const nb::object error = make(nb::str(failure.what()), nb::str(failure.message().c_str()),
                                  nb::cast(failure.context()), nb::str(code.data(), code.size()));
    PyErr_SetObject(error.type().ptr(), error.ptr());
  } catch (nb::python_error& error) {
    error.restore();
  }
}

void translate(const std::exception_ptr& thrown, void*) {
  try {
    std::rethrow_exception(thrown);
  } catch (const Error& error) {
    // The script may end by it, and other ranks would wait.
    const nb::gil_scoped_release released;
    give_up_job(error.what());
    const nb::gil_scoped_acquire held;
    raise("make_error", error, name_of(error.code()));
  } catch (const InternalError& error) {
    raise("make_internal_error", error, "internal");
  }
}

}  // namespace

void register_errors() { nb::register_exception_translator(translate); }

}  // namespace nibble::python
