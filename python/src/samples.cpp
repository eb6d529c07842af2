#include "samples.h"

#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "convert.h"
#include "model.h"
#include "module.h"

namespace nibble::python {
namespace {

SampleSource make_source(const std::string& spec, std::map<std::string, std::string> sources,
                         Carry carry, int64_t frame, int64_t hop, const std::string& preprocess) {
  SampleSource source{.spec = spec,
                      .sources = std::move(sources),
                      .carry = std::move(carry),
                      .frame = frame,
                      .hop = hop,
                      .preprocess = {},
                      .held = {},
                      .only = {}};
  if (!preprocess.empty()) {
    preprocess_over({}, preprocess);  // what is wrong is said now
    source.preprocess = [preprocess](const Preprocess& usual) {
      return preprocess_over(usual, preprocess);
    };
  }
  return source;
}

// Entries (name, array, dtype): see hold_array().
std::vector<HeldArray> hold_all(const nb::handle& entries) {
  std::vector<HeldArray> arrays;
  for (const nb::handle entry : entries) {
    arrays.push_back(
        hold_array(nb::cast<std::string>(entry[0]), entry[1], nb::cast<std::string>(entry[2])));
  }
  return arrays;
}

void hold_arrays(SampleSource& source, const std::string& name, const nb::list& entries) {
  source.held = [name, arrays = hold_all(entries)](
                    const DataOptions& options) -> std::shared_ptr<const Dataset> {
    return open_held_arrays(name, arrays, options);
  };
}

// What `read` gives, in memory of its own: the arrays may not outlive this call.
std::vector<HeldArray> read_sample(const nb::object& read, int64_t index) {
  std::vector<HeldArray> arrays = hold_all(read(index));
  for (HeldArray& array : arrays) {
    array.tensor = array.tensor.clone();
    array.owner = nullptr;
  }
  return arrays;
}

// Entries of the sample that is asked for, from any thread.
std::function<std::vector<HeldArray>(int64_t)> reader_of(const nb::object& read) {
  return [kept = keep_alive(read)](int64_t index) {
    const nb::gil_scoped_acquire lock;
    return read_sample(
        nb::borrow(nb::handle(static_cast<PyObject*>(const_cast<void*>(kept.get())))), index);
  };
}

void hold_samples(SampleSource& source, const std::string& name, int64_t count, nb::object read) {
  source.held = [samples = HeldSamples{name, count, reader_of(read)}](
                    const DataOptions& options) -> std::shared_ptr<const Dataset> {
    return open_held_samples(samples, options);
  };
}

// `labels`: one integer each, or nothing.
void hold_pictures(SampleSource& source, const std::string& name, int64_t count,
                   std::vector<int64_t> labels, std::vector<std::string> class_names,
                   nb::object read) {
  HeldPictures pictures{name, count, std::move(labels), std::move(class_names), {}};
  pictures.read = [one = reader_of(read)](int64_t index) { return one(index).at(0); };
  source.held = [pictures](const DataOptions& options) -> std::shared_ptr<const Dataset> {
    return open_held_pictures(pictures, options);
  };
}

void check_index(const Dataset& data, int64_t index) {
  if (index < 0 || index >= data.size()) throw nb::index_error("there is no such sample");
}

nb::object fields_of(const std::vector<Field>& fields) {
  nb::list list;
  for (const Field& field : fields) {
    const std::string_view dtype = name_of(field.dtype);
    list.append(nb::make_tuple(field.name, nb::str(dtype.data(), dtype.size()),
                               to_python(field.shape, {})));
  }
  return list;
}

nb::object arrays_of(const std::vector<Tensor>& tensors) {
  nb::list list;
  for (const Tensor& tensor : tensors) list.append(to_numpy(tensor, true));
  return list;
}

std::vector<Tensor> read_one(const Dataset& data, int64_t index, bool targets) {
  const nb::gil_scoped_release released;
  std::vector<Tensor> tensors = targets ? data.targets(index) : data.sample(index);
  for (Tensor& tensor : tensors) tensor = tensor.clone();  // they may be the data set's own
  return tensors;
}

nb::object all_labels(const Dataset& data) {
  if (data.classes() == 0) return nb::none();
  Tensor labels(DType::i64, {data.size()});
  for (int64_t i = 0; i < data.size(); ++i) {
    labels.data<int64_t>()[static_cast<size_t>(i)] = data.label(i);
  }
  return to_numpy(labels, true);
}

Samples open(const SampleSource& source, const std::string& split, const Model* model,
             uint64_t seed) {
  return {source.open(split_named(split), model == nullptr ? nullptr : model->graph.get(), seed)};
}

}  // namespace

void define_samples(nb::module_& module) {
  using nb::arg;
  nb::class_<SampleSource>(module, "Source")
      .def(
          "__init__",
          [](SampleSource* self, const std::string& spec,
             std::map<std::string, std::string> sources, Carry carry, int64_t frame, int64_t hop,
             const std::string& preprocess) {
            new (self) SampleSource(
                make_source(spec, std::move(sources), std::move(carry), frame, hop, preprocess));
          },
          arg("spec"), arg("sources"), arg("carry"), arg("frame"), arg("hop"), arg("preprocess"))
      .def("hold_arrays", hold_arrays, arg("name"), arg("arrays"))
      .def("hold_samples", hold_samples, arg("name"), arg("count"), arg("read"))
      .def("hold_pictures", hold_pictures, arg("name"), arg("count"), arg("labels"),
           arg("class_names"), arg("read"))
      .def(
          "look_only_at",
          [](SampleSource& source, const std::string& split) { source.only = split_named(split); },
          arg("split"))
      .def("open", open, arg("split"), arg("model").none(), arg("seed"),
           nb::call_guard<nb::gil_scoped_release>());

  nb::class_<Samples>(module, "Samples")
      .def("__len__", [](const Samples& s) { return s.data->size(); })
      .def_prop_ro("classes", [](const Samples& s) { return s.data->classes(); })
      .def_prop_ro("class_names", [](const Samples& s) { return s.data->class_names(); })
      .def_prop_ro("fields", [](const Samples& s) { return fields_of(s.data->fields()); })
      .def_prop_ro("target_fields",
                   [](const Samples& s) { return fields_of(s.data->target_fields()); })
      .def_prop_ro("preprocess",
                   [](const Samples& s) -> std::optional<std::string> {
                     const auto preprocess = s.data->preprocess();
                     if (!preprocess) return std::nullopt;
                     return to_json(*preprocess);
                   })
      .def("describe", [](const Samples& s) { return s.data->describe(); })
      .def("labels", [](const Samples& s) { return all_labels(*s.data); })
      .def(
          "file",
          [](const Samples& s, int64_t index) {
            check_index(*s.data, index);
            return s.data->file_of(index);
          },
          arg("index"))
      .def(
          "sample",
          [](const Samples& s, int64_t index) {
            check_index(*s.data, index);
            return arrays_of(read_one(*s.data, index, false));
          },
          arg("index"))
      .def(
          "targets",
          [](const Samples& s, int64_t index) {
            check_index(*s.data, index);
            return arrays_of(read_one(*s.data, index, true));
          },
          arg("index"))
      .def(
          "batch",
          [](const Samples& s, int64_t begin, int64_t count, int threads) {
            std::vector<Tensor> tensors;
            {
              const nb::gil_scoped_release released;
              tensors = read_batch(*s.data, begin, count, threads);
            }
            return arrays_of(tensors);
          },
          arg("begin"), arg("count"), arg("threads"));
}

}  // namespace nibble::python
