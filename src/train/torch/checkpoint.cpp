// Checkpoints: all that the training loop needs to go on as if it had never stopped. Nothing else
// has a state: order, augmentation and dropout follow from seed, epoch and step.
#include <filesystem>
#include <sstream>

#include "base/check.h"
#include "base/file.h"
#include "train/torch/trainer.h"

namespace nibble {
namespace {

constexpr int64_t kEpochFields = 6;

torch::Tensor epochs_to_tensor(const std::vector<Epoch>& epochs) {
  torch::Tensor table =
      torch::empty({static_cast<int64_t>(epochs.size()), kEpochFields}, torch::kDouble);
  auto* out = table.data_ptr<double>();
  for (const Epoch& epoch : epochs) {
    for (double field : {epoch.train_loss, epoch.validation_loss, epoch.validation_accuracy,
                         static_cast<double>(epoch.validation_samples), epoch.learning_rate,
                         epoch.validation_sqnr_db}) {
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
  }
  return epochs;
}

void write_all(torch::serialize::OutputArchive& archive, const std::string& key,
               const std::vector<torch::Tensor>& tensors) {
  for (size_t i = 0; i < tensors.size(); ++i)
    archive.write(fmt::format("{}{}", key, i), tensors[i]);
}

std::vector<torch::Tensor> read_all(torch::serialize::InputArchive& archive, const std::string& key,
                                    size_t count) {
  std::vector<torch::Tensor> tensors(count);
  for (size_t i = 0; i < count; ++i) archive.read(fmt::format("{}{}", key, i), tensors[i]);
  return tensors;
}

}  // namespace

// What must be the same for a checkpoint to be continued.
std::string Trainer::fingerprint() const {
  const TrainOptions& o = options_;
  std::string text = fmt::format(
      "nibble checkpoint 2: optimizer {}, loss {}, epochs {}, batch {}, rate {}, warm-up {}, "
      "momentum {}, "
      "decay {}, smoothing {}, flip {}, crop {}, distill {}, seed {}, samples {}+{}, network",
      static_cast<int>(o.optimizer), static_cast<int>(o.loss), o.epochs, o.batch, o.learning_rate,
      o.warmup_epochs, o.momentum, o.weight_decay, o.label_smoothing, o.flip, o.crop_padding,
      o.distill, o.seed, training_.size(), validation_.size());
  if (network_.keeps_pairs_safe()) text += " of safe pairs";
  for (const Parameter& parameter : network_.parameters()) {
    text += fmt::format(" {}[{}]", parameter.name, fmt::join(parameter.tensor.sizes(), ","));
  }
  return text;
}

void Trainer::save_checkpoint() {
  torch::serialize::OutputArchive archive, optimizer;
  archive.write("fingerprint", c10::IValue(fingerprint()));
  archive.write("start", epochs_to_tensor({result_.start}));
  archive.write("epochs", epochs_to_tensor(result_.epochs));
  archive.write("best_epoch", torch::tensor(result_.best_epoch, torch::kLong));
  write_all(archive, "state", network_.state());
  write_all(archive, "best", best_);
  optimizer_->save(optimizer);
  archive.write("optimizer", optimizer);
  std::ostringstream bytes;
  archive.save_to(bytes);
  write_file(options_.checkpoint, bytes.str());
}

bool Trainer::resume() {
  if (!std::filesystem::exists(options_.checkpoint)) return false;
  std::istringstream bytes(read_file(options_.checkpoint));
  torch::serialize::InputArchive archive, optimizer;
  try {
    archive.load_from(bytes, device_);  // whatever device it was written on
    c10::IValue saved;
    archive.read("fingerprint", saved);
    if (saved.toStringRef() != fingerprint()) {
      fail(ErrorCode::invalid_argument,
           "checkpoint {} is of a run with another network, data set or options; remove it or name "
           "another file",
           options_.checkpoint);
    }
    torch::Tensor start, epochs, best_epoch;
    archive.read("start", start);
    archive.read("epochs", epochs);
    archive.read("best_epoch", best_epoch);
    const size_t count = network_.state().size();
    network_.set_state(read_all(archive, "state", count));
    best_ = read_all(archive, "best", count);
    archive.read("optimizer", optimizer);
    optimizer_->load(optimizer);
    result_.start = epochs_from_tensor(start)[0];
    result_.epochs = epochs_from_tensor(epochs);
    result_.best_epoch = static_cast<int>(best_epoch.item<int64_t>());
  } catch (const c10::Error&) {
    fail(ErrorCode::invalid_data, "checkpoint {} is damaged; remove it to start again",
         options_.checkpoint);
  }
  return true;
}

}  // namespace nibble
