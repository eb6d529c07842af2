// The C interface (nibble.h) on top of the C++ one.
#include <algorithm>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "base/check.h"
#include "nibble.h"
#include "nibble/onnx.h"
#include "nibble/runtime.h"
#include "nibble/version.h"
#include "onnx/proto.h"

struct nibble_model {
  struct Described {
    std::string name;
    nibble::TensorType type;
    std::vector<std::string> dim_names;
  };
  std::vector<Described> inputs, outputs;

  explicit nibble_model(const nibble::Graph& graph, int threads);

  /// One that no other thread runs, until it is given back.
  nibble::Program& take() const;
  void give_back(nibble::Program& program) const;

 private:
  std::unique_ptr<nibble::Program> first_;
  mutable std::mutex guard_;                                     // of what follows
  mutable std::vector<std::unique_ptr<nibble::Program>> twins_;  // of the first
  mutable std::vector<nibble::Program*> idle_;
};

namespace nibble {
namespace {

static_assert(NIBBLE_MAX_RANK == Shape::kMaxRank);

thread_local std::string last_message;

nibble_status refuse(nibble_status status, std::string message) {
  last_message = std::move(message);
  return status;
}

nibble_status status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return NIBBLE_INVALID_ARGUMENT;
    case ErrorCode::invalid_model:
      return NIBBLE_INVALID_MODEL;
    case ErrorCode::unsupported:
      return NIBBLE_UNSUPPORTED;
    case ErrorCode::invalid_data:
      return NIBBLE_INVALID_DATA;
    case ErrorCode::io:
      return NIBBLE_IO;
    case ErrorCode::cancelled:
      return NIBBLE_CANCELLED;
  }
  return NIBBLE_INTERNAL_ERROR;
}

// Runs `body`; what it throws becomes a status and a message.
template <typename Body>
nibble_status guarded(const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    return refuse(status_of(error.code()), error.what());
  } catch (const std::bad_alloc&) {
    return refuse(NIBBLE_OUT_OF_MEMORY, "there is not enough memory");
  } catch (const std::exception& error) {
    return refuse(NIBBLE_INTERNAL_ERROR, error.what());
  } catch (...) {
    return refuse(NIBBLE_INTERNAL_ERROR, "internal error: an unknown exception");
  }
}

int threads_of(const nibble_options* options) {
  if (options == nullptr) return 1;
  if (options->size < sizeof(nibble_options)) {
    fail(ErrorCode::invalid_argument,
         "options of {} bytes are of no version of nibble.h: begin with NIBBLE_OPTIONS_INIT",
         options->size);
  }
  if (options->threads < 0) {
    fail(ErrorCode::invalid_argument, "threads is {}: give a number, or 0 for one per core",
         options->threads);
  }
  return options->threads;
}

template <typename Read>
nibble_status load(const nibble_options* options, nibble_model** model, const Read& read) {
  return guarded([&] {
    if (model == nullptr) fail(ErrorCode::invalid_argument, "there is no place for the model");
    *model = nullptr;
    const int threads = threads_of(options);
    *model = std::make_unique<nibble_model>(read(), threads).release();
    return NIBBLE_OK;
  });
}

nibble_type c_type(DType dtype) {
  return dtype == DType::undefined ? NIBBLE_UNKNOWN_TYPE
                                   : static_cast<nibble_type>(onnx_data_type(dtype));
}

DType dtype_of_c(nibble_type type) {
  for (int i = 1; i <= static_cast<int>(DType::boolean); ++i) {
    const auto dtype = static_cast<DType>(i);
    if (onnx_data_type(dtype) == static_cast<int>(type)) return dtype;
  }
  return DType::undefined;
}

template <typename C>
void set_shape(C& to, const Shape& shape) {
  to.rank = shape.rank();
  std::ranges::fill(to.shape, 0);
  std::ranges::copy(shape, to.shape);
}

nibble_status tell_value(const std::vector<nibble_model::Described>& all, const char* what,
                         size_t index, nibble_value* value) {
  return guarded([&] {
    if (value == nullptr) fail(ErrorCode::invalid_argument, "there is no place for the {}", what);
    if (index >= all.size()) {
      fail(ErrorCode::invalid_argument, "there is no {} {}: the model has {}", what, index,
           all.size());
    }
    const nibble_model::Described& described = all[index];
    *value = {};
    value->name = described.name.c_str();
    value->type = c_type(described.type.dtype);
    set_shape(*value, described.type.shape);
    for (size_t i = 0; i < std::min<size_t>(described.dim_names.size(), NIBBLE_MAX_RANK); ++i) {
      const bool open = described.type.shape[static_cast<int>(i)] < 0;
      if (open && !described.dim_names[i].empty()) {
        value->dim_names[i] = described.dim_names[i].c_str();
      }
    }
    return NIBBLE_OK;
  });
}

Tensor borrow(const nibble_tensor& from, const std::string& name) {
  const DType dtype = dtype_of_c(from.type);
  const auto refuse_it = [&](const std::string& reason) {
    fail(ErrorCode::invalid_argument, "input '{}': {}", name, reason);
  };
  if (dtype == DType::undefined) {
    refuse_it(fmt::format("its type {} is none of nibble_type", static_cast<int>(from.type)));
  }
  if (from.rank < 0 || from.rank > NIBBLE_MAX_RANK) {
    refuse_it(fmt::format("its rank is {}, not 0 to {}", from.rank, NIBBLE_MAX_RANK));
  }
  const Shape shape(std::span(from.shape, static_cast<size_t>(from.rank)));
  if (!shape.is_static()) {
    refuse_it(fmt::format("its shape is {}: give all extents", shape.to_string()));
  }
  const size_t wanted = storage_bytes(dtype, shape.elements());
  if (from.bytes != wanted) {
    refuse_it(fmt::format("{}{} takes {} bytes, but bytes is {}", name_of(dtype), shape.to_string(),
                          wanted, from.bytes));
  }
  if (from.data == nullptr && wanted > 0) refuse_it("its data is NULL");
  return Tensor::borrow(dtype, shape, from.data);
}

