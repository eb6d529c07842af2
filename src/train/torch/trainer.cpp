#include "train/torch/trainer.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/machine.h"
#include "base/ordered_sum.h"
#include "base/packing.h"
#include "train/log/log.h"
#include "train/patient_progress.h"
#include "train/services.h"
#include "train/torch/tensors.h"

namespace nibble {
namespace {

const Graph* graph_of(const Network* teacher) {
  return teacher != nullptr ? &teacher->graph() : nullptr;
}

int64_t steps_of(const Dataset& data, const TrainOptions& options) {
  const int64_t step = int64_t{options.batch} * options.accumulate;
  return (data.size() + step - 1) / step;
}

// Of all ranks, the same as one would add up.
Tally total_of(const OrderedSum<Tally>& tallies, RankGroup* ranks) {
  if (ranks == nullptr) return tallies.total();
  Packer mine;
  mine.put(tallies.runs().size());
  for (const auto& [first, last, tally] : tallies.runs()) {
    mine.put(first);
    mine.put(last);
    mine.put(tally.loss);
    mine.put(tally.samples);
    mine.put(tally.correct);
    mine.put(tally.signal);
    mine.put(tally.error);
  }
  OrderedSum<Tally> all;
  for (const std::string& bytes : ranks->gather(mine.take())) {
    Unpacker packed(bytes);
    for (auto left = packed.get<size_t>(); left > 0; --left) {
      OrderedSum<Tally>::Run run;
      run.first = packed.get<int64_t>();
      run.last = packed.get<int64_t>();
      run.part = {.loss = packed.get<double>(),
                  .samples = packed.get<int64_t>(),
                  .correct = packed.get<int64_t>(),
                  .signal = packed.list<double>(),
                  .error = packed.list<double>()};
      all.append(std::move(run));
    }
  }
  return all.total();
}

}  // namespace

int choose_threads(int64_t multiply_adds, int threads) {
  constexpr int64_t kWorthATeam = 500'000'000;
  if (threads > 0) return threads;
  return multiply_adds < kWorthATeam ? 1 : cores();
}

Trainer::Trainer(Network& network, Network* teacher, const Dataset& training,
                 const Dataset& validation, const TrainOptions& options, torch::Device device)
    : network_(network),
      teacher_(teacher),
      training_(training),
      validation_(validation),
      options_(options),
      group_(options.ranks != nullptr && options.ranks->size() > 1 ? as_group(options.ranks)
                                                                   : nullptr),
      device_(device),
      feed_(Feed::of(network.graph(), graph_of(teacher), training, options.batch, options.threads)),
      validation_feed_(Feed::of(network.graph(), graph_of(teacher), validation,
                                std::max(options.batch, 64), options.threads)),
      objective_(network.graph(), graph_of(teacher), training, options),
      student_(network, network.graph(), feed_, objective_.wanted()),
      steps_per_epoch_(steps_of(training, options)),
      schedule_(options, steps_per_epoch_),
      mover_(network, options, !objective_.labelled()) {
  if (options.mixup > 0) require_mixable();
  if (options.ranks != nullptr && options.ranks->size() > 1 && group_ == nullptr) {
    fail(ErrorCode::invalid_argument, "the ranks that train together are made by join_ranks()");
  }
  if (group_ != nullptr) {
    require_shareable();
    sum_.emplace(network, *group_);
  }
  if (teacher != nullptr) {
    teacher_player_.emplace(*teacher, network.graph(), feed_, objective_.wanted_of_teacher());
  }
  result_.labelled = objective_.labelled();
  if (options.judge) result_.metric = options.judge->metric;
}

void Trainer::require_mixable() const {
  if (feed_.in_sequence()) {
    fail(ErrorCode::invalid_argument,
         "--mixup: the samples follow on one another, and cannot be mixed");
  }
  for (const Field& field : training_.fields()) {
    if (is_float(field.dtype) || field.dtype == DType::u8) continue;
    fail(ErrorCode::invalid_argument, "--mixup: '{}' holds {}, which cannot be mixed", field.name,
         name_of(field.dtype));
  }
}

void Trainer::require_shareable() const {
  if (const auto node = network_.branching()) {
    fail(ErrorCode::unsupported,
         "{} chooses what is run: one rank has to train this network, not {}",
         describe(network_.graph().node(*node)), group_->size());
  }
  if (feed_.fills) {
    fail(ErrorCode::unsupported,
         "the network takes {} samples and no fewer, which cannot be dealt out: one rank has to "
         "train it, not {}",
         feed_.batch, group_->size());
  }
}

// What is not the same everywhere would show as nonsense, or not at all.
void Trainer::agree_on_options() {
  const RunFacts mine = told_facts(training_, validation_, options_, device_);
  const std::vector<std::string> all = group_->gather(to_json(mine));
  for (size_t rank = 0; rank < all.size(); ++rank) {
    const std::string other = differences(facts_from_json(all[0]), facts_from_json(all[rank]));
    if (other.empty()) continue;
    fail(ErrorCode::invalid_argument, "rank {} was started with other options than rank 0: {}",
         rank, other);
  }
}

// Ranks move their parameters by the same sums; that they stay alike is made sure of, as machines
// may differ in what they are.
void Trainer::copy_state_of_first() {
  std::vector<torch::Tensor> state;
  for (const torch::Tensor& tensor : network_.state()) {
    state.push_back(tensor.clone());
    group_->copy_from_first(state.back());
  }
  network_.set_state(state);
}

std::vector<torch::Tensor> Trainer::ask_teacher(Player& teacher, const Batch& batch) const {
  const torch::NoGradGuard no_gradient;
  return teacher.run(batch, {});
}

// What cannot be trained is said before anything is.
void Trainer::try_out() {
  const torch::NoGradGuard no_gradient;
  const auto batch = Batches::in_order(training_, feed_, 1, options_.threads, device_).next();
  Player student(network_, network_.graph(), feed_, objective_.wanted());
  const auto outputs = student.run(*batch, {});
  options_.threads =
      choose_threads(network_.multiply_adds() / std::max<int64_t>(batch->count, 1) * feed_.batch,
                     options_.threads);
  torch::set_num_threads(options_.threads);
  std::vector<torch::Tensor> wanted;
  if (teacher_ != nullptr) {
    Player teacher(*teacher_, network_.graph(), feed_, objective_.wanted_of_teacher());
    wanted = ask_teacher(teacher, *batch);
  }
  objective_.loss(outputs, wanted, *batch);
}

// Powers of the teacher's outputs: of samples drawn at random, of sequences all (they may begin
// with silence).
void Trainer::measure_teacher() {
  if (!objective_.needs_measuring()) return;
  const int64_t enough =
      feed_.in_sequence() ? training_.size() : std::min<int64_t>(training_.size(), 256);
  Player teacher(*teacher_, network_.graph(), feed_, objective_.wanted_of_teacher());
  Batches batches = Batches::shuffled(training_, feed_, options_, 0, 0, device_);
  int64_t seen = 0;
  while (seen < enough) {
    const auto batch = batches.next();
    objective_.measure(ask_teacher(teacher, *batch), *batch);
    seen += batch->count;
    report_progress(options_.progress, "asking the teacher", std::min(seen, enough), enough);
  }
  objective_.settle();
}

torch::Tensor Trainer::loss_of(const Batch& batch, int64_t step) {
  std::vector<torch::Tensor> wanted;
  if (teacher_player_) wanted = ask_teacher(*teacher_player_, batch);
  // Statistics of part of what is to be seen at once would be those of too few samples; and what a
  // teacher is learned by is the network as it will run.
  const uint64_t seed = options_.seed * 1'000'003 + static_cast<uint64_t>(step);
  const Network::Mode mode{
      .training = objective_.labelled() && batch.whole,
      .seed = seed + 0x9e3779b97f4a7c15ULL * static_cast<uint64_t>(batch.number),
      .among = batch.among};
  const torch::Tensor loss = objective_.loss(student_.run(batch, mode), wanted, batch);
  if (batch.count == batch.step_samples) return loss;
  return loss * (static_cast<double>(batch.count) / static_cast<double>(batch.step_samples));
}

void Trainer::update(double loss, int64_t samples) {
  if (!std::isfinite(loss)) {
    fail(ErrorCode::invalid_argument,
         "the loss became {} in epoch {}, step {}: lower the learning rate (now {}), lengthen the "
         "warm-up, or look for NaN and infinities in the data",
         loss, position_.epoch + 1, position_.step + 1, options_.learning_rate);
  }
  mover_.step(schedule_.at(global_step()));
  network_.project_scales();
  position_.loss += loss * static_cast<double>(samples);
  ++position_.step;
}

void Trainer::tell_step(const Batches& batches, double loss, int64_t samples) {
  pace_.step(samples, batches.waited());
  const int64_t done = global_step(), steps = options_.epochs * steps_per_epoch_;
  const TrainStep step{
      .epoch = position_.epoch,
      .step = done,
      .steps = steps,
      .loss = loss,
      .learning_rate = schedule_.at(done - 1),
      .samples_per_second = pace_.samples_per_second(),
      .waiting = pace_.waiting(),
      .seconds_left = pace_.seconds_for(steps - done, options_.epochs - position_.epoch)};
  for (TrainObserver* observer : observers_) observer->on_step(step);
}

// From where it stands.
void Trainer::train_epoch() {
  const std::string stage =
      fmt::format("training, epoch {} of {}", position_.epoch + 1, options_.epochs);
  report_progress(options_.progress, stage, position_.step, steps_per_epoch_);
  if (position_.step == steps_per_epoch_) return;
  if (group_ != nullptr) copy_state_of_first();
  Batches batches = Batches::shuffled(training_, feed_, options_, position_.epoch, position_.step,
                                      device_, group_);
  const auto* patient = dynamic_cast<const PatientProgress*>(options_.progress);
  double step_loss = 0;
  torch::Tensor open;  // of a walk along a sequence: differentiated at its end
  mover_.forget_gradients();
  pace_.start();
  while (const auto batch = batches.next()) {
    const torch::Tensor loss = loss_of(*batch, global_step());
    step_loss += loss.item<double>();
    if (feed_.in_sequence()) {
      open = open.defined() ? open + loss : loss;
    } else if (sum_) {
      sum_->backward(loss, batch->ends_step);
    } else if (std::isfinite(step_loss)) {
      loss.backward();
    }
    if (!batch->ends_whole) continue;
    if (open.defined() && std::isfinite(step_loss)) open.backward();
    open = torch::Tensor();
    student_.detach();
    if (!batch->ends_step) continue;
    StepSums sums{.loss = step_loss};
    if (sum_) sums = sum_->finish({step_loss, patient != nullptr && patient->asked_to_stop()});
    update(sums.loss, batch->step_samples);
    tell_step(batches, sums.loss, batch->step_samples);
    step_loss = 0;
    if (sums.stop) fail(ErrorCode::cancelled, "stopped by the user");
    if (wants_checkpoint()) {
      save_checkpoint();
      pace_.start();
    }
    report_progress(options_.progress, stage, position_.step, steps_per_epoch_);
  }
}

void Trainer::validate(Epoch& epoch) {
  const torch::NoGradGuard no_gradient;
  Batches batches = Batches::in_order(validation_, validation_feed_, std::max(options_.batch, 64),
                                      options_.threads, device_, group_);
  Player student(network_, network_.graph(), validation_feed_, objective_.wanted());
  std::optional<Player> teacher;
  if (teacher_ != nullptr && !objective_.labelled()) {
    teacher.emplace(*teacher_, network_.graph(), validation_feed_, objective_.wanted_of_teacher());
  }
  std::optional<OrderedSum<Tally>> tallies;
  int64_t seen = 0;
  while (const auto batch = batches.next()) {
    report_progress(options_.progress, "validation", seen, validation_.size());
    std::vector<torch::Tensor> wanted;
    if (teacher) wanted = ask_teacher(*teacher, *batch);
    Tally tally;
    objective_.judge(student.run(*batch, {}), wanted, *batch, tally);
    if (!tallies) tallies.emplace(batch->first);
    tallies->add(batch->first, std::move(tally));
    seen += batch->count * (group_ != nullptr ? group_->size() : 1);
  }
  const Tally tally = total_of(tallies ? *tallies : OrderedSum<Tally>(), group_);
  const auto samples = static_cast<double>(tally.samples);
  epoch.validation_samples = tally.samples;
  epoch.validation_accuracy = static_cast<double>(tally.correct) / samples;
  epoch.validation_loss = tally.loss / samples;
  epoch.validation_sqnr_db = tally.sqnr_db();
  if (options_.judge) {
    epoch.score = options_.judge->score(network_.to_graph());
  } else if (objective_.labelled()) {
    epoch.score = train_services().proportion(tally.correct, tally.samples);
  }
}

// Without labels all accuracies are zero. A score that is not a number is worse than any.
bool Trainer::is_better(const Epoch& epoch, const Epoch& other) const {
  const auto rank = [&](const Epoch& e) {
    double value = e.validation_accuracy;
    if (options_.judge) value = options_.judge->larger_is_better ? e.score->value : -e.score->value;
    if (std::isnan(value)) value = -std::numeric_limits<double>::infinity();
    return std::pair(value, -e.validation_loss);
  };
  return rank(epoch) > rank(other);
}

bool Trainer::lost_patience() const {
  const auto since_best = std::ssize(result_.epochs) - (result_.best_epoch + 1);
  return options_.patience > 0 && since_best >= options_.patience;
}

void Trainer::keep_best() {
  best_.clear();
  for (const torch::Tensor& tensor : network_.state()) best_.push_back(tensor.clone());
}

void Trainer::end_epoch() {
  const auto begun = Clock::now();
  Epoch done;
  done.train_loss = position_.loss / static_cast<double>(training_.size());
  done.learning_rate = schedule_.at(global_step() - 1);
  validate(done);
  // What got no better than it was stays as it was.
  const bool best = is_better(done, result_.best());
  for (TrainObserver* observer : observers_) {
    observer->on_epoch(position_.epoch, global_step(), done, best);
  }
  result_.epochs.push_back(done);
  if (best) {
    result_.best_epoch = position_.epoch;
    keep_best();
  }
  position_ = {.epoch = position_.epoch + 1};
  pace_.validated(Clock::now() - begun);
  if (has_checkpoint()) save_checkpoint();
}

TrainResult Trainer::run() {
  if (group_ != nullptr) agree_on_options();
  if (has_checkpoint()) open_checkpoint();
  try_out();
  measure_teacher();
  const bool resumes = checkpoint_ != nullptr;
  if (resumes) {
    restore();
  } else {
    if (group_ != nullptr) copy_state_of_first();
    validate(result_.start);
    keep_best();
  }
  // Rank 0 alone writes.
  if (!is_first()) options_.log = options_.tensorboard = "";
  logs_ = open_logs(options_, {.resumes = resumes,
                               .step = global_step(),
                               .epochs = position_.epoch,
                               .steps_per_epoch = steps_per_epoch_,
                               .training_samples = training_.size(),
                               .validation_samples = validation_.size(),
                               .labelled = result_.labelled});
  for (const auto& log : logs_) {
    observers_.push_back(log.get());
    if (!resumes) log->on_start(result_.start);
  }
  if (options_.observer != nullptr) {
    observers_.push_back(options_.observer);
    options_.observer->on_start(result_.epochs.empty() ? result_.start : result_.epochs.back());
  }
  saved_ = Clock::now();
  try {
    while (position_.epoch < options_.epochs && !lost_patience()) {
      train_epoch();
      end_epoch();
    }
  } catch (const LostRank& error) {
    throw LostRank(error.message(), error.told_here());  // whatever was computed
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) stop_for_now();
    throw;
  }
  result_.stopped_early = position_.epoch < options_.epochs;
  network_.set_state(best_);
  result_.graph = network_.to_graph();
  return std::move(result_);
}

}  // namespace nibble
