// The rung of a ladder that learns how to round.
#include "verbs/ladder.h"

#include "nibble/train.h"
#include "train/fixtures.h"

namespace nibble {
namespace {

TEST(ladder, learns_how_to_round_where_looking_at_data_is_not_enough) {
  NIBBLE_NEEDS_TRAINING();
  const Ladder ladder =
      climb(build_architecture("digits-cnn", {1, 8, 8}, 10, 3), SampleSource{.spec = "digits"},
            {.calibration = 64}, {.min_sqnr = 32}, {.threads = 1});
  ASSERT_GT(ladder.rungs.size(), 3U);
  ASSERT_TRUE(ladder.rungs[0].verdict.kept());
  const Rung &gptq = ladder.rungs[2], &learned = ladder.rungs[3];
  EXPECT_EQ(gptq.setting, "W4A8, gptq");
  EXPECT_NE(gptq.next.find("learned"), std::string::npos) << gptq.next;
  EXPECT_EQ(learned.setting, "W4A8, brecq");
  EXPECT_DOUBLE_EQ(learned.weight_bits, gptq.weight_bits);
  EXPECT_NE(learned.verdict.value, gptq.verdict.value);
}

}  // namespace
}  // namespace nibble
