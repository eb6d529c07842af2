// nibble.h: what a C program sees.
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <fstream>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "nibble.h"
#include "nibble/graph.h"
#include "nibble/onnx.h"
#include "support/temp_folder.h"

namespace nibble {
namespace {

struct Free {
  void operator()(nibble_model* model) const { nibble_free(model); }
};
using Model = std::unique_ptr<nibble_model, Free>;

// y = x + [1, 2, 3], for any number of rows; and how many rows there are.
std::string adder() {
  Graph graph;
  graph.opsets[""] = 17;
  const ValueId x = graph.add_value("x", {DType::f32, {Shape::kUnknown, 3}, {}});
  graph.value(x).dim_names = {"rows", ""};
  graph.inputs = {x};
  const ValueId c = graph.add_constant("c", Tensor::of<float>({3}, {1, 2, 3}));
  const ValueId y = graph.add_value("y", {DType::f32, {Shape::kUnknown, 3}, {}});
  const ValueId n = graph.add_value("n", {DType::i64, {2}, {}});
  graph.add_node({.op = "Add", .name = "add", .inputs = {x, c}, .outputs = {y}});
  graph.add_node({.op = "Shape", .name = "shape", .inputs = {x}, .outputs = {n}});
  graph.outputs = {y, n};
  return serialize_onnx(graph);
}

Model load(const std::string& bytes, int threads = 1) {
  nibble_options options = NIBBLE_OPTIONS_INIT;
  options.threads = threads;
  nibble_model* model = nullptr;
  EXPECT_EQ(nibble_load_bytes(bytes.data(), bytes.size(), &options, &model), NIBBLE_OK)
      << nibble_error_message();
  return Model(model);
}

nibble_tensor floats(std::vector<float>& data, std::vector<int64_t> shape) {
  nibble_tensor tensor = {};
  tensor.type = NIBBLE_FLOAT32;
  tensor.rank = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), tensor.shape);
  tensor.data = data.data();
  tensor.bytes = data.size() * sizeof(float);
  return tensor;
}

std::string message() { return nibble_error_message(); }

TEST(c_api, tells_its_version) {
  EXPECT_EQ(nibble_abi(), NIBBLE_ABI);
  EXPECT_NE(std::string(nibble_version()).find('.'), std::string::npos);
}

TEST(c_api, a_model_says_what_it_takes_and_gives) {
  const Model model = load(adder());
  ASSERT_EQ(nibble_input_count(model.get()), 1U);
  ASSERT_EQ(nibble_output_count(model.get()), 2U);
  nibble_value value;
  ASSERT_EQ(nibble_input(model.get(), 0, &value), NIBBLE_OK);
  EXPECT_STREQ(value.name, "x");
  EXPECT_EQ(value.type, NIBBLE_FLOAT32);
  ASSERT_EQ(value.rank, 2);
  EXPECT_EQ(value.shape[0], -1);
  EXPECT_EQ(value.shape[1], 3);
  EXPECT_STREQ(value.dim_names[0], "rows");
  EXPECT_EQ(value.dim_names[1], nullptr);
  ASSERT_EQ(nibble_output(model.get(), 1, &value), NIBBLE_OK);
  EXPECT_STREQ(value.name, "n");
  EXPECT_EQ(value.type, NIBBLE_INT64);
  EXPECT_EQ(nibble_output(model.get(), 2, &value), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "there is no output 2: the model has 2");
}

