// Stopped and gone on with: the same network, bit for bit, wherever it was stopped.
#include <functional>

#include "base/file.h"
#include "nibble/error.h"
#include "support/temp_folder.h"
#include "train/graph_builder.h"
#include "train/teacher_fixtures.h"

namespace nibble {
namespace {

using testing::caught;
using testing::StripedImages;

constexpr int kStepsPerEpoch = 8;

// With what has a state of its own: batch statistics and dropout.
Graph small_network() {
  GraphBuilder net("small", {1, 8, 8}, 7);
  ValueId x = net.conv("conv", net.input(), 4, {.kernel = 3, .padding = 1}, false);
  x = net.relu("relu", net.batch_norm("bn", x));
  x = net.flatten("flatten", net.max_pool("pool", x, 2));
  x = net.dense("fc", net.dropout("dropout", x, 0.2F), 4);
  return std::move(net).finish(x, "out");
}

/// Asks to stop after so many steps of all, or once validation of the epoch after them began.
class StopAfter final : public TrainObserver, public ProgressSink {
 public:
  explicit StopAfter(int64_t step, bool in_validation = false)
      : step_(step), in_validation_(in_validation) {}
  void on_step(const TrainStep& step) override { reached_ = step.step >= step_; }
  void update(std::string_view stage, int64_t, int64_t) override {
    validates_ = stage == "validation";
  }
  bool cancelled() const override { return reached_ && (!in_validation_ || validates_); }

 private:
  int64_t step_;
  bool in_validation_;
  bool reached_ = false, validates_ = false;
};

class checkpoint : public ::testing::Test {
 protected:
  void SetUp() override {
    NIBBLE_NEEDS_TRAINING();
    options_.epochs = 3;
    options_.batch = 16;
    options_.threads = 1;
    options_.flip = true;
    options_.crop_padding = 1;
    options_.brightness = 0.2;
    options_.mixup = 0.3;
  }
  using Training = std::function<TrainResult(const TrainOptions&)>;

  TrainResult run(const TrainOptions& options) const {
    return train(small_network(), training_, validation_, options);
  }
  TrainOptions with_checkpoint() const {
    TrainOptions options = options_;
    options.checkpoint = (folder_ / "training.ckpt").string();
    return options;
  }
  /// Stops `training` so, which says so in a sentence.
  void stop(const Training& training, StopAfter stop) const {
    TrainOptions options = with_checkpoint();
    options.observer = &stop;
    options.progress = &stop;
    const Error error = caught([&] { training(options); });
    EXPECT_EQ(error.code(), ErrorCode::cancelled) << error.what();
    EXPECT_NE(error.message().find("the same command goes on from there"), std::string::npos)
        << error.message();
  }
  void expect_same(const TrainResult& resumed, const TrainResult& whole) const {
    EXPECT_EQ(testing::constants_of(resumed.graph), testing::constants_of(whole.graph));
    EXPECT_EQ(resumed.best_epoch, whole.best_epoch);
    ASSERT_EQ(resumed.epochs.size(), whole.epochs.size());
    for (size_t i = 0; i < whole.epochs.size(); ++i) {
      EXPECT_EQ(resumed.epochs[i].train_loss, whole.epochs[i].train_loss);
      EXPECT_EQ(resumed.epochs[i].validation_loss, whole.epochs[i].validation_loss);
      EXPECT_EQ(resumed.epochs[i].score.has_value(), whole.epochs[i].score.has_value());
    }
  }

