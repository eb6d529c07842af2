// Finds and loads libnibble_train.so, and forwards the training verbs to it.
#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "base/check.h"
#include "nibble/quantize.h"
#include "nibble/train.h"
#include "nibble/version.h"
#include "ranges/binding.h"
#include "tensor/agree.h"
#include "train/backend.h"
#include "train/patient_progress.h"
#include "train/services.h"

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

TrainLibraryFinder library_finder = nullptr;

const TrainBackend* load() {
  std::string reason;
  std::vector<std::string> paths = {beside_this_library(), kLibrary};
  if (library_finder != nullptr) {
    if (std::string found = library_finder(); !found.empty()) paths = {std::move(found)};
  }
  for (const std::string& path : paths) {
    // Never closed: libtorch's threads and registries outlive any use of it.
    if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
      const auto entry = reinterpret_cast<decltype(&nibble_train_backend)>(dlsym(library, kEntry));
      if (const TrainBackend* backend = entry ? entry(version().data()) : nullptr) return backend;
      fail(ErrorCode::unsupported, "{} is of another version of Nibble than this one", path);
    }
    if (reason.empty() || std::filesystem::exists(path)) reason = dlerror();
  }
  if (std::filesystem::exists(paths.front())) {
    fail(ErrorCode::unsupported,
         "training needs libtorch, which could not be loaded ({}); install it (Debian: apt install "
         "libtorch1.13{})",
         reason, library_finder != nullptr ? ", Python: pip install nibble[train]" : "");
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
  bind_samples(graph, data);  // throws if the samples do not fit
}

void require_labels(const Dataset& data, std::string_view instead) {
  if (data.classes() > 0) return;
  fail(ErrorCode::invalid_data, "{}: the samples have no labels; {}", data.describe(), instead);
}

// What is minimised needs labels, or something to learn from.
void require_lesson(const Dataset& data, const TrainOptions& options) {
  const bool labelled = data.classes() > 0;
  if (learns_from_teacher(options.loss, labelled)) {
    if (options.teacher != nullptr) return;
    fail(ErrorCode::invalid_argument,
         "{}: {}; name the float model that this one was quantized from with --teacher FLOAT.onnx, "
         "whose outputs are then learned{}",
         data.describe(),
         labelled ? "the loss compares with a teacher, and none is given"
                  : "the samples have no labels, and there is no teacher",
         labelled ? "" : ", or give samples with labels");
  }
  require_labels(data,
                 "the loss compares with labels: leave --loss out, or give samples with labels");
}

std::string names_of(const Graph& graph, const std::vector<ValueId>& values) {
  std::string text;
  for (const ValueId id : values) {
    text += fmt::format("{}'{}' {}", text.empty() ? "" : ", ", graph.value(id).name,
                        to_string(graph.value(id).type));
  }
  return text;
}

bool agree(const TensorType& a, const TensorType& b) {
  if (a.dtype != b.dtype) return false;
  if (!a.shape.has_rank() || !b.shape.has_rank()) return true;
  return a.shape.rank() == b.shape.rank() && nibble::agree(a.shape.dims(), b.shape.dims());
}

void require_same(const Graph& graph, const Graph& teacher, std::vector<ValueId> Graph::*list,
                  std::string_view what) {
  const auto find = [&](const Graph& in, const std::string& name) {
    return std::ranges::find_if(in.*list, [&](ValueId id) { return in.value(id).name == name; });
  };
  const auto refuse = [&](const std::string& name, std::string_view problem) {
    fail(ErrorCode::invalid_argument,
         "the teacher does not fit: {} '{}' {}; the model has {}, the teacher {}. A teacher is the "
         "float model that the quantized one was made from",
         what, name, problem, names_of(graph, graph.*list), names_of(teacher, teacher.*list));
  };
  for (const ValueId id : graph.*list) {
    const Value& value = graph.value(id);
    const auto found = find(teacher, value.name);
    if (found == (teacher.*list).end()) refuse(value.name, "is not one of the teacher's");
    TensorType mine = value.type;
    mine.quant.reset();
    if (!agree(mine, teacher.value(*found).type)) refuse(value.name, "is of another type");
  }
  for (const ValueId id : teacher.*list) {
    const std::string& name = teacher.value(id).name;
    if (find(graph, name) == (graph.*list).end()) refuse(name, "is the teacher's alone");
  }
}

