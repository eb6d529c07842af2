#include "results.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "base/file.h"
#include "convert.h"
#include "module.h"
#include "verbs/observed.h"

namespace nibble::python {
namespace {

const TensorRange& range_at(const Ranges& ranges, size_t index) {
  if (index >= ranges.report->tensors.size()) throw nb::index_error("there is no such tensor");
  return ranges.report->tensors[index];
}

nb::object counts_of(const TensorRange& range) {
  const std::vector<int64_t>& counts = range.histogram.counts();
  return to_numpy(Tensor::of<int64_t>({static_cast<int64_t>(counts.size())}, counts), true);
}

nb::object edges_of(const TensorRange& range) {
  const size_t bins = range.histogram.counts().size();
  Tensor edges(DType::f64, {static_cast<int64_t>(bins) + (bins > 0 ? 1 : 0)});
  for (int64_t i = 0; i < edges.elements(); ++i) {
    edges.data<double>()[static_cast<size_t>(i)] =
        range.histogram.low() + static_cast<double>(i) * range.histogram.bin_width();
  }
  return to_numpy(edges, true);
}

nb::object channels_of(const TensorRange& range, float Moments::*member) {
  Tensor values(DType::f32, {static_cast<int64_t>(range.channels.size())});
  for (size_t i = 0; i < range.channels.size(); ++i) {
    values.data<float>()[i] = range.channels[i].*member;
  }
  return to_numpy(values, true);
}

nb::object grids_of(const TensorRange& range, int bits, bool symmetric) {
  nb::dict grids;
  for (const ObservedGrid& grid : observed_grids(range, bits, symmetric)) {
    grids[nb::str(grid.observer.data(), grid.observer.size())] =
        nb::make_tuple(grid.scale, grid.zero_point, grid.low, grid.high);
  }
  return grids;
}

nb::object summary_of(const TensorRange& range) {
  nb::dict entry;
  entry["name"] = range.name;
  entry["node"] = range.node;
  entry["kind"] = range.is_weight ? "weight" : "activation";
  entry["shape"] = to_python(range.shape, {});
  entry["count"] = range.total.count;
  entry["min"] = range.total.minimum;
  entry["max"] = range.total.maximum;
  entry["mean"] = range.total.mean;
  entry["std"] = range.total.count > 0 ? range.total.stddev() : 0.0;
  entry["zero_share"] = static_cast<double>(range.total.zeros) /
                        static_cast<double>(std::max<int64_t>(range.total.count, 1));
  entry["outlier_share"] = range.outlier_share;
  entry["channel_axis"] = range.channel_axis;
  nb::dict errors;
  for (const BitError& error : range.errors) errors[nb::int_(error.bits)] = error.sqnr_db;
  entry["sqnr_db"] = errors;
  if (range.unusable.empty()) {
    entry["unusable"] = nb::none();
  } else {
    entry["unusable"] = range.unusable;
  }
  return entry;
}

}  // namespace

void define_results(nb::module_& module) {
  using nb::arg;
  nb::class_<Ranges>(module, "Ranges")
      .def("__len__", [](const Ranges& r) { return r.report->tensors.size(); })
      .def_prop_ro("samples", [](const Ranges& r) { return r.report->samples; })
      .def_prop_ro("notes", [](const Ranges& r) { return r.report->notes; })
      .def("summary", [](const Ranges& r, size_t i) { return summary_of(range_at(r, i)); })
      .def("counts", [](const Ranges& r, size_t i) { return counts_of(range_at(r, i)); })
      .def("edges", [](const Ranges& r, size_t i) { return edges_of(range_at(r, i)); })
      .def("channel_min",
           [](const Ranges& r, size_t i) { return channels_of(range_at(r, i), &Moments::minimum); })
      .def("channel_max",
           [](const Ranges& r, size_t i) { return channels_of(range_at(r, i), &Moments::maximum); })
      .def(
          "grids",
          [](const Ranges& r, size_t i, int bits, bool symmetric) {
            return grids_of(range_at(r, i), bits, symmetric);
          },
          arg("index"), arg("bits"), arg("symmetric"))
      .def("table", [](const Ranges& r) { return to_table(*r.report); })
      .def("json", [](const Ranges& r) { return to_json(*r.report); })
      .def_static(
          "from_json",
          [](const std::string& text) {
            return Ranges{std::make_shared<const RangeReport>(range_report_from_json(text))};
          })
      .def(
          "save",
          [](const Ranges& r, const std::string& path) {
            write_file(path, to_json(*r.report) + "\n");
          },
          arg("path"), nb::call_guard<nb::gil_scoped_release>());
}

}  // namespace nibble::python
