// Learning the outputs of a float network, without labels: networks with any inputs and outputs.
#include <algorithm>

#include "support/bodies.h"
#include "train/teacher_fixtures.h"

namespace nibble::testing {
namespace {

class TeacherTest : public ::testing::Test {
 protected:
  void SetUp() override { NIBBLE_NEEDS_TRAINING(); }
};

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

void expect_nearer(const std::vector<double>& before, const std::vector<double>& after, double db) {
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_GE(after[i], before[i] + db) << "output " << i;
  }
}

TEST_F(TeacherTest, outputs_in_different_units_all_come_nearer_to_the_float_network) {
  const Graph teacher = two_outputs();
  const Unlabelled training = normal_samples(128, {2, 8, 8}, 1);
  const Unlabelled validation = normal_samples(32, {2, 8, 8}, 2);
  const Unlabelled test = normal_samples(64, {2, 8, 8}, 3);
  const Graph start = shrunk(quantized(teacher, training, {3, 8}));
  const TrainResult result =
      train_quantized(start, nullptr, training, validation, taught(teacher, 12));
  EXPECT_FALSE(result.labelled);
  EXPECT_EQ(result.epochs[0].validation_samples, 32);
  expect_nearer(sqnr_of(teacher, start, test), sqnr_of(teacher, result.graph, test), 1);
}

TEST_F(TeacherTest, the_sqnr_that_is_told_is_the_mean_over_the_outputs_of_the_exported_network) {
  const Graph teacher = two_outputs();
  const Unlabelled training = normal_samples(64, {2, 8, 8}, 1);
  const Unlabelled validation = normal_samples(32, {2, 8, 8}, 2);
  const Graph start = shrunk(quantized(teacher, training, {4, 8}));
  const TrainResult result =
      train_quantized(start, nullptr, training, validation, taught(teacher, 2));
  const std::vector<double> each = sqnr_of(teacher, result.graph, validation);
  const Epoch& best = result.best();
  EXPECT_NEAR(best.validation_sqnr_db, (each[0] + each[1]) / 2, 0.2);
  for (const Epoch& epoch : result.epochs) {
    EXPECT_LE(best.validation_loss, epoch.validation_loss);
  }
}

TEST_F(TeacherTest, training_from_the_float_network_needs_no_other_teacher) {
  const Graph teacher = two_outputs();
  const Unlabelled training = normal_samples(128, {2, 8, 8}, 1);
  const Unlabelled test = normal_samples(64, {2, 8, 8}, 3);
  const Graph start = shrunk(quantized(teacher, training, {3, 8}));
  TrainOptions options = taught(teacher, 12);
  options.teacher = nullptr;
  const TrainResult result = train_quantized(start, &teacher, training, training, options);
  expect_nearer(sqnr_of(teacher, start, test), sqnr_of(teacher, result.graph, test), 1);
}

TEST_F(TeacherTest, it_starts_from_the_very_codes_however_they_were_rounded) {
  const Graph teacher = two_outputs();
  const Unlabelled training = normal_samples(16, {2, 8, 8}, 1);
  const Graph start = shrunk(quantized(teacher, training, {3, 8}));
  TrainOptions options = taught(teacher, 1);
  options.learning_rate = 1e-12;
  const TrainResult result = train_quantized(start, nullptr, training, training, options);
  EXPECT_EQ(constants_of(result.graph), constants_of(start));
  const std::vector<double> each = sqnr_of(teacher, start, training);
  EXPECT_NEAR(result.start.validation_sqnr_db, (each[0] + each[1]) / 2, 0.2);
}

TEST_F(TeacherTest, what_gets_no_better_stays_as_it_was) {
  const Graph teacher = two_outputs();
  const Unlabelled training = normal_samples(16, {2, 8, 8}, 1);
  const Graph start = quantized(teacher, training, {8, 8});
  TrainOptions options = taught(teacher, 2);
  options.learning_rate = 0.5;
  const TrainResult result = train_quantized(start, nullptr, training, training, options);
  EXPECT_EQ(result.best_epoch, -1);
  EXPECT_EQ(constants_of(result.graph), constants_of(start));
  EXPECT_EQ(result.best().validation_loss, result.start.validation_loss);
}

TEST_F(TeacherTest, a_table_of_embeddings_and_two_inputs_are_trained) {
  const Graph teacher = of_tokens();
  for (const bool ragged : {false, true}) {
    SCOPED_TRACE(ragged ? "ragged" : "of one length");
    const Unlabelled training = token_samples(128, 7, 20, ragged, 1);
    const Unlabelled validation = token_samples(32, 7, 20, ragged, 2);
    const Unlabelled test = token_samples(64, 7, 20, ragged, 3);
    const Graph start = shrunk(quantized(teacher, training, {3, 8}));
    const ValueId table = *start.find_value("table");
    ASSERT_TRUE(start.value(table).type.quant.has_value());
    const TrainResult result =
        train_quantized(start, nullptr, training, validation, taught(teacher, 10));
    expect_nearer(sqnr_of(teacher, start, test), sqnr_of(teacher, result.graph, test), 1);
    EXPECT_FALSE(same_bytes(result.graph.value(table).data, start.value(table).data));
  }
}

TEST_F(TeacherTest, states_are_carried_from_sample_to_sample_and_start_anew_with_a_sequence) {
  const Graph teacher = with_state();
  Unlabelled training = normal_samples(160, {4}, 1, "x");
  Unlabelled validation = normal_samples(40, {4}, 2, "x");
  Unlabelled test = normal_samples(80, {4}, 3, "x");
  training.sequence = validation.sequence = test.sequence = 20;
  const Graph start = shrunk(quantized(teacher, training, {3, 8}));
  const TrainResult result =
      train_quantized(start, nullptr, training, validation, taught(teacher, 15));
  expect_nearer(sqnr_of(teacher, start, test), sqnr_of(teacher, result.graph, test), 1);
  // The same states as where models are judged: else the two would not agree.
  const std::vector<double> each = sqnr_of(teacher, result.graph, validation);
  const Epoch& best = result.best();
  EXPECT_NEAR(best.validation_sqnr_db, (each[0] + each[1]) / 2, 0.3);
}

TEST_F(TeacherTest, a_network_for_one_sample_at_a_time_adds_up_the_gradients_of_a_step) {
  // As with an open batch, but that the flattened part is one sample's for good.
  const auto network = [](int64_t batch) {
    NetworkBuilder net({batch, 2, 4, 4}, 9);
    const ValueId h = net.relu("h", net.conv("c1", net.last, 2, 4));
    const ValueId shape = net.constant("shape", Tensor::of<int64_t>({2}, {batch, 64}));
    const ValueId flat = net.add({.op = "Reshape", .name = "flat", .inputs = {h, shape}});
    const ValueId w = net.constant("w", net.normal({64, 3}, 0.3));
    net.add({.op = "MatMul", .name = "y", .inputs = {flat, w}});
    Graph graph = net.finish();
    infer_types(graph);
    return graph;
  };
  const Unlabelled training = normal_samples(32, {2, 4, 4}, 1);
  Graph open = network(-1), one = network(1);
  const TrainResult together = train_quantized(quantized(open, training, {4, 8}), nullptr, training,
                                               training, taught(open, 2));
  const TrainResult single = train_quantized(quantized(one, training, {4, 8}), nullptr, training,
                                             training, taught(one, 2));
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_NEAR(single.epochs[i].train_loss, together.epochs[i].train_loss,
                1e-3 * together.epochs[i].train_loss);
  }
}