  testing::TempFolder folder_;
  const StripedImages training_{16 * kStepsPerEpoch, 4, 1};
  const StripedImages validation_{64, 4, 2};
  TrainOptions options_;
};

TEST_F(checkpoint, stopped_at_any_step_it_goes_on_to_the_same_bits) {
  const Training training = [this](const TrainOptions& options) { return run(options); };
  for (const Optimizer optimizer : {Optimizer::sgd, Optimizer::adamw}) {
    options_.optimizer = optimizer;
    options_.learning_rate = 0.01;
    const TrainResult whole = run(options_);
    for (const int64_t step : {1, 7, 8, 13, 23}) {
      stop(training, StopAfter(step));
      expect_same(run(with_checkpoint()), whole);
      std::filesystem::remove(with_checkpoint().checkpoint);
    }
    stop(training, StopAfter(kStepsPerEpoch, true));
    expect_same(run(with_checkpoint()), whole);
    std::filesystem::remove(with_checkpoint().checkpoint);
  }
}

TEST_F(checkpoint, one_that_was_stopped_again_and_again_ends_in_the_same_bits) {
  const TrainResult whole = run(options_);
  const Training training = [this](const TrainOptions& options) { return run(options); };
  for (const int64_t step : {3, 5, 11, 20}) stop(training, StopAfter(step));
  expect_same(run(with_checkpoint()), whole);
  expect_same(run(with_checkpoint()), whole);  // it is done, and stays so
}

TEST_F(checkpoint, learned_scales_and_the_teacher_go_on_too) {
  const Graph network = prepare_for_quantization(testing::two_outputs());
  const auto samples = testing::normal_samples(48, {2, 8, 8}, 1);
  const auto others = testing::normal_samples(16, {2, 8, 8}, 2);
  const Graph small =
      testing::quantized(network, samples, {.weight_bits = 4, .activation_bits = 4});
  const Training training = [&](TrainOptions options) {
    options.optimizer = Optimizer::adamw;
    options.learning_rate = 0.003;
    options.batch = 8;
    options.flip = false;
    options.crop_padding = 0;
    return train_quantized(small, &network, samples, others, options);
  };
  const TrainResult whole = training(options_);
  stop(training, StopAfter(9));
  expect_same(training(with_checkpoint()), whole);
}

TEST_F(checkpoint, states_that_are_carried_through_a_sequence_go_on_too) {
  const Graph network = testing::with_state();
  const auto samples = testing::normal_samples(60, {4}, 1, network.value(network.inputs[0]).name);
  const Graph prepared = prepare_for_quantization(network);
  const Graph small =
      testing::quantized(prepared, samples, {.weight_bits = 4, .activation_bits = 8});
  const Training training = [&](TrainOptions options) {
    options.optimizer = Optimizer::adamw;
    options.learning_rate = 0.003;
    options.batch = 10;
    options.flip = false;
    options.crop_padding = 0;
    options.brightness = options.mixup = 0;
    return train_quantized(small, &prepared, samples, samples, options);
  };
  const TrainResult whole = training(options_);
  stop(training, StopAfter(8));  // in the middle of the second pass
  expect_same(training(with_checkpoint()), whole);
}

/// Keeps a copy of the checkpoint as it is after each step.
class Watch final : public TrainObserver {
 public:
  explicit Watch(std::string file) : file_(std::move(file)) {}
  void on_step(const TrainStep&) override {
    const bool there = std::filesystem::exists(file_);
    written += there && (seen_.empty() || seen_ != read_file(file_)) ? 1 : 0;
    if (there) seen_ = read_file(file_);
  }
  int written = 0;

