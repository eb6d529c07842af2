// What a training writes down: read back by parsers of its own.
#include "train/log/log.h"

#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "nibble/error.h"
#include "support/temp_folder.h"
#include "train/fixtures.h"
#include "train/graph_builder.h"
#include "train/log/event_file.h"

namespace nibble {
namespace {

using Json = nlohmann::json;

TEST(event_file, checksums_are_castagnolis) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);  // RFC 3720, B.4
}

/// A reader of protocol buffers and of the records they lie in, no more than the tests need.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  bool done() const { return bytes_.empty(); }
  template <typename T>
  T fixed() {
    T number = 0;
    for (size_t i = 0; i < sizeof number; ++i) {
      number |= static_cast<T>(static_cast<unsigned char>(bytes_[i])) << (8 * i);
    }
    bytes_.remove_prefix(sizeof number);
    return number;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = fixed<uint8_t>();
      value |= static_cast<uint64_t>(byte & 127) << shift;
      if (byte < 128) return value;
    }
  }
  std::string_view bytes(uint64_t count) {
    const std::string_view part = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return part;
  }

 private:
  std::string_view bytes_;
};

/// The fields of a message, by number: numbers as their bits, bytes as they are.
std::map<uint64_t, std::string> fields_of(std::string_view message) {
  std::map<uint64_t, std::string> fields;
  Reader reader(message);
  while (!reader.done()) {
    const uint64_t key = reader.varint();
    std::string& field = fields[key / 8];
    switch (key % 8) {
      case 0:
        field = std::to_string(reader.varint());
        break;
      case 1:
        field = std::to_string(std::bit_cast<double>(reader.fixed<uint64_t>()));
        break;
      case 2:
        field = reader.bytes(reader.varint());
        break;
      default:
        field = std::to_string(std::bit_cast<float>(reader.fixed<uint32_t>()));
    }
  }
  return fields;
}

std::vector<std::map<uint64_t, std::string>> events_in(const std::string& bytes) {
  const auto unmasked = [](uint32_t masked) { return std::rotl(masked - 0xa282ead8U, 15); };
  std::vector<std::map<uint64_t, std::string>> events;
  Reader reader(bytes);
  while (!reader.done()) {
    const std::string length_bytes(Reader(reader).bytes(8));
    const auto length = reader.fixed<uint64_t>();
    EXPECT_EQ(unmasked(reader.fixed<uint32_t>()), crc32c(length_bytes));
    const std::string_view event = reader.bytes(length);
    EXPECT_EQ(unmasked(reader.fixed<uint32_t>()), crc32c(event));
    events.push_back(fields_of(event));
  }
  return events;
}

TEST(event_file, a_scalar_is_a_record_of_an_event_with_a_summary) {
  const auto events = events_in(event_record(file_version_event(12.5)) +
                                event_record(scalar_event(13, 300, "loss", 0.25F)) +
                                event_record(restart_event(14, 7)));
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].at(1), "12.500000");
  EXPECT_EQ(events[0].at(3), "brain.Event:2");
  EXPECT_EQ(events[1].at(2), "300");
  const auto value = fields_of(fields_of(events[1].at(5)).at(1));
  EXPECT_EQ(value.at(1), "loss");
  EXPECT_EQ(value.at(2), "0.250000");
  EXPECT_EQ(events[2].at(2), "7");
  EXPECT_EQ(fields_of(events[2].at(7)).at(1), "1");
}

class training_log : public ::testing::Test {
 protected:
  void SetUp() override {
    NIBBLE_NEEDS_TRAINING();
    options_.epochs = 2;
    options_.batch = 16;
    options_.threads = 1;
    options_.log_every = 3;
    options_.log = (folder_ / "log.jsonl").string();
    options_.tensorboard = (folder_ / "runs/one").string();
  }
  TrainResult run() const {
    GraphBuilder net("small", {1, 8, 8}, 7);
    const ValueId x = net.relu("relu", net.conv("conv", net.input(), 4, {.kernel = 3}, true));
    const ValueId y = net.dense("fc", net.flatten("flatten", x), 4);
    return train(std::move(net).finish(y, "out"), training_, validation_, options_);
  }
  std::vector<Json> lines() const {
    std::vector<Json> all;
    std::istringstream text(read_file(options_.log));
    for (std::string line; std::getline(text, line);) all.push_back(Json::parse(line));
    return all;
  }
  std::vector<Json> lines(const std::string& event) const {
    std::vector<Json> some;
    for (const Json& line : lines()) {
      if (line.at("event") == event) some.push_back(line);
    }
    return some;
  }
  const testing::TempFolder folder_;
  const testing::StripedImages training_{128, 4, 1};
  const testing::StripedImages validation_{64, 4, 2};
  TrainOptions options_;
};

