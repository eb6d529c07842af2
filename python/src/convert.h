// Between Python and the library: arrays without copies, JSON as Python objects.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "data/held.h"
#include "nibble/tensor.h"

namespace nibble::python {

namespace nb = nanobind;

/// The array behind `array` (anything with the buffer protocol, C-contiguous) under a name. Its
/// memory is borrowed, and kept. `dtype` says what the elements are where NumPy has no name for
/// them ("bf16"). Throws Error{invalid_argument} for element types that Nibble does not have.
HeldArray hold_array(std::string name, nb::handle array, const std::string& dtype = "");

/// A NumPy array over the tensor's memory, which it keeps. Integers under 8 bits are unpacked, and
/// bfloat16, which NumPy does not have, becomes float32. `writable` where nothing else uses the
/// memory.
nb::object to_numpy(const Tensor& tensor, bool writable);

/// dict, list, str, int, float, bool or None; infinite numbers stay what they are.
nb::object to_python(const nlohmann::ordered_json& json);

/// (3, 'N', None): unknown extents by name, or None. None if not even the rank is known.
nb::object to_python(const Shape& shape, const std::vector<std::string>& dim_names);

/// Keeps a Python object; releases it from any thread.
std::shared_ptr<const void> keep_alive(nb::object object);

}  // namespace nibble::python
