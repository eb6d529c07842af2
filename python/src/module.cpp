// nibble._core: the library as Python sees it. The package around it (python/nibble) has the names,
// the documentation and whatever needs no C++.
#include "module.h"

#include <nanobind/stl/string.h>

#include "nibble/version.h"
#include "verbs/about.h"
#include "verbs/job.h"

NB_MODULE(_core, module) {
  using namespace nibble::python;
  module.doc() = "Nibble's library; use the package `nibble`, which documents it.";
  module.attr("version") = nb::str(nibble::version().data(), nibble::version().size());
  module.def("about", [] {
    const nibble::About about = nibble::about();
    nb::dict all;
    all["version"] = about.version;
    all["instruction_set"] = about.instruction_set;
    all["cpu"] = about.cpu;
    all["threads"] = about.threads;
    all["training"] = about.training;
    return all;
  });
  module.def("rank", [] { return nibble::job_place().rank; });
  module.def("ranks", [] { return nibble::job_place().size; });
  module.def("leave_job", [] {
    const nb::gil_scoped_release released;
    nibble::leave_job();
  });
  register_errors();
  define_models(module);
  define_samples(module);
  define_results(module);
  define_verbs(module);
  define_sessions(module);
  define_options(module);
  define_program(module);
  define_training(module);
}