TEST_F(TeacherTest, every_loss_that_learns_from_a_teacher_can_be_asked_for) {
  const Graph teacher = two_outputs();
  const Unlabelled training = normal_samples(64, {2, 8, 8}, 1);
  const Graph start = shrunk(quantized(teacher, training, {3, 8}));
  for (const Loss loss : {Loss::mse, Loss::mae, Loss::sqnr, Loss::distill}) {
    TrainOptions options = taught(teacher, 6);
    options.loss = loss;
    const TrainResult result = train_quantized(start, nullptr, training, training, options);
    // The first output is the one that each of them learns.
    EXPECT_GT(sqnr_of(teacher, result.graph, training)[0], sqnr_of(teacher, start, training)[0])
        << static_cast<int>(loss);
  }
}

TEST_F(TeacherTest, a_labelled_loss_can_be_left_for_the_teacher) {
  const StripedImages training(64, 4, 1), validation(32, 4, 2);
  const Graph teacher = build_architecture("digits-cnn", {1, 8, 8}, 4, 0);
  const Graph start = shrunk(quantized(teacher, training, {4, 8}));
  TrainOptions options = taught(teacher, 1);
  options.loss = Loss::sqnr;
  EXPECT_FALSE(train_quantized(start, nullptr, training, validation, options).labelled);
  options.loss = Loss::automatic;
  options.distill = 0.5;
  EXPECT_TRUE(train_quantized(start, nullptr, training, validation, options).labelled);
}

