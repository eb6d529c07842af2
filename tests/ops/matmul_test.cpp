#include "ops/matmul/matmul.h"

#include "ops/op_runner.h"

namespace nibble::test {
namespace {

// numpy's matmul, element by element over explicitly broadcast batches.
Tensor plain_matmul(const Tensor& a, const Tensor& b) {
  const MatmulProblem problem = matmul_problem(make_node("MatMul", 2), a.shape(), b.shape());
  Tensor out(DType::f32, problem.output);
  const MatrixShape& m = problem.matrix;
  for (size_t i = 0; i < problem.batch.size(); ++i) {
    reference_matmul(m, a.data<float>().data() + problem.batch[i].a,
                     b.data<float>().data() + problem.batch[i].b,
                     out.data<float>().data() + static_cast<int64_t>(i) * m.rows * m.columns);
  }
  return out;
}

TEST(MatMul, equals_plain_loops_for_every_thread_count) {
  const std::vector<std::pair<Shape, Shape>> cases = {
      {{1, 1}, {1, 1}},
      {{3, 5}, {5, 7}},
      {{1, 1280}, {1280, 1001}},
      {{65, 33}, {33, 17}},
      {{128, 256}, {256, 100}},
      {{5}, {5}},
      {{5}, {5, 3}},
      {{4, 5}, {5}},
      {{2, 3, 4, 5}, {5, 6}},
      {{2, 3, 4, 5}, {3, 5, 6}},
      {{3, 1, 4, 5}, {2, 5, 6}},
      {{4, 5}, {7, 5, 6}},
      {{2, 4, 31, 64}, {2, 4, 64, 33}},
  };
  for (const auto& [a_shape, b_shape] : cases) {
    SCOPED_TRACE(a_shape.to_string() + " * " + b_shape.to_string());
    const std::vector<Tensor> inputs = {random_tensor(a_shape, 1), random_tensor(b_shape, 2)};
    const Tensor want = plain_matmul(inputs[0], inputs[1]);
    const Node node = make_node("MatMul", 2);
    EXPECT_LT(max_error(run_eval(node, inputs)[0], want), 1e-4);
    for (bool constant : {false, true}) {
      const std::vector<Tensor> one = run_prepared(node, inputs, {false, constant}, 1);
      ASSERT_FALSE(one.empty());
      EXPECT_LT(max_error(one[0], want), 1e-4);
      for (int threads : {2, 3}) {
        EXPECT_TRUE(same_bytes(one[0], run_prepared(node, inputs, {false, constant}, threads)[0]))
            << threads << " threads";
      }
    }
  }
}

TEST(MatMul, of_integers_and_of_nothing) {
  const Tensor a = Tensor::of<int64_t>({2, 2}, {1, 2, 3, 4});
  const Tensor got = run_eval(make_node("MatMul", 2), {a, a})[0];
  EXPECT_TRUE(same_bytes(got, Tensor::of<int64_t>({2, 2}, {7, 10, 15, 22})));
  const Tensor nothing =
      run_eval(make_node("MatMul", 2), {Tensor(DType::f32, {2, 0}), Tensor(DType::f32, {0, 3})})[0];
  EXPECT_TRUE(same_bytes(nothing, Tensor(DType::f32, {2, 3})));
}

TEST(MatMul, rejects_inner_extents_that_differ) {
  EXPECT_THROW(
      run_infer(make_node("MatMul", 2), {random_tensor({2, 3}, 1), random_tensor({4, 5}, 2)}),
      Error);
}

struct GemmCase {
  int64_t trans_a, trans_b;
  float alpha, beta;
  Shape c;
  Clamp clamp;
};

TEST(Gemm, equals_its_formula_with_constant_or_computed_operands) {
  const int64_t rows = 33, depth = 65, columns = 18;
  for (const GemmCase& c : std::vector<GemmCase>{{0, 0, 1, 1, {columns}, {}},
                                                 {0, 1, 1, 1, {columns}, {.low = 0}},
                                                 {1, 0, 0.5F, 2, {rows, columns}, {.low = 0}},
                                                 {1, 1, 0.5F, 0.25F, {1, columns}, {}},
                                                 {0, 1, 1, 3, {rows, 1}, {-2, 3}},
                                                 {0, 0, 2, 1, {}, {}},
                                                 {0, 1, 1, 0, {columns}, {}}}) {
    Node node = make_node(
        "Gemm", 3,
        make_attributes(
            {{"transA", c.trans_a}, {"transB", c.trans_b}, {"alpha", c.alpha}, {"beta", c.beta}}));
    node.clamp = c.clamp;
    const std::vector<Tensor> inputs = {
        random_tensor(c.trans_a != 0 ? Shape{depth, rows} : Shape{rows, depth}, 1),
        random_tensor(c.trans_b != 0 ? Shape{columns, depth} : Shape{depth, columns}, 2),
        random_tensor(c.c, 3)};
    Tensor want(DType::f32, {rows, columns});
    for (int64_t m = 0; m < rows; ++m) {
      for (int64_t n = 0; n < columns; ++n) {
        double sum = 0;
        for (int64_t k = 0; k < depth; ++k) {
          sum += double{inputs[0].data<float>()[static_cast<size_t>(
                     c.trans_a != 0 ? k * rows + m : m * depth + k)]} *
                 double{inputs[1].data<float>()[static_cast<size_t>(
                     c.trans_b != 0 ? n * depth + k : k * columns + n)]};
        }
        const int64_t row_step = c.c.rank() == 2 && c.c[0] > 1 ? c.c[1] : 0;
        const int64_t column_step = c.c.rank() > 0 && c.c[c.c.rank() - 1] > 1 ? 1 : 0;
        double value =
            c.alpha * sum +
            c.beta *
                double{
                    inputs[2].data<float>()[static_cast<size_t>(m * row_step + n * column_step)]};
        value = std::clamp<double>(value, c.clamp.low, c.clamp.high);
        want.data<float>()[static_cast<size_t>(m * columns + n)] = static_cast<float>(value);
      }
    }
    EXPECT_LT(max_error(run_eval(node, inputs)[0], want), 1e-4);
    for (bool constant : {false, true}) {
      for (int threads : {1, 2}) {
        const auto got = run_prepared(node, inputs, {false, constant, constant}, threads);
        EXPECT_LT(max_error(got[0], want), 1e-4);
      }
    }
  }
}

}  // namespace
}  // namespace nibble::test
