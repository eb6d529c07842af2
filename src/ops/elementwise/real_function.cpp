#include "ops/elementwise/real_function.h"

#include <algorithm>
#include <array>

#include "ops/support/compute.h"
#include "ops/support/row_sink.h"

namespace nibble {
namespace {

struct FunctionRow {
  std::string_view op;
  std::string_view approximate;  // the attribute, of operators that have it
  RealFunction function;
};

constexpr std::array kFunctions = {
    FunctionRow{"Erf", "", RealFunction::erf},
    FunctionRow{"Gelu", "none", RealFunction::gelu},
    FunctionRow{"Gelu", "tanh", RealFunction::gelu_tanh},
    FunctionRow{"Sigmoid", "", RealFunction::sigmoid},
    FunctionRow{"Tanh", "", RealFunction::tanh},
};

const FunctionRow* find(const Node& node) {
  const std::string approximate = node.attributes.text("approximate", "none");
  const auto row = std::ranges::find_if(kFunctions, [&](const FunctionRow& r) {
    return r.op == node.op && (r.approximate.empty() || r.approximate == approximate);
  });
  return row == kFunctions.end() ? nullptr : &*row;
}

class RealFunctionKernel : public Kernel {
 public:
  RealFunctionKernel(const KernelSpec& spec, const FunctionRow& row)
      : map_(isa_row(best_isa()).reals().function(row.function)), sink_(spec), name_(row.op) {}

  void run(EvalContext& context) const override {
    const float* in = context.input(0).data<float>().data();
    void* out = sink_.open(context);
    context.pool.parallel_ranges(sink_.shape().elements(), kCostlyGrain,
                                 [&](int64_t begin, int64_t end) {
                                   alignas(64) std::array<float, kChunk> buffer;
                                   for (int64_t at = begin; at < end; at += kChunk) {
                                     const int64_t count = std::min(kChunk, end - at);
                                     float* result = sink_.place(out, at, buffer.data());
                                     map_(in + at, result, count);
                                     sink_.store(result, out, at, count);
                                   }
                                 });
  }
  bool in_place(size_t) const override { return !sink_.gives_codes(); }
  std::string describe() const override {
    return fmt::format("{} f32{} {}", name_, sink_.gives_codes() ? " to u8" : "", name_of(isa_));
  }

 private:
  RealRows::Map map_;
  RowSink sink_;
  std::string_view name_;
  Isa isa_ = best_isa();
};

}  // namespace

std::unique_ptr<Kernel> real_function(const KernelSpec& spec) {
  const FunctionRow* row = find(spec.types.node);
  if (row == nullptr) return spec.refuse("there is no such approximation");
  if (spec.types.input(0).dtype != DType::f32) return spec.refuse("its data are not f32");
  return std::make_unique<RealFunctionKernel>(spec, *row);
}

}  // namespace nibble