TEST_F(training_log, has_a_line_for_each_so_many_steps_and_for_each_epoch) {
  const TrainResult result = run();
  EXPECT_EQ(lines().front().at("event"), "begin");
  EXPECT_EQ(lines().front().at("steps_per_epoch"), 8);
  EXPECT_EQ(lines("start").at(0).at("validation_samples"), 64);
  const std::vector<Json> steps = lines("step"), epochs = lines("epoch");
  ASSERT_EQ(steps.size(), 5U);
  EXPECT_EQ(steps[4].at("step"), 15);
  EXPECT_EQ(steps[4].at("epoch"), 2);
  EXPECT_GT(steps[4].at("samples_per_second"), 0);
  ASSERT_EQ(epochs.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(epochs[i].at("step"), 8 * (i + 1));
    EXPECT_EQ(epochs[i].at("train_loss"), result.epochs[i].train_loss);
    const Json& score = epochs[i].at("score");
    EXPECT_EQ(score.at("metric"), "accuracy");
    EXPECT_EQ(score.at("samples"), 64);
    EXPECT_EQ(score.at("value"), result.epochs[i].validation_accuracy);
    EXPECT_LE(score.at("interval_95").at(0), score.at("value"));
    EXPECT_GE(score.at("interval_95").at(1), score.at("value"));
  }
}

TEST_F(training_log, event_files_hold_the_same_numbers) {
  const TrainResult result = run();
  std::vector<std::filesystem::path> files;
  for (const auto& file : std::filesystem::directory_iterator(options_.tensorboard)) {
    files.push_back(file.path());
  }
  ASSERT_EQ(files.size(), 1U);
  EXPECT_TRUE(files[0].filename().string().starts_with("events.out.tfevents."));
  std::map<std::string, std::vector<std::pair<int64_t, float>>> scalars;
  for (const auto& event : events_in(read_file(files[0]))) {
    if (!event.contains(5)) continue;
    const auto value = fields_of(fields_of(event.at(5)).at(1));
    scalars[value.at(1)].emplace_back(std::stoll(event.at(2)), std::stof(value.at(2)));
  }
  EXPECT_EQ(scalars.at("loss/training").size(), 5U);
  EXPECT_EQ(scalars.at("learning_rate").size(), 5U);
  ASSERT_EQ(scalars.at("validation/accuracy").size(), 3U);  // with that of the start
  EXPECT_EQ(scalars.at("validation/accuracy")[2].first, 16);
  EXPECT_NEAR(scalars.at("validation/accuracy")[2].second, result.epochs[1].validation_accuracy,
              1e-6);
  EXPECT_EQ(scalars.at("validation/samples")[0].second, 64);
}

/// Asks to stop after so many steps.
class StopAfter final : public TrainObserver, public ProgressSink {
 public:
  explicit StopAfter(int64_t step) : step_(step) {}
  void on_step(const TrainStep& step) override { reached_ = step.step >= step_; }
  void update(std::string_view, int64_t, int64_t) override {}
  bool cancelled() const override { return reached_; }

 private:
  int64_t step_;
  bool reached_ = false;
};

TEST_F(training_log, of_a_training_that_goes_on_goes_on_without_the_lines_that_were_lost) {
  options_.checkpoint = (folder_ / "checkpoint").string();
  StopAfter stop(10);
  options_.observer = &stop;
  options_.progress = &stop;
  EXPECT_THROW(run(), Error);
  // As if it had been killed after more steps and an epoch that no checkpoint knows.
  write_file(options_.log, read_file(options_.log) +
                               "{\"event\":\"step\",\"step\":12}\n{\"event\":\"epoch\",\"step\":10,"
                               "\"epoch\":2}\n{\"event\":\"ste");
  options_.observer = nullptr;
  options_.progress = nullptr;
  run();
  std::vector<int64_t> steps;
  for (const Json& line : lines("step")) steps.push_back(line.at("step"));
  EXPECT_EQ(steps, (std::vector<int64_t>{3, 6, 9, 12, 15}));
  EXPECT_EQ(lines("begin").size(), 1U);
  EXPECT_EQ(lines("epoch").size(), 2U);
  EXPECT_EQ(lines("resume").at(0).at("step"), 10);
  const auto files = std::filesystem::directory_iterator(options_.tensorboard);
  EXPECT_EQ(std::distance(begin(files), end(files)), 2);
}

TEST_F(training_log, a_file_that_cannot_be_written_is_named) {
  options_.log = (folder_ / "no/such/folder.jsonl").string();
  try {
    run();
    ADD_FAILURE() << "no Error was thrown";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    EXPECT_NE(error.message().find(options_.log), std::string::npos);
  }
}

}  // namespace
}  // namespace nibble
