#include <sys/resource.h>

#include <cmath>

#include "base/file.h"
#include "nibble/error.h"
#include "train/fixtures.h"
#include "train/graph_builder.h"

namespace nibble {
namespace {

using testing::StripedImages;

Graph small_network(int64_t outputs, bool sigmoid = false) {
  GraphBuilder net("small", {1, 8, 8}, 7);
  ValueId x = net.conv("conv", net.input(), 4, {.kernel = 3, .padding = 1}, false);
  x = net.relu("relu", net.batch_norm("bn", x));
  x = net.flatten("flatten", net.max_pool("pool", x, 2));
  x = net.dense("fc", net.dropout("dropout", x, 0.2F), outputs);
  if (sigmoid) x = net.sigmoid("sigmoid", x);
  return std::move(net).finish(x, "out");
}

TrainOptions quick() {
  TrainOptions options;
  options.epochs = 4;
  options.batch = 16;
  options.threads = 1;
  options.flip = true;
  options.crop_padding = 1;
  return options;
}

/// The error that `body` ends in.
template <typename Body>
Error error_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return {ErrorCode::io, "no error"};
}

class TrainerTest : public ::testing::Test {
 protected:
  void SetUp() override { NIBBLE_NEEDS_TRAINING(); }
  TrainResult run(const TrainOptions& options) {
    return train(small_network(4), training_, validation_, options);
  }
  const StripedImages training_{128, 4, 1};
  const StripedImages validation_{64, 4, 2};
};

TEST_F(TrainerTest, learns_and_reports_each_epoch) {
  TrainOptions options = quick();
  options.crop_padding = 0;
  options.epochs = 8;
  const TrainResult result = run(options);
  ASSERT_EQ(result.epochs.size(), 8U);
  EXPECT_LT(result.epochs.back().train_loss, result.epochs.front().train_loss);
  const Epoch& best = result.best();
  EXPECT_GE(best.validation_accuracy, 0.95);
  EXPECT_EQ(best.validation_samples, 64);
  const Tensor x = read_batch(validation_, 0, 64, 1)[0];
  const Tensor outputs = train_backend().forward(result.graph, std::span(&x, 1))[0];
  EXPECT_EQ(testing::accuracy(outputs.data<float>(), validation_), best.validation_accuracy)
      << "the exported graph is the best epoch's network";
}

// Pages that the process was given, in training of so many epochs.
int64_t new_pages(const Graph& graph, const Dataset& data, int epochs) {
  TrainOptions options = quick();
  options.epochs = epochs;
  options.batch = 64;
  rusage before{}, after{};
  getrusage(RUSAGE_SELF, &before);
  train(graph, data, data, options);
  getrusage(RUSAGE_SELF, &after);
  return after.ru_minflt - before.ru_minflt;
}

// Tensors of 32 MiB, which malloc would give back to the system at every step.
TEST_F(TrainerTest, large_tensors_are_used_again_at_the_next_step) {
  GraphBuilder net("wide", {1, 8, 8}, 7);
  ValueId x = net.relu("relu", net.conv("conv", net.input(), 2048, {.kernel = 1}, true));
  x = net.dense("fc", net.flatten("flatten", net.max_pool("pool", x, 8)), 4);
  const Graph graph = std::move(net).finish(x, "out");
  new_pages(graph, validation_, 1);
  const int64_t more = new_pages(graph, validation_, 5) - new_pages(graph, validation_, 1);
  EXPECT_LT(more, 4 * 8192) << "pages in 4 steps; 8192 are one tensor";
}

TEST_F(TrainerTest, the_best_epoch_has_the_highest_accuracy_and_then_the_lowest_loss) {
  const TrainResult result = run(quick());
  const Epoch& best = result.best();
  for (const Epoch& epoch : result.epochs) {
    EXPECT_GE(std::pair(best.validation_accuracy, -best.validation_loss),
              std::pair(epoch.validation_accuracy, -epoch.validation_loss));
  }
}

TEST_F(TrainerTest, the_same_seed_gives_the_same_bits_and_another_seed_others) {
  TrainOptions options = quick();
  const std::string first = testing::constants_of(run(options).graph);
  EXPECT_EQ(first, testing::constants_of(run(options).graph));
  options.seed = 1;
  EXPECT_NE(first, testing::constants_of(run(options).graph));
}

TEST_F(TrainerTest, adamw_learns_too) {
  TrainOptions options = quick();
  options.optimizer = Optimizer::adamw;
  options.learning_rate = 0.01;
  options.crop_padding = 0;
  options.epochs = 6;
  const TrainResult result = run(options);
  EXPECT_GE(result.best().validation_accuracy, 0.9);
}

TEST_F(TrainerTest, a_single_sigmoid_output_tells_two_classes_apart) {
  const StripedImages training(128, 2, 1), validation(64, 2, 2);
  TrainOptions options = quick();
  options.crop_padding = 0;
  const TrainResult result = train(small_network(1, true), training, validation, options);
  EXPECT_GE(result.best().validation_accuracy, 0.9);
}

/// Asks to stop at the first step of epoch 3.
class StopInThirdEpoch final : public ProgressSink {
 public:
  void update(std::string_view stage, int64_t done, int64_t) override {
    stop_ = stop_ || (stage.find("epoch 3 of") != std::string_view::npos && done == 1);
  }
  bool cancelled() const override { return stop_; }