// Whether it had room enough.
bool hand_over(const Tensor& result, nibble_tensor& to) {
  const size_t room = to.bytes;
  to.type = c_type(result.dtype());
  set_shape(to, result.shape());
  to.bytes = result.bytes();
  if (to.data == nullptr) return true;
  if (room < to.bytes) return false;
  if (to.bytes > 0) std::memcpy(to.data, result.raw(), to.bytes);
  return true;
}

void check_count(const char* what, size_t have, size_t wanted, const void* list) {
  if (have != wanted) {
    fail(ErrorCode::invalid_argument, "the model has {} {}, got {}", wanted, what, have);
  }
  if (list == nullptr && wanted > 0) fail(ErrorCode::invalid_argument, "the {} are NULL", what);
}

nibble_status run(const nibble_model& model, std::span<const nibble_tensor> inputs,
                  std::span<nibble_tensor> outputs) {
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < inputs.size(); ++i) {
    tensors.push_back(borrow(inputs[i], model.inputs[i].name));
  }
  struct Taken {
    const nibble_model& model;
    Program& program = model.take();
    ~Taken() { model.give_back(program); }
  } taken{model};
  const std::span<const Tensor> results = taken.program.run(tensors);
  std::string lacking;
  for (size_t i = 0; i < results.size(); ++i) {
    const size_t room = outputs[i].bytes;
    if (hand_over(results[i], outputs[i])) continue;
    lacking +=
        fmt::format("{}output '{}' takes {} bytes, and has room for {}",
                    lacking.empty() ? "" : "; ", model.outputs[i].name, outputs[i].bytes, room);
  }
  return lacking.empty() ? NIBBLE_OK : refuse(NIBBLE_BUFFER_TOO_SMALL, std::move(lacking));
}

}  // namespace
}  // namespace nibble

nibble_model::nibble_model(const nibble::Graph& graph, int threads)
    : first_(std::make_unique<nibble::Program>(nibble::compile(graph, {.threads = threads}))),
      idle_({first_.get()}) {
  const nibble::Program& program = *first_;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    inputs.push_back({program.input_names()[i], program.input_types()[i],
                      graph.value(graph.inputs[i]).dim_names});
  }
  for (size_t i = 0; i < graph.outputs.size(); ++i) {
    outputs.push_back({program.output_names()[i], program.output_types()[i],
                       graph.value(graph.outputs[i]).dim_names});
  }
}

nibble::Program& nibble_model::take() const {
  {
    const std::lock_guard lock(guard_);
    if (!idle_.empty()) {
      nibble::Program& program = *idle_.back();
      idle_.pop_back();
      return program;
    }
  }
  auto twin = std::make_unique<nibble::Program>(first_->twin());
  const std::lock_guard lock(guard_);
  idle_.reserve(twins_.size() + 2);  // so that giving back cannot fail
  return *twins_.emplace_back(std::move(twin));
}

void nibble_model::give_back(nibble::Program& program) const {
  const std::lock_guard lock(guard_);
  idle_.push_back(&program);
}

extern "C" {

int32_t nibble_abi(void) { return NIBBLE_ABI; }
const char* nibble_version(void) { return nibble::version().data(); }
const char* nibble_error_message(void) { return nibble::last_message.c_str(); }

nibble_status nibble_load(const char* path, const nibble_options* options, nibble_model** model) {
  return nibble::load(options, model, [&] {
    if (path == nullptr) nibble::fail(nibble::ErrorCode::invalid_argument, "the path is NULL");
    return nibble::load_onnx(path);
  });
}

nibble_status nibble_load_bytes(const void* bytes, size_t size, const nibble_options* options,
                                nibble_model** model) {
  return nibble::load(options, model, [&] {
    if (bytes == nullptr) nibble::fail(nibble::ErrorCode::invalid_argument, "the bytes are NULL");
    return nibble::parse_onnx({static_cast<const char*>(bytes), size});
  });
}

void nibble_free(nibble_model* model) { delete model; }

size_t nibble_input_count(const nibble_model* model) {
  return model == nullptr ? 0 : model->inputs.size();
}
size_t nibble_output_count(const nibble_model* model) {
  return model == nullptr ? 0 : model->outputs.size();
}

nibble_status nibble_input(const nibble_model* model, size_t index, nibble_value* value) {
  if (model == nullptr) return nibble::refuse(NIBBLE_INVALID_ARGUMENT, "the model is NULL");
  return nibble::tell_value(model->inputs, "input", index, value);
}

nibble_status nibble_output(const nibble_model* model, size_t index, nibble_value* value) {
  if (model == nullptr) return nibble::refuse(NIBBLE_INVALID_ARGUMENT, "the model is NULL");
  return nibble::tell_value(model->outputs, "output", index, value);
}

nibble_status nibble_run(const nibble_model* model, const nibble_tensor* inputs, size_t input_count,
                         nibble_tensor* outputs, size_t output_count) {
  return nibble::guarded([&] {
    if (model == nullptr) nibble::fail(nibble::ErrorCode::invalid_argument, "the model is NULL");
    nibble::check_count("inputs", input_count, model->inputs.size(), inputs);
    nibble::check_count("outputs", output_count, model->outputs.size(), outputs);
    return nibble::run(*model, {inputs, input_count}, {outputs, output_count});
  });
}

}  // extern "C"
