// Finds and loads libnibble_train.so, and forwards the training verbs to it.
#include <dlfcn.h>

#include <filesystem>

#include "base/check.h"
#include "nibble/quantize.h"
#include "nibble/train.h"
#include "nibble/version.h"
#include "ranges/binding.h"
#include "train/backend.h"

namespace nibble {
namespace {

constexpr const char* kLibrary = "libnibble_train.so";
constexpr const char* kEntry = "nibble_train_backend";

/// libnibble_train.so in the folder of the library that this code is part of.
std::string beside_this_library() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&train_backend), &info) == 0) return kLibrary;
  return (std::filesystem::path(info.dli_fname).parent_path() / kLibrary).string();
}

const TrainBackend* load() {
  std::string reason;
  for (const std::string& path : {beside_this_library(), std::string(kLibrary)}) {
    // Never closed: libtorch's threads and registries outlive any use of it.
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      const auto entry = reinterpret_cast<decltype(&nibble_train_backend)>(dlsym(library, kEntry));
      if (const TrainBackend* backend = entry ? entry(version().data()) : nullptr) return backend;
      fail(ErrorCode::unsupported, "{} is of another version of Nibble than this one", path);
    }
    if (reason.empty() || std::filesystem::exists(path)) reason = dlerror();
  }
  if (std::filesystem::exists(beside_this_library())) {
    fail(ErrorCode::unsupported,
         "training needs libtorch, which could not be loaded ({}); install it (Debian: apt install "
         "libtorch1.13)",
         reason);
  }
  fail(ErrorCode::unsupported,
       "training needs {}, which could not be loaded ({}); install the package nibble-train, or "
       "libtorch (Debian: apt install libtorch-dev) and build Nibble with -DNIBBLE_TRAIN=ON",
       kLibrary, reason);
}

void require_samples(const Graph& graph, const Dataset& data, std::string_view what) {
  if (data.size() == 0) {
    fail(ErrorCode::invalid_data, "the {} set {} is empty", what, data.describe());
  }
  if (data.classes() == 0) {
    fail(ErrorCode::invalid_data, "{}: training a classifier needs labels", data.describe());
  }
  const Binding binding = bind_samples(graph, data);
  if (binding.inputs.size() != 1) {
    fail(ErrorCode::unsupported, "training needs a network with one input, this one has {}",
         binding.inputs.size());
  }
  const InputBinding& input = binding.inputs[0];
  if (input.fit != InputBinding::Fit::batched || input.leading_one) {
    fail(ErrorCode::invalid_argument,
         "training needs samples of the shape that the network's input '{}' {} has without the "
         "batch; those of {} are {}",
         input.name, input.shape.to_string(), data.describe(),
         sample_shape(data, "training").to_string());
  }
}

void check_options(const TrainOptions& options) {
  const auto require = [](bool fits, std::string_view sentence) {
    if (!fits) fail(ErrorCode::invalid_argument, "training options: {}", sentence);
  };
  require(options.epochs >= 1, "epochs must be at least 1");
  require(options.batch >= 1, "batch must be at least 1");
  require(options.threads >= 0, "threads must not be negative");
  require(options.learning_rate > 0, "learning_rate must be positive");
  require(options.warmup_epochs >= 0, "warmup_epochs must not be negative");
  require(options.momentum >= 0 && options.momentum < 1, "momentum must be in [0, 1)");
  require(options.weight_decay >= 0, "weight_decay must not be negative");
  require(options.label_smoothing >= 0 && options.label_smoothing < 1,
          "label_smoothing must be in [0, 1)");
  require(options.crop_padding >= 0, "crop_padding must not be negative");
  require(options.distill >= 0 && options.distill <= 1, "distill must be in [0, 1]");
}

}  // namespace

const TrainBackend& train_backend() {
  static const TrainBackend* backend = load();
  return *backend;
}

TrainResult train(const Graph& graph, const Dataset& training, const Dataset& validation,
                  const TrainOptions& options) {
  check_options(options);
  require_samples(graph, training, "training");
  require_samples(graph, validation, "validation");
  return train_backend().train(graph, training, validation, options);
}

TrainResult train_quantized(const Graph& graph, const Graph* float_graph, const Dataset& training,
                            const Dataset& validation, const TrainOptions& options) {
  check_options(options);
  require_samples(graph, training, "training");
  require_samples(graph, validation, "validation");
  if (float_graph == nullptr) {
    return train_backend().train_quantized(graph, nullptr, training, validation, options);
  }
  // quantize() folded batch normalisations and constants: so must the network it started from.
  const Graph prepared = prepare_for_quantization(*float_graph);
  return train_backend().train_quantized(graph, &prepared, training, validation, options);
}

}  // namespace nibble