 private:
  bool stop_ = false;
};

TEST_F(TrainerTest, resuming_a_cancelled_run_gives_the_bits_of_an_unbroken_one) {
  for (const Optimizer optimizer : {Optimizer::sgd, Optimizer::adamw}) {
    TrainOptions options = quick();
    options.optimizer = optimizer;
    options.learning_rate = 0.01;
    const TrainResult whole = run(options);

    options.checkpoint = ::testing::TempDir() + "nibble_resume.ckpt";
    std::filesystem::remove(options.checkpoint);
    StopInThirdEpoch stop;
    options.progress = &stop;
    EXPECT_EQ(error_of([&] { run(options); }).code(), ErrorCode::cancelled);
    ASSERT_TRUE(std::filesystem::exists(options.checkpoint));
    options.progress = nullptr;
    const TrainResult resumed = run(options);
    EXPECT_EQ(testing::constants_of(resumed.graph), testing::constants_of(whole.graph));
    ASSERT_EQ(resumed.epochs.size(), whole.epochs.size());
    for (size_t i = 0; i < whole.epochs.size(); ++i) {
      EXPECT_EQ(resumed.epochs[i].train_loss, whole.epochs[i].train_loss);
      EXPECT_EQ(resumed.epochs[i].validation_loss, whole.epochs[i].validation_loss);
    }
    std::filesystem::remove(options.checkpoint);
  }
}

TEST_F(TrainerTest, a_checkpoint_of_another_run_or_a_damaged_one_is_refused) {
  TrainOptions options = quick();
  options.epochs = 1;
  options.checkpoint = ::testing::TempDir() + "nibble_refused.ckpt";
  std::filesystem::remove(options.checkpoint);
  run(options);
  options.seed = 5;
  EXPECT_EQ(error_of([&] { run(options); }).code(), ErrorCode::invalid_argument);
  options.seed = 0;
  const std::string bytes = read_file(options.checkpoint);
  write_file(options.checkpoint, std::string_view(bytes).substr(0, bytes.size() / 2));
  const Error error = error_of([&] { run(options); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_data);
  EXPECT_NE(error.message().find(options.checkpoint), std::string::npos);
  std::filesystem::remove(options.checkpoint);
}

TEST_F(TrainerTest, a_loss_that_is_not_finite_names_epoch_and_step) {
  const StripedImages broken(64, 4, 1, std::numeric_limits<float>::quiet_NaN());
  const Error error = error_of([&] { train(small_network(4), broken, validation_, quick()); });
  EXPECT_NE(error.message().find("epoch 1, step 1"), std::string::npos) << error.what();
  EXPECT_NE(error.message().find("learning rate"), std::string::npos) << error.what();
}

TEST_F(TrainerTest, an_unknown_operator_is_named_with_its_node) {
  Graph graph = small_network(4);
  graph.node(graph.nodes().front()).op = "StringNormalizer";
  const Error error = error_of([&] { train(graph, training_, validation_, quick()); });
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  EXPECT_NE(error.message().find("StringNormalizer (node 'conv')"), std::string::npos)
      << error.what();
}

TEST_F(TrainerTest, outputs_that_do_not_fit_the_classes_are_refused) {
  const Error error = error_of([&] { train(small_network(3), training_, validation_, quick()); });
  EXPECT_EQ(error.message(), "the network has 3 outputs, the data set 4 classes");
}

TEST_F(TrainerTest, an_empty_data_set_is_refused) {
  const StripedImages none(0, 4, 1);
  const Error error = error_of([&] { train(small_network(4), none, validation_, quick()); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_data);
}

}  // namespace
}  // namespace nibble