 private:
  std::string file_;
  std::string seen_;
};

TEST_F(checkpoint, it_is_written_after_so_many_steps_or_seconds) {
  for (const auto& [every, seconds, times] :
       {std::tuple(2, 300.0, 11), {0, 0.0, 23}, {0, 300.0, 2}}) {
    TrainOptions options = with_checkpoint();
    options.checkpoint_every = every;
    options.checkpoint_seconds = seconds;
    Watch watch(options.checkpoint);
    options.observer = &watch;
    run(options);
    EXPECT_EQ(watch.written, times) << "every " << every << " steps or " << seconds << " seconds";
    std::filesystem::remove(options.checkpoint);
  }
}

TEST_F(checkpoint, one_of_another_training_is_refused_with_what_differs) {
  TrainOptions options = with_checkpoint();
  options.epochs = 1;
  run(options);
  const auto refusal = [&](const std::function<void(TrainOptions&)>& change) {
    TrainOptions other = options;
    change(other);
    const Error error = caught([&] { run(other); });
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    return error.message();
  };
  const auto expect = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(refusal([](TrainOptions& o) { o.seed = 5; }), "--seed was 0 and is 5.");
  expect(refusal([](TrainOptions& o) { o.learning_rate = 0.01; }), "--lr was 0.05 and is 0.01.");
  expect(refusal([](TrainOptions& o) { o.flip = false; }), "--flip was true and is false.");
  expect(refusal([](TrainOptions& o) {
           o.epochs = 2;
           o.batch = 8;
         }),
         "--epochs was 1 and is 2; --batch was 16 and is 8.");
  expect(refusal([](TrainOptions& o) { o.threads = 2; }), "--threads was 1 and is 2.");
  const auto on = [&](const Graph& graph, const Dataset& training) {
    return caught([&] { train(graph, training, validation_, options); }).message();
  };
  expect(on(small_network(), StripedImages(16 * kStepsPerEpoch, 4, 3)),
         "another training: the training samples are others.");
  expect(on(small_network(), StripedImages(100, 4, 1)),
         "the number of training samples was 128 and is 100; the training samples are others.");
  Graph other = small_network();
  for (int32_t i = 0; i < other.value_count(); ++i) {
    Value& value = other.value({i});
    if (value.is_constant() && value.type.dtype == DType::f32) {
      value.data = value.data.clone();
      value.data.data<float>()[0] += 1;
    }
  }
  expect(on(other, training_), "another training: the network is another.");
}

TEST_F(checkpoint, threads_left_to_training_are_those_of_the_checkpoint) {
  TrainOptions options = with_checkpoint();
  options.threads = 2;
  const TrainResult whole = run(options);
  options.threads = 0;
  EXPECT_EQ(testing::constants_of(run(options).graph), testing::constants_of(whole.graph));
}

TEST_F(checkpoint, what_only_keeps_or_tells_may_differ) {
  TrainOptions options = with_checkpoint();
  options.epochs = 1;
  run(options);
  options.checkpoint_every = 3;
  options.resume = true;
  options.log = (folder_ / "log.jsonl").string();
  EXPECT_NO_THROW(run(options));
}

TEST_F(checkpoint, a_damaged_one_is_refused_by_name) {
  TrainOptions options = with_checkpoint();
  options.epochs = 1;
  run(options);
  const std::string bytes = read_file(options.checkpoint);
  write_file(options.checkpoint, std::string_view(bytes).substr(0, bytes.size() / 2));
  const Error error = caught([&] { run(options); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_data);
  EXPECT_NE(error.message().find(options.checkpoint + " is damaged"), std::string::npos);
}

TEST_F(checkpoint, to_resume_there_must_be_one) {
  TrainOptions options = options_;
  options.resume = true;
  EXPECT_NE(caught([&] { run(options); }).message().find("--checkpoint FILE"), std::string::npos);
  options = with_checkpoint();
  options.resume = true;
  const Error error = caught([&] { run(options); });
  EXPECT_EQ(error.code(), ErrorCode::io);
  EXPECT_NE(error.message().find("there is no checkpoint " + options.checkpoint),
            std::string::npos);
}

TEST_F(checkpoint, without_one_a_training_that_is_stopped_says_that_nothing_is_kept) {
  StopAfter stop(9);
  options_.observer = &stop;
  options_.progress = &stop;
  const Error error = caught([&] { run(options_); });
  EXPECT_EQ(error.code(), ErrorCode::cancelled);
  EXPECT_NE(error.message().find("stopped by the user after step 1 of 8 in epoch 2 of 3; nothing"),
            std::string::npos)
      << error.message();
}

}  // namespace
}  // namespace nibble