TEST_F(TeacherTest, the_branch_of_an_if_is_trained_and_gives_its_gradient_to_what_it_captures) {
  NetworkBuilder net({-1, 6}, 11);
  const ValueId x = net.graph.inputs[0];
  const ValueId w = net.constant("w", net.normal({6, 8}, 0.4));
  const ValueId h = net.relu("h", net.add({.op = "MatMul", .name = "fc", .inputs = {x, w}}));
  const auto branch = [&](const std::string& name, uint64_t seed) {
    BodyBuilder body;
    body.graph.opsets[""] = 21;
    const ValueId in = body.capture("h");
    const ValueId weight = body.graph.add_constant(name + "_w", random_tensor({8, 3}, seed, 0.4));
    return body.finish({body.matmul(name, in, weight)});
  };
  // Of 16 samples at a time the sum is never so large.
  choose(net, sum_exceeds(net, x, 1e6F), {h}, branch("yes", 1), branch("no", 2));
  Graph teacher = net.finish();
  infer_types(teacher);
  const Unlabelled training = normal_samples(128, {6}, 1);
  const Graph start = shrunk(quantized(teacher, training, {3, 8}));
  const TrainResult result =
      train_quantized(start, nullptr, training, training, taught(teacher, 10));
  expect_nearer(sqnr_of(teacher, start, training), sqnr_of(teacher, result.graph, training), 1);
  const auto weight_of = [](const Graph& graph, const char* attribute, const char* name) {
    for (const NodeId id : graph.nodes()) {
      const Attribute* found = graph.node(id).attributes.find(attribute);
      if (found == nullptr) continue;
      const Graph& body = *std::get<std::shared_ptr<const Graph>>(*found);
      return body.value(*body.find_value(name)).data;
    }
    return Tensor();
  };
  EXPECT_FALSE(same_bytes(weight_of(start, "else_branch", "no_w"),
                          weight_of(result.graph, "else_branch", "no_w")));
  EXPECT_TRUE(same_bytes(weight_of(start, "then_branch", "yes_w"),
                         weight_of(result.graph, "then_branch", "yes_w")))
      << "a branch that never ran has nothing to learn";
  EXPECT_FALSE(same_bytes(start.value(*start.find_value("w")).data,
                          result.graph.value(*result.graph.find_value("w")).data));
}

/// `op` (which has no gradient) before the layer, or behind it.
Graph with_hardmax(bool behind) {
  NetworkBuilder net({-1, 6}, 13);
  const ValueId w = net.constant("w", net.normal({6, 4}, 0.4));
  ValueId x = net.last;
  if (!behind) x = net.add({.op = "Hardmax", .name = "hard", .inputs = {x}});
  x = net.add({.op = "MatMul", .name = "fc", .inputs = {x, w}});
  if (behind) net.add({.op = "Hardmax", .name = "hard", .inputs = {x}});
  Graph graph = net.finish();
  infer_types(graph);
  return graph;
}

TEST_F(TeacherTest, an_operator_without_a_gradient_behind_trained_weights_is_refused_by_name) {
  const Graph teacher = with_hardmax(true);
  const Unlabelled training = normal_samples(16, {6}, 1);
  const std::string error = error_of([&] {
    train_quantized(quantized(teacher, training, {4, 0}), nullptr, training, training,
                    taught(teacher, 1));
  });
  EXPECT_TRUE(contains(error, "hard")) << error;
  EXPECT_TRUE(contains(error, "Hardmax")) << error;
  EXPECT_TRUE(contains(error, "no gradient")) << error;
}

TEST_F(TeacherTest, an_operator_without_a_gradient_that_nothing_learned_leads_to_is_run) {
  const Graph teacher = with_hardmax(false);
  const Unlabelled training = normal_samples(64, {6}, 1);
  const Graph start = shrunk(quantized(teacher, training, {3, 0}));
  const TrainResult result =
      train_quantized(start, nullptr, training, training, taught(teacher, 10));
  expect_nearer(sqnr_of(teacher, start, training), sqnr_of(teacher, result.graph, training), 1);
}

