// The verbs that train, and the demo as its table promises it. Skipped where libnibble_train is not
// built.
#include <cmath>

#include "cli/command_line.h"
#include "nibble/data.h"
#include "support/tensors.h"

namespace nibble {
namespace {

class training : public testing::CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    if (!testing::has_training()) {
      GTEST_SKIP() << "libnibble_train is not built";
    }
  }
  void run(const std::string& arguments) const {
    const auto result = nibble(arguments);
    ASSERT_EQ(result.status, 0) << arguments << "\n" << result.err;
  }
};

TEST_F(training, the_version_names_the_library_that_trains) {
  const std::string text = nibble("--version").out;
  EXPECT_NE(text.find("\ntraining: libtorch "), std::string::npos) << text;
}

TEST_F(training, train_qat_and_finetune_write_models_that_the_other_verbs_take) {
  run("train --arch digits-cnn --data digits --epochs 4 -o float.onnx");
  run("qat float.onnx --data digits --weights 4 --activations 4 --epochs 1 -o qat.onnx");
  run("finetune qat.onnx --data digits --epochs 1 -o tuned.onnx");
  auto report = json("eval float.onnx qat.onnx tuned.onnx --data digits");
  for (const auto& model : report.at("models")) EXPECT_GT(model.at("accuracy"), 0.8) << model;
}

TEST_F(training, integer_runtime_and_fake_quantization_agree_on_a_trained_network) {
  run("train --arch digits-cnn --data digits --epochs 4 -o float.onnx");
  run("qat float.onnx --data digits --weights 4 --activations 4 --epochs 2 -o qat.onnx");
  auto integer = json("eval qat.onnx --data digits --arithmetic integer");
  auto fake = json("eval qat.onnx --data digits --arithmetic fake-quantize");
  const double difference = integer.at("models").at(0).at("accuracy").get<double>() -
                            fake.at("models").at(0).at("accuracy").get<double>();
  EXPECT_LE(std::abs(difference), 0.001);
}

TEST_F(training, the_same_seed_gives_the_same_file) {
  run("train --arch digits-cnn --data digits --epochs 1 --seed 5 --threads 1 -o a.onnx");
  run("train --arch digits-cnn --data digits --epochs 1 --seed 5 --threads 1 -o b.onnx");
  EXPECT_EQ(read_file(path("a.onnx")), read_file(path("b.onnx")));
}

TEST_F(training, without_labels_the_outputs_of_the_float_model_are_learned) {
  run("train --arch digits-cnn --data digits --epochs 1 -o float.onnx");
  save_npy(testing::random_tensor({80, 1, 8, 8}, 1, 0.3, 0.3), path("x.npy"));
  run("quantize float.onnx --data x.npy --weights 3 -o w3.onnx");
  const std::string tune = "finetune w3.onnx --data x.npy --epochs 4 --lr 0.02 -o tuned.onnx";
  const auto alone = nibble(tune);
  EXPECT_EQ(alone.status, 1);
  EXPECT_NE(alone.err.find("--teacher FLOAT.onnx"), std::string::npos) << alone.err;
  const auto told = nibble(tune + " --teacher float.onnx");
  EXPECT_EQ(told.status, 0) << told.err;
  EXPECT_NE(told.out.find("Measured against the float model."), std::string::npos) << told.out;
  const auto report = json(tune + " --teacher float.onnx");
  EXPECT_FALSE(report.contains("validation_accuracy"));
  const auto& models = report.at("outputs").at(0).at("models");
  EXPECT_EQ(models.at(0).at("model"), "before");
  EXPECT_GT(models.at(1).at("difference").at("value"), 0) << models;
  run("qat float.onnx --data x.npy --weights 3 --epochs 1 --loss mae -o qat.onnx");
  run("quantize float.onnx --dynamic -o dynamic.onnx");
  run("finetune dynamic.onnx --teacher float.onnx --data x.npy --epochs 1 -o learned.onnx");
  EXPECT_NE(nibble("inspect learned.onnx").out.find("ConvInteger"), std::string::npos);
}

TEST_F(training, the_demo_keeps_its_promises) {
  auto report = json("demo -o models");
  const auto& rows = report.at("rows");
  ASSERT_EQ(rows.size(), 7U);
  const auto accuracy = [&](size_t row) { return rows.at(row).at("accuracy").get<double>(); };
  const auto bytes = [&](size_t row) { return rows.at(row).at("file_bytes").get<int64_t>(); };
  EXPECT_GE(accuracy(0), 0.98) << "float";
  EXPECT_GE(accuracy(1), accuracy(0) - 0.004) << "8-bit PTQ";
  EXPECT_GE(accuracy(5), accuracy(0) - 0.006) << "4-bit QAT";
  EXPECT_GE(accuracy(6), 0.90) << "2-bit QAT";
  EXPECT_LT(bytes(1), bytes(0) / 3);
  EXPECT_LT(bytes(2), bytes(1));
  EXPECT_LT(bytes(6), bytes(5));
  // Every section of the page has something to say, and every network a sentence.
  const std::string page = read_file(path("models/report.html"));
  for (const char* part :
       {"id=\"summary\"", "id=\"accuracy\"", "id=\"costs\"", "id=\"layers\"", "id=\"ranges\"",
        "id=\"training\"", "id=\"provenance\"", "Training digits-cnn from scratch gave float.onnx",
        "gave ptq-w8a8.onnx, which is", "Fine-tuning ptq-w4a4.onnx gave qaft-w4a4.onnx, which",
        "with training in the loop, gave qat-w2a2.onnx, which is"}) {
    EXPECT_NE(page.find(part), std::string::npos) << part;
  }
}

}  // namespace
}  // namespace nibble
