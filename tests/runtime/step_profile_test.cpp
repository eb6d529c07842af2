// Profiles: which steps there are, what they compute and move, and when they ran.
#include <algorithm>
#include <thread>

#include "graphs.h"
#include "support/bodies.h"

namespace nibble {
namespace {

using test::Builder;
using test::per_tensor;
using test::random_tensor;

constexpr int64_t kSize = 6;

// Conv of 4 channels to 8, depthwise Conv of 8, global pool, Flatten, Gemm to 3; Sigmoid in reals.
Graph network(bool quantized) {
  Builder b(7);
  const auto type = [&](float scale) {
    return quantized ? std::optional(per_tensor(scale, 120)) : std::nullopt;
  };
  const auto weight = [&](const Shape& shape) {
    return quantized ? b.weight(shape, 0) : b.constant(random_tensor(shape, b.random, 0.3F));
  };
  const ValueId x = b.input("x", {1, 4, kSize, kSize}, type(0.02F));
  const ValueId conv = b.op("Conv", {x, weight({8, 4, 3, 3})},
                            {{"pads", std::vector<int64_t>{1, 1, 1, 1}}}, type(0.03F));
  const ValueId deep =
      b.op("Conv", {conv, weight({8, 1, 3, 3})},
           {{"group", int64_t{8}}, {"pads", std::vector<int64_t>{1, 1, 1, 1}}}, type(0.03F));
  const ValueId pooled = b.op("GlobalAveragePool", {deep}, {}, type(0.03F));
  const ValueId flat = b.op("Flatten", {pooled}, {}, type(0.03F));
  const ValueId logits = b.op("Gemm", {flat, weight({3, 8})}, {{"transB", int64_t{1}}});
  return b.finish({b.op("Softmax", {logits})});
}

std::vector<StepProfile> profile_of_runs(Program& program, const std::vector<Tensor>& inputs,
                                         int runs) {
  program.profile(true);
  for (int run = 0; run < runs; ++run) program.run(inputs);
  return program.profile();
}

const StepProfile* find(const std::vector<StepProfile>& steps, StepKind kind) {
  const auto at = std::ranges::find(steps, kind, &StepProfile::kind);
  return at == steps.end() ? nullptr : &*at;
}

std::vector<Tensor> input_of_network() {
  Random random(2);
  return {random_tensor({1, 4, kSize, kSize}, random)};
}

TEST(step_profile, says_what_each_step_computes_and_on_what) {
  for (const bool quantized : {false, true}) {
    Program program = compile(network(quantized));
    const auto steps = profile_of_runs(program, input_of_network(), 1);
    const DType arithmetic = quantized ? DType::i8 : DType::f32;
    const StepProfile* conv = find(steps, StepKind::convolution);
    const StepProfile* deep = find(steps, StepKind::depthwise);
    const StepProfile* product = find(steps, StepKind::product);
    const StepProfile* pool = find(steps, StepKind::pooling);
    ASSERT_TRUE(conv && deep && product && pool) << quantized;
    EXPECT_EQ(conv->macs, 8 * 4 * 9 * kSize * kSize);
    EXPECT_EQ(deep->macs, 8 * 9 * kSize * kSize);
    EXPECT_EQ(product->macs, 3 * 8);
    EXPECT_EQ(pool->macs, 0);
    for (const StepProfile* step : {conv, deep, product, pool}) {
      EXPECT_EQ(step->arithmetic, arithmetic) << step->node << quantized;
    }
    EXPECT_NE(find(steps, StepKind::layout), nullptr);
    const StepProfile* softmax = find(steps, StepKind::elementwise);
    ASSERT_NE(softmax, nullptr);
    EXPECT_EQ(softmax->op, "Softmax");
    EXPECT_EQ(softmax->arithmetic, DType::f32);
  }
}

TEST(step_profile, a_value_that_changes_its_form_is_a_step_of_its_own) {
  Builder b;
  const QuantParams type = per_tensor(0.05F, 100);
  const ValueId x = b.input("x", {4, 20}, type);
  const ValueId y = b.op("Sigmoid", {x}, {}, type);
  Program program = compile(b.finish({b.op("Softmax", {y})}));
  const auto steps = profile_of_runs(program, {random_tensor({4, 20}, b.random)}, 1);
  ASSERT_EQ(steps.size(), 4U);
  EXPECT_EQ(steps[0].op, "Quantize");
  EXPECT_EQ(steps[0].node, "x");
  EXPECT_EQ(steps[1].arithmetic, DType::i8);
  EXPECT_EQ(steps[2].op, "Dequantize");
  EXPECT_EQ(steps[2].kind, StepKind::conversion);
  EXPECT_EQ(steps[3].arithmetic, DType::f32);
}

TEST(step_profile, counts_operands_as_they_lie_in_memory) {
  Program program = compile(network(true));
  const auto steps = profile_of_runs(program, input_of_network(), 1);
  const StepProfile* conv = find(steps, StepKind::convolution);
  ASSERT_NE(conv, nullptr);
  EXPECT_EQ(conv->read_bytes, 4 * kSize * kSize);
  EXPECT_EQ(conv->written_bytes, 8 * kSize * kSize);
  EXPECT_EQ(conv->result, "u8[1,6,6,8]");
  EXPECT_GE(conv->weight_bytes.value_or(0), 8U * 4 * 9);  // packed, with what is padded
  const StepProfile* softmax = find(steps, StepKind::elementwise);
  EXPECT_EQ(softmax->read_bytes, 3U * 4);
  EXPECT_EQ(softmax->weight_bytes, 0U);
}

TEST(step_profile, what_picks_rows_of_a_table_reads_no_more_than_these) {
  Builder b;
  const ValueId table = b.constant(random_tensor({1000, 16}, b.random));
  const ValueId ids = b.graph.add_value("ids", {.dtype = DType::i64, .shape = {3}});
  b.graph.inputs = {ids};
  Program program = compile(b.finish({b.op("Gather", {table, ids})}));
  const int64_t rows[] = {5, 0, 999};
  const auto steps =
      profile_of_runs(program, {Tensor::of<int64_t>({3}, std::span<const int64_t>(rows))}, 1);
  ASSERT_EQ(steps.size(), 1U);
  EXPECT_EQ(steps[0].kind, StepKind::movement);
  EXPECT_EQ(steps[0].weight_bytes, 3U * 16 * 4);
  EXPECT_EQ(steps[0].written_bytes, 3U * 16 * 4);
}

TEST(step_profile, each_run_leaves_a_time_of_each_step_in_order) {
  Program program = compile(network(true));
  const auto steps = profile_of_runs(program, input_of_network(), 5);
  double before = 0;
  for (const StepProfile& step : steps) {
    ASSERT_EQ(step.runs.size(), 5U) << step.node;
    ASSERT_EQ(step.run_seconds.size(), 5U);
    for (int run = 0; run < 5; ++run) {
      const StepRun& one = step.runs[static_cast<size_t>(run)];
      EXPECT_EQ(one.run, run);
      EXPECT_LE(one.begin_s, one.end_s);
      EXPECT_DOUBLE_EQ(step.run_seconds[static_cast<size_t>(run)], one.end_s - one.begin_s);
    }
    EXPECT_LE(before, step.runs[0].begin_s);
    before = step.runs[0].end_s;
  }
}

TEST(step_profile, held_it_lets_runs_pass_and_switched_on_again_it_starts_anew) {
  Program program = compile(network(false));
  const auto inputs = input_of_network();
  program.run(inputs);
  EXPECT_TRUE(program.profile()[0].runs.empty());
  program.profile(true);
  program.run(inputs);
  program.hold_profile(true);
  program.run(inputs);
  program.hold_profile(false);
  program.run(inputs);
  EXPECT_EQ(program.profile()[0].runs.size(), 2U);
  EXPECT_EQ(program.profile()[0].runs.back().run, 1);
  program.profile(false);
  program.run(inputs);
  EXPECT_EQ(program.profile()[0].runs.size(), 2U);
  program.profile(true);
  EXPECT_TRUE(program.profile()[0].runs.empty());
}

TEST(step_profile, steps_of_a_body_are_named_by_path_and_their_time_is_not_its_owners) {
  testing::NetworkBuilder net({4, 64});
  const ValueId x = net.last;
  const ValueId condition = testing::sum_exceeds(net, x, -1e9F);
  const auto branch = [&](const std::string& name) {
    testing::BodyBuilder body;
    const ValueId data = body.capture("x");
    const ValueId weight = body.graph.add_constant(name + "_w", net.normal({64, 64}, 0.1));
    return body.finish({body.matmul(name, data, weight)});
  };
  testing::choose(net, condition, {x}, branch("then"), branch("else"));
  Program program = compile(net.finish());
  Random random(3);
  const auto steps = profile_of_runs(program, {random_tensor({4, 64}, random)}, 3);
  const auto inner = std::ranges::find(steps, "if/then_branch/then", &StepProfile::node);
  const auto outer = std::ranges::find(steps, StepKind::control, &StepProfile::kind);
  ASSERT_TRUE(inner != steps.end() && outer != steps.end());
  EXPECT_EQ(inner->macs, 4 * 64 * 64);
  EXPECT_EQ(inner->runs.size(), 3U);
  for (size_t run = 0; run < 3; ++run) {
    const StepRun &around = outer->runs[run], &within = inner->runs[run];
    EXPECT_LE(around.begin_s, within.begin_s);
    EXPECT_LE(within.end_s, around.end_s);
    EXPECT_LE(outer->run_seconds[run] + inner->run_seconds[run],
              around.end_s - around.begin_s + 1e-12);
  }
  EXPECT_FALSE(outer->read_bytes.has_value());
}

TEST(step_profile, programs_in_several_threads_keep_their_own_times) {
  std::vector<std::thread> threads;
  std::vector<size_t> counts(4);
  for (size_t i = 0; i < counts.size(); ++i) {
    threads.emplace_back([&, i] {
      Program program = compile(network(i % 2 == 0));
      const auto steps = profile_of_runs(program, input_of_network(), 10 + static_cast<int>(i));
      counts[i] = steps[0].runs.size();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counts, (std::vector<size_t>{10, 11, 12, 13}));
}

}  // namespace
}  // namespace nibble
