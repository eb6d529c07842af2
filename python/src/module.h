// What the files of nibble._core put into it.
#pragma once

#include <nanobind/nanobind.h>

namespace nibble::python {

namespace nb = nanobind;

void register_errors();
void define_models(nb::module_& module);
void define_samples(nb::module_& module);
void define_results(nb::module_& module);
void define_verbs(nb::module_& module);
void define_sessions(nb::module_& module);
void define_options(nb::module_& module);
void define_program(nb::module_& module);
void define_training(nb::module_& module);

}  // namespace nibble::python
