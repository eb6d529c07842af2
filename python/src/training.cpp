// Where training finds Python's torch.
#include <nanobind/stl/string.h>

#include "module.h"
#include "nibble/error.h"
#include "train/backend.h"

namespace nibble::python {
namespace {

// python/nibble/torch_of_pypi.py knows which torch is installed, and loads it.
std::string find_library() {
  const nb::gil_scoped_acquire lock;
  try {
    return nb::cast<std::string>(nb::module_::import_("nibble.torch_of_pypi").attr("find")());
  } catch (const nb::python_error& error) {
    throw Error(ErrorCode::unsupported,
                "training needs libtorch; the torch of this Python is the one for it, but could "
                "not be imported (" +
                    std::string(nb::str(error.value()).c_str()) +
                    "): pip install --force-reinstall nibble[train]");
  }
}

}  // namespace

void define_training(nb::module_&) { set_train_library_finder(&find_library); }

}  // namespace nibble::python
