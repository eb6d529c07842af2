// Training by several ranks: here threads of one process, which meet over Gloo as processes would.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmath>
#include <functional>
#include <mutex>
#include <thread>

#include "support/temp_folder.h"
#include "train/graph_builder.h"
#include "train/teacher_fixtures.h"

namespace nibble {
namespace {

using testing::caught;
using testing::StripedImages;

int free_port() {
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(socket, generic, length), 0);
  EXPECT_EQ(::getsockname(socket, generic, &length), 0);
  ::close(socket);
  return ntohs(address.sin_port);
}

/// What body(ranks) gives on each of so many ranks.
template <typename Body>
auto on_ranks(int size, const Body& body) {
  using Result = decltype(body(std::declval<Ranks&>()));
  std::vector<std::optional<Result>> results(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  RankPlace place{.size = size, .local_size = size, .port = free_port(), .timeout = 60};
  for (int rank = 0; rank < size; ++rank) {
    place.rank = place.local_rank = rank;
    threads.emplace_back([&, place] {
      try {
        const auto ranks = join_ranks(place);
        results[static_cast<size_t>(place.rank)] = body(*ranks);
      } catch (const Error& error) {
        ADD_FAILURE() << "rank " << place.rank << ": " << error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<Result> all;
  for (auto& result : results) {
    if (result) all.push_back(std::move(*result));
  }
  return all;
}

// With all that looks at a batch as a whole: its statistics, and dropout.
Graph small_network() {
  GraphBuilder net("small", {1, 8, 8}, 7);
  ValueId x = net.conv("conv", net.input(), 4, {.kernel = 3, .padding = 1}, false);
  x = net.relu("relu", net.batch_norm("bn", x));
  x = net.flatten("flatten", net.max_pool("pool", x, 2));
  x = net.dense("fc", net.dropout("dropout", x, 0.2F), 4);
  return std::move(net).finish(x, "out");
}

std::vector<float> numbers_of(const Graph& graph) {
  std::vector<float> numbers;
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    const Value& value = graph.value({i});
    if (!value.is_constant()) continue;
    if (value.type.quant) {
      std::ranges::copy(value.type.quant->scale, std::back_inserter(numbers));
    } else if (value.data.dtype() == DType::f32) {
      std::ranges::copy(value.data.data<float>(), std::back_inserter(numbers));
    }
  }
  return numbers;
}

void expect_near(const std::vector<float>& mine, const std::vector<float>& wanted, double share) {
  ASSERT_EQ(mine.size(), wanted.size());
  float largest = 0;
  for (const float number : wanted) largest = std::max(largest, std::abs(number));
  for (size_t i = 0; i < mine.size(); ++i) {
    ASSERT_NEAR(mine[i], wanted[i], share * std::max(std::abs(wanted[i]), 0.1F * largest)) << i;
  }
}

class training_on_ranks : public ::testing::Test {
 protected:
  void SetUp() override {
    NIBBLE_NEEDS_TRAINING();
    options_.epochs = 1;
    options_.batch = 16;
    options_.threads = 1;
    options_.learning_rate = 0.02;
    options_.warmup_epochs = 0;
  }
  using Training = std::function<TrainResult(const TrainOptions&)>;

  /// Every rank ends with the same bits, which are those of one rank but for rounding.
  void expect_as_alone(const Training& training, const TrainOptions& options, double share) const {
    const TrainResult alone = training(options);
    for (const int size : {2, 4}) {
      const auto all = on_ranks(size, [&](Ranks& ranks) {
        TrainOptions mine = options;
        mine.ranks = &ranks;
        return training(mine);
      });
      ASSERT_EQ(std::ssize(all), size);
      for (const TrainResult& one : all) {
        EXPECT_EQ(testing::constants_of(one.graph), testing::constants_of(all[0].graph));
        ASSERT_EQ(one.epochs.size(), alone.epochs.size());
        for (size_t e = 0; e < alone.epochs.size(); ++e) {
          const double loss = alone.epochs[e].train_loss;
          EXPECT_NEAR(one.epochs[e].train_loss, loss, share * loss);
          EXPECT_EQ(one.epochs[e].validation_samples, alone.epochs[e].validation_samples);
          EXPECT_EQ(one.epochs[e].validation_loss, all[0].epochs[e].validation_loss);
        }
        // Before any step nothing differs.
        EXPECT_EQ(one.start.validation_loss, alone.start.validation_loss);
        EXPECT_EQ(one.start.validation_sqnr_db, alone.start.validation_sqnr_db);
      }
      expect_near(numbers_of(all[0].graph), numbers_of(alone.graph), share);
    }
  }

  testing::TempFolder folder_;
  const StripedImages training_{96, 4, 1};
  const StripedImages validation_{64, 4, 2};
  TrainOptions options_;
};

TEST_F(training_on_ranks, statistics_dropout_and_augmentation_are_those_of_one_rank) {
  options_.flip = true;
  options_.crop_padding = 1;
  options_.mixup = 0.3;
  const Training training = [&](const TrainOptions& options) {
    return train(small_network(), training_, validation_, options);
  };
  expect_as_alone(training, options_, 1e-3);
}

TEST_F(training_on_ranks, gradients_of_several_batches_add_up_as_those_of_one_rank) {
  options_.accumulate = 2;
  options_.optimizer = Optimizer::adamw;
  options_.learning_rate = 0.002;
  const Training training = [&](const TrainOptions& options) {
    return train(small_network(), training_, validation_, options);
  };
  expect_as_alone(training, options_, 1e-2);
}

TEST_F(training_on_ranks, a_single_step_moves_weights_and_learned_scales_as_one_rank_does) {
  const Graph network = prepare_for_quantization(small_network());
  const Graph small =
      testing::quantized(network, training_, {.weight_bits = 4, .activation_bits = 4});
  options_.batch = 96;
  options_.learning_rate = 0.01;
  const Training training = [&](const TrainOptions& options) {
    return train_quantized(small, &network, training_, validation_, options);
  };
  expect_as_alone(training, options_, 1e-3);
}

TEST_F(training_on_ranks, a_teacher_is_learned_from_without_labels) {
  const Graph network = prepare_for_quantization(testing::two_outputs());
  const auto samples = testing::normal_samples(32, {2, 8, 8}, 1);
  const auto others = testing::normal_samples(16, {2, 8, 8}, 2);
  const Graph small =
      testing::quantized(network, samples, {.weight_bits = 4, .activation_bits = 8});
  options_.optimizer = Optimizer::adamw;
  options_.learning_rate = 0.001;
  options_.batch = 32;
  const Training training = [&](const TrainOptions& options) {
    return train_quantized(small, &network, samples, others, options);
  };
  expect_as_alone(training, options_, 1e-3);
}

TEST_F(training_on_ranks, networks_that_take_one_sample_at_a_time_are_trained_too) {
  const Graph network = prepare_for_quantization(testing::of_tokens());
  const auto samples = testing::token_samples(24, 9, 20, true, 1);
  const Graph small =
      testing::quantized(network, samples, {.weight_bits = 4, .activation_bits = 8});
  options_.optimizer = Optimizer::adamw;
  options_.learning_rate = 0.001;
  options_.batch = 12;
  const Training training = [&](const TrainOptions& options) {
    return train_quantized(small, &network, samples, samples, options);
  };
  expect_as_alone(training, options_, 1e-2);
}

TEST_F(training_on_ranks, it_is_gone_on_with_by_another_number_of_ranks) {
  options_.epochs = 2;
  const TrainResult whole = train(small_network(), training_, validation_, options_);
  options_.checkpoint = (folder_ / "training.ckpt").string();
  /// Asks one rank to stop after the fourth step.
  class Stop final : public TrainObserver, public ProgressSink {
   public:
    explicit Stop(bool asked) : asked_(asked) {}
    void on_step(const TrainStep& step) override { reached_ = step.step >= 4; }
    void update(std::string_view, int64_t, int64_t) override {}
    bool cancelled() const override { return asked_ && reached_; }

   private:
    bool asked_, reached_ = false;
  };
  const auto stopped = on_ranks(4, [&](Ranks& ranks) {
    Stop stop(ranks.rank() == 2);
    TrainOptions mine = options_;
    mine.ranks = &ranks;
    mine.observer = &stop;
    mine.progress = &stop;
    return caught([&] { train(small_network(), training_, validation_, mine); }).message();
  });
  for (const std::string& message : stopped) {
    EXPECT_NE(message.find("stopped by the user after step 5 of 6 in epoch 1 of 2"),
              std::string::npos)
        << message;
  }
  options_.resume = true;
  const auto resumed = on_ranks(2, [&](Ranks& ranks) {
    TrainOptions mine = options_;
    mine.ranks = &ranks;
    mine.epochs = 2;
    return train(small_network(), training_, validation_, mine);
  });
  ASSERT_EQ(resumed.size(), 2U);
  EXPECT_EQ(testing::constants_of(resumed[0].graph), testing::constants_of(resumed[1].graph));
  expect_near(numbers_of(resumed[0].graph), numbers_of(whole.graph), 2e-3);
  // Done by then: one rank finds nothing left to do.
  const TrainResult alone = train(small_network(), training_, validation_, options_);
  EXPECT_EQ(testing::constants_of(alone.graph), testing::constants_of(resumed[0].graph));
}

TEST_F(training_on_ranks, other_options_on_another_rank_are_told) {
  const auto messages = on_ranks(2, [&](Ranks& ranks) {
    TrainOptions mine = options_;
    mine.ranks = &ranks;
    if (ranks.rank() == 1) mine.learning_rate = 0.5;
    return caught([&] { train(small_network(), training_, validation_, mine); }).message();
  });
  for (const std::string& message : messages) {
    EXPECT_EQ(message,
              "rank 1 was started with other options than rank 0: --lr was 0.02 and is 0.5");
  }
}

TEST_F(training_on_ranks, what_cannot_be_dealt_out_is_refused) {
  options_.batch = 3;
  const auto few = on_ranks(4, [&](Ranks& ranks) {
    TrainOptions mine = options_;
    mine.ranks = &ranks;
    return caught([&] { train(small_network(), training_, validation_, mine); }).message();
  });
  for (const std::string& message : few) {
    EXPECT_NE(message.find("3 samples are seen at once, which cannot be dealt out to 4 ranks"),
              std::string::npos)
        << message;
  }
  const Graph network = testing::with_state();
  const auto samples = testing::normal_samples(60, {4}, 1, network.value(network.inputs[0]).name);
  const Graph prepared = prepare_for_quantization(network);
  const Graph small =
      testing::quantized(prepared, samples, {.weight_bits = 4, .activation_bits = 8});
  const auto states = on_ranks(2, [&](Ranks& ranks) {
    TrainOptions mine = options_;
    mine.ranks = &ranks;
    return caught([&] { train_quantized(small, &prepared, samples, samples, mine); }).message();
  });
  for (const std::string& message : states) {
    EXPECT_NE(message.find("carries states from sample to sample"), std::string::npos) << message;
  }
}

TEST_F(training_on_ranks, what_ranks_give_is_gathered_in_their_order) {
  const auto all = on_ranks(3, [](Ranks& ranks) {
    const auto first = ranks.gather(std::string(static_cast<size_t>(ranks.rank()) * 1000, 'x'));
    const auto second = ranks.gather(std::to_string(ranks.rank()));
    EXPECT_EQ(first[0], "");
    EXPECT_EQ(first[2].size(), 2000U);
    return second;
  });
  for (const auto& texts : all) EXPECT_EQ(texts, (std::vector<std::string>{"0", "1", "2"}));
}

TEST_F(training_on_ranks, a_rank_that_does_not_come_is_named) {
  const RankPlace place{.rank = 0, .size = 3, .port = free_port(), .timeout = 1};
  RankPlace other = place;
  other.rank = 2;
  std::string of_other;
  std::thread thread([&] { of_other = caught([&] { join_ranks(other); }).message(); });
  const std::string message = caught([&] { join_ranks(place); }).message();
  thread.join();
  EXPECT_NE(message.find("rank 1 of 3 did not come to 127.0.0.1:"), std::string::npos) << message;
}

}  // namespace
}  // namespace nibble
