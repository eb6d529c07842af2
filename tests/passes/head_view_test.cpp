// Views through Transposes and Reshapes: where elements lie.
#include "passes/head_view.h"

#include <gtest/gtest.h>

namespace nibble {
namespace {

std::vector<int64_t> steps(const std::optional<HeadView>& view) {
  std::vector<int64_t> all;
  if (!view) return all;
  for (const HeadView::Axis& axis : view->axes) all.push_back(axis.step);
  return all;
}
using Steps = std::vector<int64_t>;

TEST(head_view, parts_of_an_axis_and_their_order) {
  const HeadView whole = HeadView::whole({2, 5, 12});
  EXPECT_EQ(steps(whole), (Steps{60, 12, 1}));
  const auto parted = whole.reshaped({2, 5, 3, 4});
  EXPECT_EQ(steps(parted), (Steps{60, 12, 4, 1}));
  EXPECT_EQ(steps(parted->transposed({0, 2, 3, 1})), (Steps{60, 4, 1, 12}));
}

TEST(head_view, axes_join_where_they_follow_one_another) {
  const HeadView view = HeadView::whole({2, 3, 5, 4});
  EXPECT_EQ(steps(view.reshaped({6, 20})), (Steps{20, 1}));
  EXPECT_FALSE(view.transposed({0, 2, 1, 3}).reshaped({2, 5, 12}));
  EXPECT_EQ(steps(view.transposed({2, 0, 1, 3}).reshaped({5, 6, 4})), (Steps{4, 20, 1}));
}

TEST(head_view, axes_of_one_element_come_and_go) {
  const HeadView view = HeadView::whole({1, 6, 1});
  EXPECT_EQ(view.reshaped({2, 1, 3})->shape(), (Shape{2, 1, 3}));
  EXPECT_EQ(steps(view.reshaped({6})), (Steps{1}));
  EXPECT_FALSE(view.reshaped({4}));
}

TEST(head_view, a_transpose_without_an_order_turns_all_axes_round) {
  EXPECT_EQ(transpose_order({.op = "Transpose"}, 3), (Steps{2, 1, 0}));
}

}  // namespace
}  // namespace nibble
