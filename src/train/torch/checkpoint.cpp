// Checkpoints: all that the training loop needs to go on as if it had never stopped. Nothing else
// has a state: order, augmentation and dropout follow from seed, epoch, step and sample.
#include <filesystem>
#include <sstream>

#include "base/check.h"
#include "base/file.h"
#include "train/torch/trainer.h"

namespace nibble {
namespace {

using torch::serialize::InputArchive;
using torch::serialize::OutputArchive;

// Of what is in the file.
constexpr int64_t kSchema = 3;
constexpr int64_t kEpochFields = 11;

torch::Tensor epochs_to_tensor(const std::vector<Epoch>& epochs) {
  torch::Tensor table =
      torch::empty({static_cast<int64_t>(epochs.size()), kEpochFields}, torch::kDouble);
  auto* out = table.data_ptr<double>();
  for (const Epoch& epoch : epochs) {
    const EpochScore score = epoch.score.value_or(EpochScore{});
    for (double field : {epoch.train_loss, epoch.validation_loss, epoch.validation_accuracy,
                         static_cast<double>(epoch.validation_samples), epoch.learning_rate,
                         epoch.validation_sqnr_db, epoch.score ? 1.0 : 0.0, score.value, score.low,
                         score.high, static_cast<double>(score.samples)}) {
      *out++ = field;
    }
  }
  return table;
}

std::vector<Epoch> epochs_from_tensor(const torch::Tensor& read) {
  const torch::Tensor table = read.cpu();
  std::vector<Epoch> epochs;
  const auto* in = table.data_ptr<double>();
  for (int64_t i = 0; i < table.size(0); ++i, in += kEpochFields) {
    epochs.push_back({.train_loss = in[0],
                      .validation_loss = in[1],
                      .validation_accuracy = in[2],
                      .validation_samples = static_cast<int64_t>(in[3]),
                      .validation_sqnr_db = in[5],
                      .learning_rate = in[4]});
    if (in[6] == 0) continue;
    epochs.back().score = {in[7], in[8], in[9], static_cast<int64_t>(in[10])};
  }
  return epochs;
}

void write_all(OutputArchive& archive, const std::string& key,
               const std::vector<torch::Tensor>& tensors) {
  archive.write(key, torch::tensor(static_cast<int64_t>(tensors.size())));
  for (size_t i = 0; i < tensors.size(); ++i)
    archive.write(fmt::format("{}{}", key, i), tensors[i]);
}

torch::Tensor read_one(InputArchive& archive, const std::string& key) {
  torch::Tensor tensor;
  archive.read(key, tensor);
  return tensor;
}

std::vector<torch::Tensor> read_all(InputArchive& archive, const std::string& key) {
  std::vector<torch::Tensor> tensors(static_cast<size_t>(read_one(archive, key).item<int64_t>()));
  for (size_t i = 0; i < tensors.size(); ++i) {
    tensors[i] = read_one(archive, fmt::format("{}{}", key, i));
  }
  return tensors;
}

}  // namespace

bool Trainer::has_checkpoint() const { return !options_.checkpoint.empty(); }

bool Trainer::wants_checkpoint() const {
  if (!has_checkpoint()) return false;
  const bool counted =
      options_.checkpoint_every > 0 && global_step() % options_.checkpoint_every == 0;
  const std::chrono::duration<double> age = Clock::now() - saved_;
  return counted || age.count() >= options_.checkpoint_seconds;
}

// Reads the file, if there is one, and compares what it is of; restore() takes the rest.
void Trainer::open_checkpoint() {
  facts_ = facts_of(network_, teacher_, training_, validation_, options_, device_);
  // Rank 0 reads it for all.
  std::string file;
  if (is_first() && std::filesystem::exists(options_.checkpoint)) {
    file = read_file(options_.checkpoint);
  }
  if (group_ != nullptr) file = group_->text_of_first(file);
  if (file.empty() && !(group_ == nullptr && std::filesystem::exists(options_.checkpoint))) return;
  std::istringstream bytes(std::move(file));
  auto archive = std::make_unique<InputArchive>();
  RunFacts before;
  int64_t threads = 0, ranks = 1;
  try {
    archive->load_from(bytes, device_);
    c10::IValue text;
    if (!archive->try_read("facts", text) ||
        read_one(*archive, "schema").item<int64_t>() != kSchema) {
      fail(ErrorCode::invalid_data,
           "checkpoint {} was written by another version of Nibble; remove it to begin anew",
           options_.checkpoint);
    }
    before = facts_from_json(text.toStringRef());
    threads = read_one(*archive, "threads").item<int64_t>();
    torch::Tensor many;
    if (archive->try_read("ranks", many)) ranks = many.item<int64_t>();
  } catch (const c10::Error&) {
    fail(ErrorCode::invalid_data, "checkpoint {} is damaged; remove it to begin anew",
         options_.checkpoint);
  }
  // Sums depend on the number of threads: one that nobody asked for is the checkpoint's. They
  // depend on the ranks too, which need not be as many as they were.
  if (group_ != nullptr || ranks > 1) {
    before.back() = facts_.back();
  } else if (options_.threads == 0 || options_.threads == threads) {
    options_.threads = static_cast<int>(threads);
    before.back() = facts_.back();
  } else {
    before.back().second = std::to_string(threads);
  }
  const std::string other = differences(before, facts_);
  if (!other.empty()) {
    fail(ErrorCode::invalid_argument,
         "checkpoint {} is of another training: {}. Give what it was given to go on, or remove the "
         "file (or name another) to begin anew",
         options_.checkpoint, other);
  }
  checkpoint_ = std::move(archive);
}

void Trainer::save_checkpoint() {
  if (!is_first()) return;  // it has nothing that rank 0 has not
  OutputArchive archive, optimizer;
  archive.write("schema", torch::tensor(kSchema));
  archive.write("facts", c10::IValue(to_json(facts_)));
  archive.write("threads", torch::tensor(static_cast<int64_t>(options_.threads)));
  archive.write("ranks", torch::tensor(static_cast<int64_t>(group_ ? group_->size() : 1)));
  archive.write("position", torch::tensor({static_cast<int64_t>(position_.epoch), position_.step}));
  archive.write("loss", torch::tensor(position_.loss, torch::kDouble));
  archive.write("start", epochs_to_tensor({result_.start}));
  archive.write("epochs", epochs_to_tensor(result_.epochs));
  archive.write("best_epoch", torch::tensor(static_cast<int64_t>(result_.best_epoch)));
  write_all(archive, "state", network_.state());
  write_all(archive, "best", best_);
  write_all(archive, "carried", student_.states());
  write_all(archive, "carried_by_teacher",
            teacher_player_ ? teacher_player_->states() : std::vector<torch::Tensor>{});
  mover_.save(optimizer);
  archive.write("optimizer", optimizer);
  std::ostringstream bytes;
  archive.save_to(bytes);
  write_file(options_.checkpoint, bytes.str());
  saved_ = Clock::now();
}

void Trainer::restore() {
  InputArchive& archive = *checkpoint_;
  try {
    const torch::Tensor position = read_one(archive, "position");
    position_ = {.epoch = static_cast<int>(position[0].item<int64_t>()),
                 .step = position[1].item<int64_t>(),
                 .loss = read_one(archive, "loss").item<double>()};
    result_.start = epochs_from_tensor(read_one(archive, "start"))[0];
    result_.epochs = epochs_from_tensor(read_one(archive, "epochs"));
    result_.best_epoch = static_cast<int>(read_one(archive, "best_epoch").item<int64_t>());
    network_.set_state(read_all(archive, "state"));
    best_ = read_all(archive, "best");
    const std::vector<torch::Tensor> carried = read_all(archive, "carried");
    if (!carried.empty()) student_.set_states(carried);
    const std::vector<torch::Tensor> taught = read_all(archive, "carried_by_teacher");
    if (teacher_player_ && !taught.empty()) teacher_player_->set_states(taught);
    InputArchive optimizer;
    archive.read("optimizer", optimizer);
    mover_.load(optimizer);
  } catch (const c10::Error&) {
    fail(ErrorCode::invalid_data, "checkpoint {} is damaged; remove it to begin anew",
         options_.checkpoint);
  }
  checkpoint_.reset();
}

// Asked to by the user, between two steps.
void Trainer::stop_for_now() {
  const std::string where =
      fmt::format("stopped by the user after step {} of {} in epoch {} of {}", position_.step,
                  steps_per_epoch_, position_.epoch + 1, options_.epochs);
  if (!has_checkpoint()) {
    fail(ErrorCode::cancelled,
         "{}; nothing of it is kept: with --checkpoint FILE the next one can be gone on with",
         where);
  }
  save_checkpoint();
  fail(ErrorCode::cancelled, "{}; the same command goes on from there ({})", where,
       options_.checkpoint);
}

}  // namespace nibble
