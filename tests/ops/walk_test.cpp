// One walk over the op table: every operator has cases, and they hold by every way to run it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "nibble/error.h"
#include "nibble/runtime.h"
#include "ops/on_grid.h"
#include "ops/op_case.h"
#include "ops/row_kernels.h"
#include "support/tensors.h"

namespace nibble::testing {
namespace {

std::vector<Tensor> run(Program& program, const std::vector<Tensor>& inputs) {
  std::vector<Tensor> results;
  for (const Tensor& result : program.run(inputs)) results.push_back(result.clone());
  return results;
}

/// The kernel that runs the case's node; "" if there is no step for it (a view, or folded).
std::string kernel_of(const Program& program) {
  for (const StepProfile& step : program.profile()) {
    if (step.node == "case") return step.kernel;
  }
  return "";
}

bool holds_bodies(const OpCase& op_case) {
  return std::ranges::any_of(op_case.attributes, [](const auto& item) {
    return std::holds_alternative<std::shared_ptr<const Graph>>(item.second);
  });
}

/// Runs the case compiled, with one thread and with three, and returns its kernel.
std::string expect_compiled(const OpCase& op_case, const OpRow& row,
                            const std::vector<bool>& constant) {
  const std::vector<Tensor> inputs = graph_inputs(op_case, constant);
  std::string kernel;
  std::vector<Tensor> first;
  for (const int threads : {1, 3}) {
    Program program =
        compile(graph_of(op_case, constant), {.arithmetic = Arithmetic::f32, .threads = threads});
    const std::vector<Tensor> results = run(program, inputs);
    EXPECT_EQ(results.size(), op_case.expected.size());
    for (size_t i = 0; i < results.size() && i < op_case.expected.size(); ++i) {
      expect_near(results[i], op_case.expected[i], row.tolerance);
      if (threads > 1) {
        EXPECT_TRUE(same_bytes(results[i], first[i])) << "depends on threads";
      }
    }
    first = results;
    kernel = kernel_of(program);
  }
  return kernel;
}

/// All inputs known but the first: weights, axes and indices as models have them.
std::vector<bool> all_but_the_first(const OpCase& op_case) {
  std::vector<bool> constant(op_case.inputs.size(), true);
  if (!constant.empty()) constant[0] = false;
  return constant;
}

TEST(op_table, every_operator_has_a_case) {
  for (const OpRow& row : op_table()) {
    EXPECT_FALSE(cases_of(row.name, row.domain).empty()) << row.domain << " " << row.name;
  }
}

TEST(op_table, every_case_is_of_an_operator) {
  for (const OpCase& op_case : op_cases()) {
    EXPECT_NE(find_op(op_case.op, op_case.domain), nullptr) << op_case.op;
  }
}

TEST(op_table, types_and_evaluation_are_what_the_cases_say) {
  for (const OpCase& op_case : op_cases()) {
    if (holds_bodies(op_case)) continue;
    try {
      expect_case(op_case);
    } catch (const Error& error) {
      ADD_FAILURE() << to_string(op_case) << ": " << error.what();
    }
  }
}

TEST(op_table, compiled_programs_give_what_the_cases_say_by_the_rows_kernel) {
  for (const OpRow& row : op_table()) {
    bool by_kernel = false;
    for (const OpCase* op_case : cases_of(row.name, row.domain)) {
      SCOPED_TRACE(to_string(*op_case));
      for (const auto& constant : {std::vector<bool>(), all_but_the_first(*op_case)}) {
        try {
          const std::string kernel = expect_compiled(*op_case, row, constant);
          by_kernel = by_kernel || (!kernel.empty() && !kernel.starts_with("eval"));
        } catch (const Error& error) {
          ADD_FAILURE() << error.what();
        }
      }
    }
    EXPECT_TRUE(by_kernel || !has_real_kernel(row)) << row.name << ": no case runs by a kernel";
  }
}

/// Runs the case on codes; false if it lies on no grid or does not run by integer kernels alone.
bool expect_on_codes(const OpCase& op_case, const OpRow& row) {
  const auto grid = on_grid(op_case, row);
  if (!grid) return false;
  Program program = compile(grid->graph, {.arithmetic = Arithmetic::integer});
  const Program::Coverage coverage = program.coverage();
  if (coverage.nodes == 0 || coverage.integer_nodes < coverage.nodes) return false;
  const std::vector<Tensor> results = run(program, grid->inputs);
  for (size_t i = 0; i < results.size(); ++i) {
    if (op_case.expected[i].dtype() != DType::f32) continue;
    EXPECT_LE(largest_difference(results[i], op_case.expected[i]), grid->tolerance[i])
        << "output " << i << " by " << kernel_of(program);
  }
  return true;
}

TEST(op_table, integer_kernels_give_what_the_cases_say_within_half_a_step) {
  for (const OpRow& row : op_table()) {
    if (!has_integer_kernel(row)) continue;
    bool ran = false;
    for (const OpCase* op_case : cases_of(row.name, row.domain)) {
      SCOPED_TRACE(to_string(*op_case));
      try {
        ran = expect_on_codes(*op_case, row) || ran;
      } catch (const Error& error) {
        ADD_FAILURE() << error.what();
      }
    }
    EXPECT_TRUE(ran) << row.name << ": no case lies on a grid and runs on codes";
  }
}

}  // namespace
}  // namespace nibble::testing
