// Runs cases of operators by the op table alone.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "ops/op.h"
#include "support/op_case.h"

namespace nibble::testing {

/// Infers and evaluates the operator and expects: the inferred types are those of the results, with
/// the inputs' values known or not; unknown shapes are accepted; the results are `expected` within
/// the row's tolerance, and the same bits with one thread and with three.
void expect_case(const OpCase& op_case);

/// Evaluates with `threads` threads.
std::vector<Tensor> evaluate(const OpCase& op_case, int threads = 1);
std::vector<TensorType> infer(const OpCase& op_case);

/// Values agree within `relative` of the larger of 1 and the expected magnitude; NaN equals NaN.
void expect_near(const Tensor& actual, const Tensor& expected, double relative);

}  // namespace nibble::testing
