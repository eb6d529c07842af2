// The program as several ranks on one machine: launched, sharing work, and failing together.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cli/command_line.h"

namespace nibble {
namespace {

class launch : public testing::CommandLine {
 protected:
  void run(const std::string& arguments) const {
    const auto result = nibble(arguments);
    ASSERT_EQ(result.status, 0) << arguments << "\n" << result.err;
  }
};

TEST_F(launch, sets_the_variables_of_torchrun_and_prefixes_all_but_rank_0) {
  const auto result = nibble(
      "launch -n 3 sh -c 'echo $RANK of $WORLD_SIZE at $MASTER_ADDR, $LOCAL_RANK of "
      "$LOCAL_WORLD_SIZE here, port ${MASTER_PORT:+set}; echo error $RANK >&2'");
  EXPECT_EQ(result.status, 0) << result.err;
  for (const char* line : {"0 of 3 at 127.0.0.1, 0 of 3 here, port set\n",
                           "[1] 1 of 3 at 127.0.0.1, 1 of 3 here, port set\n",
                           "[2] 2 of 3 at 127.0.0.1, 2 of 3 here, port set\n"}) {
    EXPECT_NE(result.out.find(line), std::string::npos) << result.out;
  }
  EXPECT_NE(result.err.find("[2] error 2\n"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("error 0\n"), std::string::npos) << result.err;
}

TEST_F(launch, the_exit_code_is_that_of_the_first_that_fails_and_nobody_is_left) {
  EXPECT_EQ(nibble("launch -n 2 sh -c 'exit $((RANK * 7))'").status, 7);
  // The others would wait for a long time.
  const auto failed = nibble("launch -n 3 sh -c '[ $RANK = 1 ] && exit 5; exec sleep 600'");
  EXPECT_EQ(failed.status, 5);
  const auto killed = nibble("launch -n 2 sh -c '[ $RANK = 1 ] && kill -9 $$; exec sleep 600'");
  EXPECT_EQ(killed.status, 128 + SIGKILL);
  EXPECT_NE(killed.err.find("rank 1 of 2 was ended by signal 9 (SIGKILL)"), std::string::npos)
      << killed.err;
}

TEST_F(launch, signals_reach_every_rank) {
  // Rank 0 asks the launcher, its parent, to end once both listen.
  const auto result = nibble(
      "launch -n 2 sh -c 'trap \"echo caught; exit 3\" TERM; : >ready$RANK; "
      "if [ $RANK = 0 ]; then while [ ! -e ready1 ]; do sleep 0.05; done; kill -TERM $PPID; fi; "
      "while :; do sleep 0.05; done'");
  EXPECT_EQ(result.status, 3);
  EXPECT_NE(("\n" + result.out).find("\ncaught\n"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("[1] caught\n"), std::string::npos) << result.out;
}

TEST_F(launch, what_cannot_be_launched_is_told) {
  expect_failure("launch -n 2", 1, {"nothing to launch"});
  expect_failure("launch nibble ops", 2, {"--ranks is required"});
  EXPECT_EQ(nibble("launch -n 2 no-such-program").status, 127);
  EXPECT_NE(nibble("launch -n 2 no-such-program").err.find("'no-such-program' cannot be started"),
            std::string::npos);
}

TEST_F(launch, commands_that_are_not_shared_are_done_by_rank_0_alone) {
  const auto alone = nibble("ops Conv");
  for (const char* how : {"launch -n 3 nibble ops Conv", "launch -n 3 ops Conv"}) {
    const auto together = nibble(how);
    EXPECT_EQ(together.status, 0) << together.err;
    EXPECT_EQ(together.out, alone.out);
  }
}

TEST_F(launch, variables_that_make_no_sense_are_told) {
  expect_failure("eval a.onnx --data digits", 1, {"so RANK has to be set too"},
                 "export WORLD_SIZE=2;");
}

/// Those that need the library that ranks meet by.
class ranks : public launch {
 protected:
  void SetUp() override {
    launch::SetUp();
    if (!testing::has_training()) GTEST_SKIP() << "libnibble_train is not built";
    run("train --arch digits-cnn --data digits --epochs 1 --threads 1 -o float.onnx");
  }
  void expect_same_files(const std::string& a, const std::string& b) const {
    EXPECT_EQ(read_file(path(a)), read_file(path(b))) << a << " and " << b;
  }
};

TEST_F(ranks, calibration_and_evaluation_give_the_same_bytes) {
  run("analyze float.onnx --data digits -o ranges1.json");
  run("quantize float.onnx --data digits --weights 4 -o small1.onnx");
  const std::string alone = nibble("eval float.onnx small1.onnx --data digits --json").out;
  const std::string f1 = nibble("eval float.onnx small1.onnx --data digits --metric f1 --json").out;
  for (const std::string n : {"2", "4"}) {
    const std::string launched = "launch -n " + n + " nibble ";
    run(launched + "analyze float.onnx --data digits -o ranges" + n + ".json");
    expect_same_files("ranges1.json", "ranges" + n + ".json");
    run(launched + "quantize float.onnx --data digits --weights 4 -o small" + n + ".onnx");
    expect_same_files("small1.onnx", "small" + n + ".onnx");
    EXPECT_EQ(nibble(launched + "eval float.onnx small1.onnx --data digits --json").out, alone);
    EXPECT_EQ(nibble(launched + "eval float.onnx small1.onnx --data digits --metric f1 --json").out,
              f1);
  }
}

TEST_F(ranks, train_together_what_one_would) {
  const std::string arguments =
      "qat float.onnx --data digits --weights 4 --activations 4 --epochs 1 --threads 1 --json ";
  const auto alone = nlohmann::json::parse(nibble(arguments + "-o one.onnx").out);
  const auto result = nibble("launch -n 2 nibble " + arguments + "-o two.onnx --log two.jsonl");
  ASSERT_EQ(result.status, 0) << result.err;
  const auto together = nlohmann::json::parse(result.out);
  EXPECT_NEAR(together.at("epochs").at(0).at("train_loss").get<double>(),
              alone.at("epochs").at(0).at("train_loss").get<double>(), 0.02);
  EXPECT_EQ(together.at("start"), alone.at("start"));
  EXPECT_TRUE(std::filesystem::exists(path("two.onnx")));
  EXPECT_TRUE(std::filesystem::exists(path("two.jsonl")));
}

TEST_F(ranks, a_failure_of_all_is_told_once) {
  const auto result = nibble("launch -n 3 nibble eval missing.onnx --data digits");
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.err.find("missing.onnx"), std::string::npos) << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
}

TEST_F(ranks, choose_by_no_clock) {
  const auto result = nibble(
      "launch -n 2 nibble quantize float.onnx --data digits --max-latency 9ms --threads 1 -o "
      "no.onnx");
  EXPECT_EQ(result.status, 1);
  EXPECT_NE(result.err.find("run the command without ranks"), std::string::npos) << result.err;
  EXPECT_FALSE(std::filesystem::exists(path("no.onnx")));
}

TEST_F(ranks, one_that_is_killed_is_named_and_the_others_end) {
  for (const std::string victim : {"0", "1", "2"}) {
    // Each rank leaves its process id; the victim's is killed once training has begun.
    const std::string program = testing::CommandLine::program();
    const auto result = nibble(
        "launch -n 3 sh -c 'echo $$ >pid$RANK; exec \"" + program +
            "\" train --arch digits-cnn --data digits --epochs 500 --threads 1 --log log.jsonl -o "
            "t.onnx' ",
        "(cd '" + folder_.string() +
            "' && rm -f log.jsonl && while ! grep -q step log.jsonl 2>/dev/null; do sleep 0.05; "
            "done; kill -9 $(cat pid" +
            victim + ")) &");
    EXPECT_EQ(result.status, 128 + SIGKILL) << result.err;
    EXPECT_NE(result.err.find("rank " + victim + " of 3 was ended by signal 9"), std::string::npos)
        << result.err;
    EXPECT_NE(result.err.find("rank " + victim + " of 3 ended before its time"), std::string::npos)
        << result.err;
    EXPECT_FALSE(std::filesystem::exists(path("t.onnx")));
  }
}

TEST_F(ranks, asked_to_end_they_leave_a_checkpoint_that_any_number_goes_on_from) {
  // Ends once the log tells of a step, and of having gone on.
  const auto stopped_at = [&](const std::string& count, const std::string& event) {
    return nibble("launch -n " + count + " sh -c 'echo $PPID >launcher; exec \"" + program() +
                      "\" train --arch digits-cnn --data digits --epochs 5000 --threads 1 "
                      "--log-every 1 --log log.jsonl --checkpoint c.ckpt -o t.onnx' ",
                  "(cd '" + folder_.string() + "' && while ! grep -q '\"" + event +
                      "\"' log.jsonl 2>/dev/null; do sleep 0.05; done; "
                      "kill -TERM $(cat launcher)) &");
  };
  for (const auto& [count, event] : {std::pair("2", "step"), std::pair("3", "resume")}) {
    const auto result = stopped_at(count, event);
    EXPECT_EQ(result.status, 130) << result.err;
    EXPECT_NE(result.err.find("stopped by the user after step"), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_TRUE(std::filesystem::exists(path("c.ckpt")));
  }
}

}  // namespace
}  // namespace nibble
