#include "verbs/session.h"

#include <nanobind/stl/string.h>

#include "convert.h"
#include "model.h"
#include "module.h"

namespace nibble::python {
namespace {

// Entries (name, array, dtype). The results in the order of the graph's outputs.
nb::list run(Session& session, const nb::list& entries) {
  std::map<std::string, Tensor> inputs;
  std::vector<HeldArray> held;  // whose memory the tensors borrow
  for (const nb::handle entry : entries) {
    held.push_back(
        hold_array(nb::cast<std::string>(entry[0]), entry[1], nb::cast<std::string>(entry[2])));
    inputs.emplace(held.back().name, held.back().tensor);
  }
  std::vector<Tensor> results;
  {
    const nb::gil_scoped_release released;
    results = session.run(std::move(inputs));
  }
  nb::list arrays;
  for (const Tensor& result : results) arrays.append(to_numpy(result, true));
  return arrays;
}

}  // namespace

void define_sessions(nb::module_& module) {
  using nb::arg;
  nb::class_<Session>(module, "Session")
      .def(
          "__init__",
          [](Session* self, const Model& model, const std::string& arithmetic, int threads) {
            new (self) Session(model.graph, arithmetic_named(arithmetic), threads);
          },
          arg("model"), arg("arithmetic"), arg("threads"))
      .def("run", run, arg("inputs"));
}

}  // namespace nibble::python
