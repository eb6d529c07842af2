// Operators whose evaluation and prepared kernel are one and the same function object.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "ops/op.h"

namespace nibble {

/// A kernel around a copyable `Op` with `void operator()(EvalContext&) const` (which allocates
/// nothing) and `static constexpr std::string_view kName`.
template <typename Op>
class PreparedOp : public Kernel {
 public:
  explicit PreparedOp(Op op) : op_(std::move(op)) {}
  void run(EvalContext& context) const override { op_(context); }
  std::string describe() const override { return std::string(Op::kName); }

 private:
  Op op_;
};

template <typename Op>
std::unique_ptr<Kernel> make_prepared(Op op) {
  return std::make_unique<PreparedOp<Op>>(std::move(op));
}

}  // namespace nibble
