// Values change their form where a kernel asks for another: unsigned, signed and 16-bit codes,
// packed weights.
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/graphs.h"
#include "runtime/lower.h"

namespace nibble {
namespace {

using test::Builder;
using test::largest_difference;
using test::per_tensor;
using test::random_tensor;

// Relu on codes of T, as an operator's row would offer it.
template <typename T>
class ReluOnCodes : public Kernel {
 public:
  ReluOnCodes(const KernelSpec& spec) : zero_(spec.grid(0)->zero_point[0]) {
    EXPECT_EQ(spec.grid(0)->storage, dtype_of<T>());
    EXPECT_EQ(spec.types.input(0).dtype, dtype_of<T>());
    EXPECT_EQ(spec.output_grid()->storage, dtype_of<T>());
  }
  void run(EvalContext& context) const override {
    const std::span<const T> in = context.input(0).data<T>();
    Tensor& out = context.output(0, dtype_of<T>(), context.input(0).shape());
    std::ranges::transform(in, out.data<T>().begin(),
                           [&](T code) { return std::max(code, static_cast<T>(zero_)); });
  }
  std::string describe() const override { return "relu on codes"; }

 private:
  int32_t zero_;
};

template <typename T>
std::unique_ptr<Kernel> make_relu(const KernelSpec& spec) {
  return std::make_unique<ReluOnCodes<T>>(spec);
}

Tensor run_once(const Graph& graph, const Tensor& input, const TrialKernels& trials,
                std::vector<std::string>* kernels = nullptr) {
  ThreadPool pool(1);
  const auto program = build_executable(graph, {.optimize = false}, pool, trials);
  if (kernels != nullptr) {
    for (const Step& step : program->steps) {
      kernels->push_back(step.kernel ? step.kernel->describe() : "eval");
    }
  }
  return program->run(std::span(&input, 1), {.pool = pool})[0].clone();
}

TEST(forms, a_kernel_on_signed_codes_stands_between_kernels_on_unsigned_ones) {
  Builder b;
  const QuantParams type = per_tensor(0.05F, 100);
  const ValueId x = b.input("x", {4, 20}, type);
  const ValueId y = b.op("Relu", {b.op("Relu", {x}, {}, type)}, {}, type);
  const ValueId z = b.op("Tanh", {y}, {}, per_tensor(0.01F, 128));
  const Graph graph = b.finish({z});
  const Tensor input = random_tensor({4, 20}, b.random, 3);
  const TrialKernels trials = {
      {"Relu",
       {{.name = "s8", .reads = {Reads::s8}, .gives = Gives::s8, .make = make_relu<int8_t>}}}};
  std::vector<std::string> kernels;
  const Tensor got = run_once(graph, input, trials, &kernels);
  EXPECT_EQ(largest_difference(got, run_once(graph, input, {})), 0);
  // To signed codes once, and back once: the second Relu reads what the first gave.
  EXPECT_EQ(std::ranges::count(kernels, "u8 codes to i8 codes"), 1);
  EXPECT_EQ(std::ranges::count(kernels, "i8 codes to u8 codes"), 1);
  EXPECT_EQ(std::ranges::count(kernels, "relu on codes"), 2);
}

TEST(forms, a_kernel_on_sixteen_bit_codes_reads_values_that_others_see_as_reals) {
  Builder b;
  const QuantParams type = per_tensor(0.0002F, 30000, DType::u16);
  const ValueId x = b.input("x", {4, 20}, type);
  const ValueId y = b.op("Relu", {x}, {}, type);
  const Graph graph = b.finish({b.op("Exp", {y})});
  const Tensor input = random_tensor({4, 20}, b.random, 2);
  const TrialKernels trials = {
      {"Relu",
       {{.name = "u16", .reads = {Reads::u16}, .gives = Gives::u16, .make = make_relu<uint16_t>}}}};
  std::vector<std::string> kernels;
  const Tensor got = run_once(graph, input, trials, &kernels);
  EXPECT_LT(largest_difference(got, run_once(graph, input, {})), 1e-4);
  EXPECT_EQ(std::ranges::count(kernels, "real to u16 codes"), 1);
  EXPECT_EQ(std::ranges::count(kernels, "u16 codes to real"), 1);
}

TEST(forms, a_kernel_that_gives_codes_is_not_asked_where_the_result_has_none) {
  Builder b;
  const ValueId x = b.input("x", {4, 20}, per_tensor(0.05F, 100));
  const Graph graph = b.finish({b.op("Relu", {x})});
  const TrialKernels trials = {
      {"Relu",
       {{.name = "s8", .reads = {Reads::s8}, .gives = Gives::s8, .make = make_relu<int8_t>}}}};
  ThreadPool pool(1);
  const auto program = build_executable(graph, {.optimize = false}, pool, trials);
  const auto step = std::ranges::find_if(
      program->steps, [](const Step& s) { return s.node != nullptr && s.node->op == "Relu"; });
  ASSERT_NE(step, program->steps.end());
  ASSERT_EQ(step->refusals.size(), 1U);
  EXPECT_EQ(step->refusals[0].kernel, "s8");
  EXPECT_EQ(step->refusals[0].reason, "its result is not quantized to 8 bits or fewer");
}

// ---- Packed weights

enum class Scales { per_channel, blocks };

ValueId packed_weight(Builder& b, const Shape& shape, int output_axis, int reduction_axis, int bits,
                      Scales scales) {
  const ValueId id = b.weight(shape, output_axis, bits);
  if (scales == Scales::per_channel) return id;
  QuantParams& quant = *b.graph.value(id).type.quant;
  quant.granularity = Granularity::per_block;
  quant.axis = reduction_axis;
  quant.block_size = 8;
  const auto groups = static_cast<size_t>(quant_groups(quant, shape));
  quant.scale.resize(groups);
  for (float& scale : quant.scale) scale = static_cast<float>(0.01 + 0.05 * b.random.uniform());
  quant.zero_point.assign(groups, 0);
  return id;
}

void expect_packed(const Graph& graph, const Tensor& input, int bits) {
  const Tensor expected =
      test::run_graph(graph, {input}, {.arithmetic = Arithmetic::f32, .optimize = false})[0];
  Program program = compile(graph);
  const Tensor actual = program.run(std::span(&input, 1))[0].clone();
  EXPECT_LT(largest_difference(actual, expected), 1e-4);
  const std::string wanted = "packed " + std::to_string(bits) + "-bit weights";
  const std::vector<StepProfile> lines = program.profile();
  EXPECT_EQ(std::ranges::count_if(lines,
                                  [&](const StepProfile& line) {
                                    return line.kernel.find(wanted) != std::string::npos;
                                  }),
            1);
  for (int threads : {2, 3}) {
    EXPECT_EQ(largest_difference(test::run_graph(graph, {input}, {.threads = threads})[0], actual),
              0);
  }
}

TEST(packed_weights, gemm_and_matmul_run_from_them) {
  for (int bits : {4, 8}) {
    for (const Scales scales : {Scales::per_channel, Scales::blocks}) {
      for (int64_t trans_b : {0, 1}) {
        Builder b;
        const ValueId x = b.input("x", {5, 37});
        const int out = trans_b != 0 ? 0 : 1;
        const Shape shape = trans_b != 0 ? Shape{11, 37} : Shape{37, 11};
        const ValueId w = packed_weight(b, shape, out, 1 - out, bits, scales);
        const ValueId bias = b.constant(random_tensor({11}, b.random));
        const ValueId y = b.op("Gemm", {x, w, bias}, {{"transB", trans_b}, {"beta", 0.5F}});
        expect_packed(b.finish({b.op("Relu", {y})}), random_tensor({5, 37}, b.random), bits);
      }
      Builder b;
      const ValueId x = b.input("x", {2, 3, 64});
      const ValueId w = packed_weight(b, {64, 9}, 1, 0, bits, scales);
      expect_packed(b.finish({b.op("MatMul", {x, w})}), random_tensor({2, 3, 64}, b.random), bits);
    }
  }
}

TEST(packed_weights, convolutions_run_from_them) {
  for (int bits : {4, 8}) {
    for (const Scales scales : {Scales::per_channel, Scales::blocks}) {
      for (int64_t group : {1, 2}) {
        Builder b;
        const ValueId x = b.input("x", {2, 16, 9, 7});
        const ValueId w = packed_weight(b, {20, 16 / group, 3, 3}, 0, 1, bits, scales);
        const ValueId bias = b.constant(random_tensor({20}, b.random));
        const ValueId y = b.op("Conv", {x, w, bias},
                               {{"group", group},
                                {"pads", std::vector<int64_t>{1, 0, 2, 1}},
                                {"strides", std::vector<int64_t>{2, 1}},
                                {"dilations", std::vector<int64_t>{1, 2}}});
        expect_packed(b.finish({b.op("Relu", {y})}), random_tensor({2, 16, 9, 7}, b.random), bits);
      }
    }
  }
}

TEST(packed_weights, are_all_the_weights_in_memory) {
  Builder b;
  const ValueId x = b.input("x", {1, 512});
  const ValueId w = packed_weight(b, {512, 256}, 1, 0, 4, Scales::per_channel);
  const Program program = compile(b.finish({b.op("MatMul", {x, w})}));
  EXPECT_LT(program.constant_bytes(), 512U * 256U / 2U + 256U * 16U);
}

TEST(packed_weights, are_not_used_where_the_data_are_quantized_too) {
  Builder b;
  const ValueId x = b.input("x", {5, 37}, per_tensor(0.02F, 120));
  const ValueId w = b.weight({37, 11}, 1);
  Program program = compile(b.finish({b.op("MatMul", {x, w})}));
  EXPECT_EQ(program.coverage().integer_nodes, 1);
}

}  // namespace
}  // namespace nibble