TEST(c_api, runs_on_the_callers_memory) {
  const Model model = load(adder());
  for (const int64_t rows : {1, 4, 2}) {
    std::vector<float> x(static_cast<size_t>(rows) * 3), y(x.size());
    std::iota(x.begin(), x.end(), 0.0F);
    std::vector<int64_t> n(2);
    const nibble_tensor in = floats(x, {rows, 3});
    nibble_tensor out[2] = {};
    out[0].data = y.data();
    out[0].bytes = y.size() * sizeof(float);
    out[1].data = n.data();
    out[1].bytes = n.size() * sizeof(int64_t);
    ASSERT_EQ(nibble_run(model.get(), &in, 1, out, 2), NIBBLE_OK) << message();
    for (size_t i = 0; i < y.size(); ++i) {
      EXPECT_EQ(y[i], static_cast<float>(i) + static_cast<float>(i % 3 + 1));
    }
    EXPECT_EQ(n, (std::vector<int64_t>{rows, 3}));
    EXPECT_EQ(out[0].type, NIBBLE_FLOAT32);
    EXPECT_EQ(out[0].rank, 2);
    EXPECT_EQ(out[0].shape[0], rows);
    EXPECT_EQ(out[1].type, NIBBLE_INT64);
  }
}

TEST(c_api, an_output_without_room_is_told_and_not_written) {
  const Model model = load(adder());
  std::vector<float> x(6), y(2, 7.0F);
  const nibble_tensor in = floats(x, {2, 3});
  nibble_tensor out[2] = {};
  out[0].data = y.data();
  out[0].bytes = y.size() * sizeof(float);
  EXPECT_EQ(nibble_run(model.get(), &in, 1, out, 2), NIBBLE_BUFFER_TOO_SMALL);
  EXPECT_EQ(message(), "output 'y' takes 24 bytes, and has room for 8");
  EXPECT_EQ(y, (std::vector<float>{7, 7}));
  EXPECT_EQ(out[0].bytes, 24U);
  EXPECT_EQ(out[0].shape[0], 2);
  EXPECT_EQ(out[1].bytes, 16U);  // not asked for: its data is NULL
}

TEST(c_api, what_does_not_fit_the_model_is_said_in_one_sentence) {
  const Model model = load(adder());
  std::vector<float> x(6);
  nibble_tensor in = floats(x, {2, 3});
  nibble_tensor out[2] = {};
  EXPECT_EQ(nibble_run(model.get(), &in, 1, out, 1), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "the model has 2 outputs, got 1");
  EXPECT_EQ(nibble_run(model.get(), nullptr, 1, out, 2), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "the inputs are NULL");
  in.bytes = 20;
  EXPECT_EQ(nibble_run(model.get(), &in, 1, out, 2), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "input 'x': f32[2,3] takes 24 bytes, but bytes is 20");
  in = floats(x, {3, 2});
  EXPECT_EQ(nibble_run(model.get(), &in, 1, out, 2), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "input 'x' is f32[3,2], the model takes f32[?,3]");
  in.rank = 11;
  EXPECT_EQ(nibble_run(model.get(), &in, 1, out, 2), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "input 'x': its rank is 11, not 0 to 10");
  in = floats(x, {-1, 3});
  EXPECT_EQ(nibble_run(model.get(), &in, 1, out, 2), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "input 'x': its shape is [?,3]: give all extents");
  in = floats(x, {2, 3});
  in.type = static_cast<nibble_type>(99);
  EXPECT_EQ(nibble_run(model.get(), &in, 1, out, 2), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "input 'x': its type 99 is none of nibble_type");
  EXPECT_EQ(nibble_run(nullptr, &in, 1, out, 2), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "the model is NULL");
}