TEST_F(TeacherTest, a_teacher_that_does_not_fit_is_refused_in_a_sentence) {
  const Graph teacher = two_outputs();
  const Unlabelled training = normal_samples(16, {2, 8, 8}, 1);
  const Graph start = shrunk(quantized(teacher, training, {4, 8}));
  const auto refusal = [&](const Graph& other) {
    return error_of([&] { train_quantized(start, nullptr, training, training, taught(other, 1)); });
  };
  Graph other = teacher;
  other.value(other.outputs[1]).name = "boxes";
  EXPECT_TRUE(contains(refusal(other), "output 'b' is not one of the teacher's")) << refusal(other);
  other = teacher;
  other.value(other.inputs[0]).type.shape[1] = 3;
  EXPECT_TRUE(contains(refusal(other), "input 'x' is of another type")) << refusal(other);
  other = teacher;
  other.outputs.push_back(*other.find_value("h"));
  EXPECT_TRUE(contains(refusal(other), "output 'h' is the teacher's alone")) << refusal(other);
  EXPECT_TRUE(contains(refusal(start), "the teacher is quantized itself")) << refusal(start);
}

TEST_F(TeacherTest, without_labels_and_without_a_teacher_the_error_says_what_to_do) {
  const Graph teacher = two_outputs();
  const Unlabelled training = normal_samples(16, {2, 8, 8}, 1);
  TrainOptions options = taught(teacher, 1);
  options.teacher = nullptr;
  const std::string error = error_of([&] {
    train_quantized(quantized(teacher, training, {4, 8}), nullptr, training, training, options);
  });
  EXPECT_TRUE(contains(error, "no labels")) << error;
  EXPECT_TRUE(contains(error, "--teacher")) << error;
}

TEST_F(TeacherTest, a_loss_of_labels_without_labels_is_refused) {
  const Graph teacher = two_outputs();
  const Unlabelled training = normal_samples(16, {2, 8, 8}, 1);
  TrainOptions options = taught(teacher, 1);
  options.loss = Loss::cross_entropy;
  const std::string error = error_of([&] {
    train_quantized(quantized(teacher, training, {4, 8}), nullptr, training, training, options);
  });
  EXPECT_TRUE(contains(error, "no labels")) << error;
}

TEST_F(TeacherTest, training_from_scratch_has_no_teacher) {
  const StripedImages samples(16, 4, 1);
  TrainOptions options;
  options.loss = Loss::mse;
  const std::string error = error_of([&] {
    train(build_architecture("digits-cnn", {1, 8, 8}, 4, 0), samples, samples, options);
  });
  EXPECT_TRUE(contains(error, "from scratch")) << error;
}

TEST_F(TeacherTest, resuming_gives_the_bits_of_an_unbroken_run) {
  const Graph teacher = with_state();
  const Unlabelled training = normal_samples(64, {4}, 1, "x");
  const Graph start = shrunk(quantized(teacher, training, {4, 8}));
  TrainOptions options = taught(teacher, 3);
  const TrainResult whole = train_quantized(start, nullptr, training, training, options);

  class StopInSecondEpoch final : public ProgressSink {
   public:
    void update(std::string_view stage, int64_t, int64_t) override {
      stop_ = stop_ || stage.find("epoch 2 of") != std::string_view::npos;
    }
    bool cancelled() const override { return stop_; }

   private:
    bool stop_ = false;
  } stop;
  const std::string path = ::testing::TempDir() + "nibble-teacher.checkpoint";
  std::filesystem::remove(path);
  options.checkpoint = path;
  options.progress = &stop;
  error_of([&] { train_quantized(start, nullptr, training, training, options); });
  options.progress = nullptr;
  const TrainResult resumed = train_quantized(start, nullptr, training, training, options);
  std::filesystem::remove(path);
  EXPECT_EQ(constants_of(resumed.graph), constants_of(whole.graph));
  EXPECT_EQ(resumed.epochs.back().validation_sqnr_db, whole.epochs.back().validation_sqnr_db);
}

}  // namespace
}  // namespace nibble::testing
