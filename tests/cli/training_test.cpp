// The verbs that train, and the demo as its table promises it. Skipped where libnibble_train is not
// built.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <cstdlib>
#include <filesystem>

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

constexpr const char* kLong =
    "train --arch digits-cnn --data digits --flip --crop-padding 1 --cutout 2 --mixup 0.2 --epochs "
    "3 "
    "--seed 3 --threads 1 --json ";

// The last step that the log tells of; 0 before the first.
int64_t last_step(const std::string& log) {
  constexpr std::string_view kStep = "{\"event\":\"step\",\"step\":";
  if (!std::filesystem::exists(log)) return 0;
  const std::string text = read_file(log);
  const size_t at = text.rfind(kStep);
  return at == std::string::npos ? 0 : std::atoll(text.c_str() + at + kStep.size());
}

// Runs the program in `folder`, what it says going to the file err, and signals it once its log has
// come to `step`. Returns what waitpid() tells.
int signalled_at(const std::string& folder, const std::string& program,
                 const std::string& arguments, int signal, int64_t step) {
  const std::string command =
      fmt::format("cd '{}' && exec '{}' {} --log log --log-every 1 >/dev/null 2>err", folder,
                  program, arguments);
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
    _exit(127);
  }
  int status = 0;
  bool sent = false;
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (!sent && last_step(folder + "/log") >= step) sent = kill(child, signal) == 0;
    usleep(500);
  }
  return status;
}

TEST_F(training, killed_at_any_moment_and_started_again_it_writes_the_same_bytes) {
  run(std::string(kLong) + "-o whole.onnx");
  const std::string broken =
      std::string(kLong) + "-o broken.onnx --checkpoint c --checkpoint-every 2";
  int kills = 0;
  for (int64_t step = 3;; step += 5) {
    const int status = signalled_at(folder_.string(), program(), broken, SIGKILL, step);
    if (WIFEXITED(status)) {
      ASSERT_EQ(WEXITSTATUS(status), 0) << read_file(path("err"));
      break;
    }
    ASSERT_LT(++kills, 100);
  }
  EXPECT_GT(kills, 0);
  EXPECT_EQ(read_file(path("whole.onnx")), read_file(path("broken.onnx")));
}

TEST_F(training, after_ctrl_c_it_says_how_to_go_on_and_does) {
  run(std::string(kLong) + "-o whole.onnx");
  const std::string broken = std::string(kLong) + "-o broken.onnx --checkpoint c";
  int stops = 0;
  for (int64_t step = 2;; step += 15) {
    const int status = signalled_at(folder_.string(), program(), broken, SIGINT, step);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == 0) break;
    EXPECT_EQ(WEXITSTATUS(status), 130);
    const std::string said = read_file(path("err"));
    EXPECT_NE(said.find("stopped by the user"), std::string::npos) << said;
    EXPECT_NE(said.find("the same command goes on from there (c)"), std::string::npos) << said;
    ASSERT_LT(++stops, 40);
  }
  EXPECT_GT(stops, 0);
  EXPECT_EQ(read_file(path("whole.onnx")), read_file(path("broken.onnx")));
}

TEST_F(training, a_checkpoint_of_other_options_is_refused_with_what_differs) {
  run("train --arch digits-cnn --data digits --epochs 1 --checkpoint c -o a.onnx");
  expect_failure(
      "train --arch digits-cnn --data digits --epochs 1 --checkpoint c --lr 0.1 -o b.onnx", 1,
      {"checkpoint c is of another training: --lr was 0.05 and is 0.1."});
  expect_failure("train --arch digits-cnn --data digits --resume -o b.onnx", 1,
                 {"--checkpoint FILE"});
}

TEST_F(training, patience_metric_and_log_are_told) {
  const std::string command =
      "train --arch digits-cnn --data digits --epochs 20 --patience 1 --lr 0.3 --metric f1 "
      "--log log.jsonl --tensorboard runs -o a.onnx";
  const auto told = nibble(command);
  EXPECT_EQ(told.status, 0) << told.err;
  EXPECT_NE(told.out.find("training ended there"), std::string::npos) << told.out;
  EXPECT_NE(told.out.find("validation f1 "), std::string::npos) << told.out;
  EXPECT_NE(read_file(path("log.jsonl")).find("\"event\":\"epoch\""), std::string::npos);
  EXPECT_FALSE(std::filesystem::is_empty(path("runs")));
  run("qat a.onnx --data digits --epochs 1 --flip --log log.jsonl --checkpoint c -o q.onnx");
  const std::string made = json("provenance q.onnx").dump();
  EXPECT_NE(made.find("flip"), std::string::npos) << made;
  EXPECT_EQ(made.find("log.jsonl"), std::string::npos) << "what only kept and told makes no model";
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
