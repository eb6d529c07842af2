// The environment of a launcher, and what ranks do alike: shares, and sums in one order.
#include "nibble/ranks.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/machine.h"
#include "base/ordered_sum.h"
#include "base/packing.h"
#include "base/random.h"
#include "support/errors.h"

namespace nibble {
namespace {

using testing::error_of;

using Values = std::map<std::string, std::string>;

/// Sets variables, and unsets them at the end.
class Variables {
 public:
  explicit Variables(const Values& values) {
    for (const auto& [name, value] : values) {
      names_.push_back(name);
      ::setenv(name.c_str(), value.c_str(), 1);
    }
  }
  ~Variables() {
    for (const std::string& name : names_) ::unsetenv(name.c_str());
  }

 private:
  std::vector<std::string> names_;
};

const Values kOfTorchrun = {{"RANK", "3"},
                            {"WORLD_SIZE", "8"},
                            {"LOCAL_RANK", "1"},
                            {"LOCAL_WORLD_SIZE", "2"},
                            {"MASTER_ADDR", "node0.example"},
                            {"MASTER_PORT", "29511"}};

TEST(launched_place, a_process_that_nobody_launched_is_alone) {
  EXPECT_EQ(launched_place().size, 1);
  EXPECT_EQ(launched_place().rank, 0);
  const Variables alone(Values{{"WORLD_SIZE", "1"}});
  EXPECT_EQ(launched_place().size, 1);
}

TEST(launched_place, reads_the_variables_of_torchrun) {
  const Variables variables(kOfTorchrun);
  const RankPlace place = launched_place();
  EXPECT_EQ(place.rank, 3);
  EXPECT_EQ(place.size, 8);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.local_size, 2);
  EXPECT_EQ(place.address, "node0.example");
  EXPECT_EQ(place.port, 29511);
  EXPECT_EQ(place.timeout, 300);
  const Variables agent(Values{{"TORCHELASTIC_USE_AGENT_STORE", "True"}});
  EXPECT_EQ(launched_place().port, 29512);
  const Variables patience(Values{{"NIBBLE_RANK_TIMEOUT", "2.5"}});
  EXPECT_EQ(launched_place().timeout, 2.5);
}

TEST(launched_place, names_the_variable_that_is_missing_or_wrong) {
  for (const auto& [name, value, part] : std::vector<std::array<std::string, 3>>{
           {"RANK", "8", "RANK is '8': it has to be a number from 0 to 7"},
           {"RANK", "", "WORLD_SIZE is 8, so RANK has to be set too"},
           {"MASTER_ADDR", "", "so MASTER_ADDR has to be set too"},
           {"MASTER_PORT", "http", "MASTER_PORT is 'http'"},
           {"WORLD_SIZE", "-2", "WORLD_SIZE is '-2'"},
           {"NIBBLE_RANK_TIMEOUT", "soon", "NIBBLE_RANK_TIMEOUT is 'soon'"}}) {
    auto changed = kOfTorchrun;
    changed[name] = value;
    const Variables variables(changed);
    EXPECT_NE(error_of([] { launched_place(); }).find(part), std::string::npos)
        << error_of([] { launched_place(); });
  }
}

TEST(cores, are_shared_by_the_processes_that_a_launcher_started_here) {
  const int all = cores();
  const Variables variables(Values{{"LOCAL_WORLD_SIZE", "2"}});
  EXPECT_EQ(cores(), std::max(1, all / 2));
  const Variables many(Values{{"LOCAL_WORLD_SIZE", "100000"}});
  EXPECT_EQ(cores(), 1);
}

TEST(share_of, deals_out_everything_once_and_in_order) {
  for (const int64_t count : {0, 1, 5, 64, 1001}) {
    for (const int size : {1, 2, 3, 7}) {
      int64_t next = 0;
      for (int rank = 0; rank < size; ++rank) {
        const Share share = share_of(rank, size, count);
        EXPECT_EQ(share.begin, next);
        EXPECT_LE(std::abs(share.size() - count / size), 1);
        next = share.end;
      }
      EXPECT_EQ(next, count);
    }
  }
}

struct Real {
  double value = 0;
  void merge(Real&& later) { value += later.value; }
};

std::vector<std::pair<int64_t, double>> numbered(int64_t count, uint64_t seed) {
  Random random(seed);
  std::vector<std::pair<int64_t, double>> parts;
  for (int64_t i = 0; i < count; ++i) {
    // Some are missing; of very different sizes, so that no two orders agree.
    if (random.below(5) == 0) continue;
    parts.emplace_back(i, random.normal() * std::pow(10, random.normal() * 3));
  }
  return parts;
}

TEST(ordered_sum, is_the_same_to_the_bit_however_it_is_cut) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const int64_t count = 1 + static_cast<int64_t>(seed) * 13;
    const auto parts = numbered(count, seed);
    OrderedSum<Real> whole;
    for (const auto& [number, value] : parts) whole.add(number, {value});
    for (const int size : {2, 3, 4, 9}) {
      OrderedSum<Real> together;
      for (int rank = 0; rank < size; ++rank) {
        const Share share = share_of(rank, size, count);
        OrderedSum<Real> one(share.begin);
        for (const auto& [number, value] : parts) {
          if (number >= share.begin && number < share.end) one.add(number, {value});
        }
        for (const auto& run : one.runs()) together.append(run);
      }
      EXPECT_EQ(together.total().value, whole.total().value) << seed << " " << size;
    }
  }
}

TEST(ordered_sum, holds_few_runs) {
  for (const int64_t begin : {0, 1, 12345}) {
    OrderedSum<Real> sum(begin);
    size_t most = 0;
    for (int64_t i = begin; i < begin + 100'000; ++i) {
      sum.add(i, {1});
      most = std::max(most, sum.runs().size());
    }
    EXPECT_EQ(sum.total().value, 100'000);
    EXPECT_LE(most, 40U);
  }
}

TEST(packing, gives_back_what_was_put_in) {
  Packer packer;
  packer.put(int64_t{-7});
  packer.put("text");
  packer.put(std::vector<double>{1.5, -2});
  packer.put(std::vector<std::string>{"a", "", "b"});
  const std::string bytes = packer.take();
  Unpacker packed(bytes);
  EXPECT_EQ(packed.get<int64_t>(), -7);
  EXPECT_EQ(packed.text(), "text");
  EXPECT_EQ(packed.list<double>(), (std::vector<double>{1.5, -2}));
  EXPECT_EQ(packed.texts(), (std::vector<std::string>{"a", "", "b"}));
  EXPECT_TRUE(packed.done());
  EXPECT_THROW(packed.get<int>(), InternalError);
}

}  // namespace
}  // namespace nibble