TEST(c_api, what_cannot_be_loaded_leaves_no_model) {
  nibble_model* model = reinterpret_cast<nibble_model*>(1);
  EXPECT_EQ(nibble_load("there/is/none.onnx", nullptr, &model), NIBBLE_IO);
  EXPECT_EQ(model, nullptr);
  EXPECT_NE(message().find("there/is/none.onnx"), std::string::npos);
  EXPECT_EQ(nibble_load_bytes("nonsense", 8, nullptr, &model), NIBBLE_INVALID_MODEL);
  EXPECT_EQ(message(), "this is not an ONNX model, or it is damaged");
  EXPECT_EQ(nibble_load(nullptr, nullptr, &model), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(nibble_load_bytes(nullptr, 8, nullptr, &model), NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(nibble_load_bytes("nonsense", 8, nullptr, nullptr), NIBBLE_INVALID_ARGUMENT);
  nibble_options options = NIBBLE_OPTIONS_INIT;
  options.threads = -2;
  const std::string bytes = adder();
  EXPECT_EQ(nibble_load_bytes(bytes.data(), bytes.size(), &options, &model),
            NIBBLE_INVALID_ARGUMENT);
  EXPECT_EQ(message(), "threads is -2: give a number, or 0 for one per core");
  nibble_free(nullptr);
}

TEST(c_api, a_file_and_its_bytes_are_the_same_model) {
  const testing::TempFolder folder;
  const std::string path = (folder.path() / "m.onnx").string();
  std::ofstream(path, std::ios::binary) << adder();
  nibble_model* model = nullptr;
  ASSERT_EQ(nibble_load(path.c_str(), nullptr, &model), NIBBLE_OK) << message();
  EXPECT_EQ(nibble_output_count(model), 2U);
  nibble_free(model);
}

// x [rows, 64] times a weight, relu, times another: with f32 kernels that keep state.
std::string network() {
  Graph graph;
  graph.opsets[""] = 17;
  const auto weight = [&](const std::string& name) {
    Tensor w(DType::f32, {64, 64});
    for (size_t i = 0; i < 4096; ++i) {
      w.data<float>()[i] = static_cast<float>(static_cast<int>(i * 37 % 101) - 50) / 300;
    }
    return graph.add_constant(name, w);
  };
  const ValueId x = graph.add_value("x", {DType::f32, {Shape::kUnknown, 64}, {}});
  graph.inputs = {x};
  ValueId at = x;
  for (int i = 0; i < 3; ++i) {
    const std::string n = std::to_string(i);
    const ValueId product = graph.add_value("p" + n, {});
    graph.add_node({.op = "MatMul",
                    .name = "matmul" + n,
                    .inputs = {at, weight("w" + n)},
                    .outputs = {product}});
    at = graph.add_value("r" + n, {});
    graph.add_node({.op = "Relu", .name = "relu" + n, .inputs = {product}, .outputs = {at}});
  }
  graph.outputs = {at};
  return serialize_onnx(graph);
}

TEST(c_api, several_threads_run_one_model_at_once) {
  for (const int threads : {1, 2}) {
    const Model model = load(network(), threads);
    const auto run = [&](int64_t rows, int seed) {
      std::vector<float> x(static_cast<size_t>(rows) * 64), y(x.size());
      for (size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<float>((i + static_cast<size_t>(seed)) % 17) / 8;
      }
      const nibble_tensor in = floats(x, {rows, 64});
      nibble_tensor out = {};
      out.data = y.data();
      out.bytes = y.size() * sizeof(float);
      EXPECT_EQ(nibble_run(model.get(), &in, 1, &out, 1), NIBBLE_OK) << message();
      return y;
    };
    std::vector<std::vector<float>> expected;
    for (int i = 0; i < 4; ++i) expected.push_back(run(i % 2 == 0 ? 80 : 3, i));
    std::atomic<int> wrong = 0;
    std::vector<std::thread> callers;
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([&, i] {
        for (int k = 0; k < 50; ++k) {
          if (run(i % 2 == 0 ? 80 : 3, i) != expected[static_cast<size_t>(i)]) ++wrong;
        }
      });
    }
    for (std::thread& caller : callers) caller.join();
    EXPECT_EQ(wrong, 0);
  }
}

TEST(c_api, an_error_is_of_the_thread_that_met_it) {
  nibble_model* model = nullptr;
  EXPECT_EQ(nibble_load_bytes("nonsense", 8, nullptr, &model), NIBBLE_INVALID_MODEL);
  std::thread([] { EXPECT_EQ(message(), ""); }).join();
  EXPECT_NE(message(), "");
}

extern "C" size_t nibble_options_size(void);

TEST(c_api, the_header_is_c) { EXPECT_EQ(nibble_options_size(), sizeof(nibble_options)); }

}  // namespace
}  // namespace nibble