void require_fit(const Graph& graph, const Graph& teacher) {
  for (int32_t i = 0; i < teacher.value_count(); ++i) {
    if (!teacher.value({i}).type.quant) continue;
    fail(ErrorCode::invalid_argument,
         "the teacher is quantized itself ('{}' is {}): give the float model",
         teacher.value({i}).name, to_string(teacher.value({i}).type));
  }
  require_same(graph, teacher, &Graph::inputs, "input");
  require_same(graph, teacher, &Graph::outputs, "output");
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
  require(options.accumulate >= 1, "accumulate must be at least 1");
  require(options.crop_padding >= 0, "crop_padding must not be negative");
  require(options.brightness >= 0 && options.contrast >= 0 && options.saturation >= 0,
          "brightness, contrast and saturation must not be negative");
  require(options.cutout >= 0, "cutout must not be negative");
  require(options.mixup >= 0 && options.mixup <= 4, "mixup must be in [0, 4]");
  require(options.patience >= 0, "patience must not be negative");
  require(options.log_every >= 1, "log_every must be at least 1");
  require(options.distill >= 0 && options.distill <= 1, "distill must be in [0, 1]");
  require(options.checkpoint_every >= 0, "checkpoint_every must not be negative");
  require(options.checkpoint_seconds >= 0, "checkpoint_seconds must not be negative");
  if (!options.resume) return;
  if (options.checkpoint.empty()) {
    fail(ErrorCode::invalid_argument,
         "--resume: say what to go on from with --checkpoint FILE, which the stopped training was "
         "given too");
  }
  const bool reads = options.ranks == nullptr || options.ranks->rank() == 0;
  if (reads && !std::filesystem::exists(options.checkpoint)) {
    fail(ErrorCode::io,
         "--resume: there is no checkpoint {} to go on from; leave --resume out to begin",
         options.checkpoint);
  }
}

// States go from sample to sample, and cannot be dealt out.
void check_ranks(const Graph& graph, const Dataset& training, const TrainOptions& options) {
  if (options.ranks == nullptr || options.ranks->size() == 1) return;
  const int ranks = options.ranks->size();
  if (bind_samples(graph, training).carries()) {
    fail(ErrorCode::unsupported,
         "the network carries states from sample to sample: one rank has to train it, not {}",
         ranks);
  }
  const int64_t step = int64_t{options.batch} * options.accumulate;
  const int64_t steps = (training.size() + step - 1) / step;
  const int64_t least = training.size() / steps / options.accumulate;
  if (least >= ranks) return;
  fail(ErrorCode::invalid_argument,
       "{} samples are seen at once, which cannot be dealt out to {} ranks: use a larger --batch "
       "(it counts the samples of all ranks), or fewer ranks",
       least, ranks);
}

void add_judge(TrainOptions& options, const Dataset& validation) {
  if (options.metric.empty() || options.judge) return;
  options.judge = train_services().judge(options, validation);
}

}  // namespace

const TrainBackend& train_backend() {
  static const TrainBackend* backend = load();
  return *backend;
}

void set_train_library_finder(TrainLibraryFinder finder) { library_finder = finder; }

bool learns_from_teacher(Loss loss, bool labelled) {
  if (loss == Loss::automatic) return !labelled;
  return loss != Loss::cross_entropy && loss != Loss::binary;
}

std::shared_ptr<Ranks> join_ranks(const RankPlace& place) { return train_backend().join(place); }

TrainResult train(const Graph& graph, const Dataset& training, const Dataset& validation,
                  const TrainOptions& options) {
  check_options(options);
  require_samples(graph, training, "training");
  require_samples(graph, validation, "validation");
  require_labels(training, "training from scratch needs them");
  require_labels(validation, "training from scratch needs them");
  if (learns_from_teacher(options.loss, true)) {
    fail(ErrorCode::invalid_argument,
         "the loss compares with a teacher, which training from scratch does not have: "
         "cross_entropy and binary are for it");
  }
  check_ranks(graph, training, options);
  TrainOptions chosen = options;
  PatientProgress patient(options.progress);
  if (options.ranks != nullptr) chosen.progress = &patient;
  add_judge(chosen, validation);
  return train_backend().train(graph, training, validation, chosen);
}

TrainResult train_quantized(const Graph& graph, const Graph* float_graph, const Dataset& training,
                            const Dataset& validation, const TrainOptions& options) {
  check_options(options);
  require_samples(graph, training, "training");
  require_samples(graph, validation, "validation");
  check_ranks(graph, training, options);
  TrainOptions chosen = options;
  PatientProgress patient(options.progress);
  if (options.ranks != nullptr) chosen.progress = &patient;
  // quantize() folded batch normalisations and constants: so must the network it started from.
  std::optional<Graph> start, teacher;
  if (float_graph != nullptr) start = prepare_for_quantization(*float_graph);
  if (options.teacher != nullptr) {
    require_fit(graph, *options.teacher);
    teacher = prepare_for_quantization(*options.teacher);
  }
  chosen.teacher = teacher ? &*teacher : start ? &*start : nullptr;
  require_lesson(training, chosen);
  require_lesson(validation, chosen);
  add_judge(chosen, validation);
  return train_backend().train_quantized(graph, start ? &*start : nullptr, training, validation,
                                         chosen);
}

}  // namespace nibble
