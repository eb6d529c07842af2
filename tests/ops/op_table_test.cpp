// Every row of the op table is complete: decided, reasoned and consistent.
#include <gtest/gtest.h>

#include <algorithm>

#include "ops/op.h"
#include "ops/row_kernels.h"

namespace nibble {
namespace {

TEST(op_table, every_row_can_be_inferred_and_run) {
  for (const OpRow& row : op_table()) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(row.infer);
    EXPECT_TRUE(row.eval || !row.kernels.rows.empty());
    EXPECT_LE(row.min_inputs, row.max_inputs < 0 ? row.min_inputs : row.max_inputs);
    EXPECT_LE(row.min_outputs, row.max_outputs < 0 ? row.min_outputs : row.max_outputs);
    EXPECT_GE(row.tolerance, 0);
  }
}

TEST(op_table, every_missing_column_has_a_reason) {
  const auto decided = [](std::string_view reason) {
    return !reason.empty() && reason != "not decided";
  };
  for (const OpRow& row : op_table()) {
    SCOPED_TRACE(row.name);
    EXPECT_TRUE(row.eval || decided(row.eval.reason)) << "eval";
    EXPECT_TRUE(!row.kernels.rows.empty() || decided(row.kernels.reason)) << "kernels";
    EXPECT_TRUE(row.quant != QuantRole::none || decided(row.why_float)) << "why_float";
  }
}

TEST(op_table, an_operator_that_is_a_table_or_arithmetic_has_an_integer_kernel) {
  for (const OpRow& row : op_table()) {
    SCOPED_TRACE(row.name);
    if (row.quant == QuantRole::table || row.quant == QuantRole::arithmetic) {
      EXPECT_TRUE(std::ranges::any_of(row.kernels.rows, &KernelRow::is_quantized));
    }
    if (row.quant == QuantRole::none && !row.weights.stored) {  // though it may give codes
      EXPECT_FALSE(testing::has_integer_kernel(row));
    }
  }
}

TEST(op_table, names_are_unique_and_sorted) {
  const auto rows = op_table();
  const auto not_before = [](const OpRow& a, const OpRow& b) {
    return std::pair(a.name, a.domain) >= std::pair(b.name, b.domain);
  };
  EXPECT_EQ(std::ranges::adjacent_find(rows, not_before), rows.end());
}

}  // namespace
}  // namespace nibble
