#include <sys/resource.h>

#include <cmath>

#include "nibble/error.h"
#include "train/fixtures.h"
#include "train/graph_builder.h"

namespace nibble {
namespace {

using testing::caught;
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

// Convolutions and a layer: what has no batch statistics and no dropout.
Graph plain_network() {
  GraphBuilder net("plain", {1, 8, 8}, 7);
  const ValueId x = net.relu("relu", net.conv("conv", net.input(), 4, {.kernel = 3}, true));
  const ValueId y = net.dense("fc", net.flatten("flatten", x), 4);
  return std::move(net).finish(y, "out");
}

std::vector<float> numbers_of(const Graph& graph) {
  std::vector<float> numbers;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (!value.is_constant() || value.type.dtype != DType::f32) continue;
    const auto data = value.data.data<float>();
    numbers.insert(numbers.end(), data.begin(), data.end());
  }
  return numbers;
}

TEST_F(TrainerTest, gradients_of_batches_that_are_added_up_are_those_of_one_large_batch) {
  TrainOptions options = quick();
  options.batch = 32;
  options.mixup = 0.4;
  const TrainResult large = train(plain_network(), training_, validation_, options);
  for (const int accumulate : {2, 4}) {
    options.batch = 32 / accumulate;
    options.accumulate = accumulate;
    const TrainResult small = train(plain_network(), training_, validation_, options);
    const std::vector<float> a = numbers_of(large.graph), b = numbers_of(small.graph);
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) EXPECT_NEAR(a[i], b[i], 1e-4);
    EXPECT_NEAR(large.epochs.back().train_loss, small.epochs.back().train_loss, 1e-4);
  }
}

TEST_F(TrainerTest, batch_statistics_are_learned_where_gradients_are_added_up) {
  TrainOptions options = quick();
  options.batch = 8;
  options.accumulate = 2;
  options.crop_padding = 0;
  options.epochs = 8;
  EXPECT_GE(run(options).best().validation_accuracy, 0.95);
}

TEST_F(TrainerTest, it_learns_from_mixed_samples_and_labels) {
  TrainOptions options = quick();
  options.crop_padding = 0;
  options.mixup = 0.4;
  options.epochs = 10;
  const TrainResult result = run(options);
  EXPECT_GE(result.best().validation_accuracy, 0.95);
  options.mixup = 0;
  EXPECT_GT(result.epochs.back().train_loss, run(options).epochs.back().train_loss)
      << "two labels at once cannot be answered without doubt";
}

TEST_F(TrainerTest, the_number_of_threads_that_read_changes_nothing_that_is_read) {
  TrainOptions options = quick();
  options.brightness = options.contrast = 0.3;
  options.cutout = 2;
  options.mixup = 0.3;
  options.epochs = 1;
  const double loss = run(options).epochs[0].train_loss;
  options.threads = 3;  // sums may differ in their last bits
  EXPECT_NEAR(run(options).epochs[0].train_loss, loss, 1e-5);
}

TEST_F(TrainerTest, without_a_better_epoch_it_ends_when_patience_does) {
  TrainOptions options = quick();
  options.epochs = 30;
  options.patience = 3;
  options.learning_rate = 1e-6;  // too small for anything to become right
  options.warmup_epochs = 0;
  options.judge = EpochJudge{
      .metric = "clock", .larger_is_better = false, .score = [n = 0](const Graph&) mutable {
        ++n;
        return EpochScore{.value = n < 4 ? -n : 0.0, .low = -9, .high = 9, .samples = 64};
      }};
  const TrainResult result = run(options);
  EXPECT_EQ(result.best_epoch, 1) << "the start was -1, the epochs -2, -3, 0, 0, 0";
  EXPECT_EQ(result.epochs.size(), 5U);
  EXPECT_TRUE(result.stopped_early);
  EXPECT_EQ(result.metric, "clock");
  options.judge.reset();
  options.patience = 0;
  options.epochs = 2;
  EXPECT_FALSE(run(options).stopped_early);
}

TEST_F(TrainerTest, a_metric_chooses_the_best_epoch_and_says_its_interval) {
  TrainOptions options = quick();
  options.metric = "f1";
  const TrainResult result = run(options);
  EXPECT_EQ(result.metric, "f1");
  ASSERT_TRUE(result.start.score);
  for (const Epoch& epoch : result.epochs) {
    EXPECT_LE(epoch.score->value, result.best().score->value);
    EXPECT_LE(epoch.score->low, epoch.score->value);
    EXPECT_GE(epoch.score->high, epoch.score->value);
    EXPECT_EQ(epoch.score->samples, 64);
  }
  options.metric = "f2";
  EXPECT_NE(caught([&] { run(options); }).message().find("choose top1"), std::string::npos);
  options.metric = "sqnr";
  EXPECT_NE(caught([&] { run(options); }).message().find("none to compare with"),
            std::string::npos);
}

TEST_F(TrainerTest, validation_accuracy_has_its_interval) {
  const TrainResult result = run(quick());
  const EpochScore& score = *result.best().score;
  EXPECT_EQ(score.value, result.best().validation_accuracy);
  EXPECT_EQ(score.samples, 64);
  EXPECT_LT(score.low, score.value);
}

TEST_F(TrainerTest, a_loss_that_is_not_finite_names_epoch_and_step) {
  const StripedImages broken(64, 4, 1, std::numeric_limits<float>::quiet_NaN());
  const Error error = caught([&] { train(small_network(4), broken, validation_, quick()); });
  EXPECT_NE(error.message().find("epoch 1, step 1"), std::string::npos) << error.what();
  EXPECT_NE(error.message().find("learning rate"), std::string::npos) << error.what();
}

TEST_F(TrainerTest, an_unknown_operator_is_named_with_its_node) {
  Graph graph = small_network(4);
  graph.node(graph.nodes().front()).op = "StringNormalizer";
  const Error error = caught([&] { train(graph, training_, validation_, quick()); });
  EXPECT_EQ(error.code(), ErrorCode::unsupported);
  EXPECT_NE(error.message().find("StringNormalizer (node 'conv')"), std::string::npos)
      << error.what();
}

TEST_F(TrainerTest, outputs_that_do_not_fit_the_classes_are_refused) {
  const Error error = caught([&] { train(small_network(3), training_, validation_, quick()); });
  EXPECT_EQ(error.message(), "the network has 3 outputs, the data set 4 classes");
}

TEST_F(TrainerTest, an_empty_data_set_is_refused) {
  const StripedImages none(0, 4, 1);
  const Error error = caught([&] { train(small_network(4), none, validation_, quick()); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_data);
}

}  // namespace
}  // namespace nibble
