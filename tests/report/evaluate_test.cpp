#include "nibble/evaluate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>

#include "../runtime/graphs.h"
#include "../support/shared_files.h"
#include "../support/temp_folder.h"
#include "nibble/onnx.h"
#include "nibble/quantize.h"
#include "support/errors.h"

namespace nibble {
namespace {

using test::Builder;
using testing::error_of;

// A data set of `values`, one float each.
class Scalars : public RealDataset {
 public:
  Scalars(std::vector<float> values, std::vector<int64_t> labels)
      : values_(std::move(values)), labels_(std::move(labels)) {}
  int64_t size() const override { return static_cast<int64_t>(values_.size()); }
  Shape sample_shape() const override { return Shape{1}; }
  int classes() const override { return 2; }
  const std::vector<std::string>& class_names() const override { return names_; }
  int64_t label(int64_t index) const override { return labels_[static_cast<size_t>(index)]; }
  void read(int64_t index, std::span<float> out) const override {
    out[0] = values_[static_cast<size_t>(index)];
  }
  std::string describe() const override { return "scalars"; }

 private:
  std::vector<float> values_;
  std::vector<int64_t> labels_;
  std::vector<std::string> names_;
};

// Flatten, then one dense layer with random weights.
Graph linear_classifier(int64_t batch, int64_t classes, Tensor* weights = nullptr) {
  Builder b(5);
  const ValueId x = b.input("x", {batch, 1, 8, 8});
  Tensor w = test::random_tensor({64, classes}, b.random);
  if (weights != nullptr) *weights = w;
  b.graph.outputs = {b.op("MatMul", {b.op("Flatten", {x}), b.constant(w)})};
  return b.graph;
}

std::vector<int32_t> predictions(const Dataset& data, const Tensor& weights) {
  std::vector<int32_t> result;
  const int64_t classes = weights.shape()[1];
  for (int64_t i = 0; i < data.size(); ++i) {
    const Tensor values = data.sample(i)[0];
    const std::span<const float> sample = values.data<float>();
    std::vector<double> scores(static_cast<size_t>(classes));
    for (size_t k = 0; k < 64; ++k) {
      for (size_t c = 0; c < scores.size(); ++c) {
        scores[c] += static_cast<double>(sample[k]) *
                     static_cast<double>(weights.data<float>()[k * scores.size() + c]);
      }
    }
    result.push_back(
        static_cast<int32_t>(std::max_element(scores.begin(), scores.end()) - scores.begin()));
  }
  return result;
}

TEST(Evaluate, predicts_the_largest_score_for_every_batch_and_thread_count) {
  const auto data = open_dataset("digits", {});
  Tensor weights;
  const Graph graph = linear_classifier(-1, 10, &weights);
  const std::vector<int32_t> expected = predictions(*data, weights);
  int64_t correct = 0;
  for (size_t i = 0; i < 500; ++i) {
    correct += expected[i] == data->label(static_cast<int64_t>(i)) ? 1 : 0;
  }
  for (int batch : {1, 7, 32, 1000}) {
    for (int threads : {1, 3}) {
      const Evaluation result = evaluate(graph, *data, {.batch = batch, .threads = threads});
      EXPECT_EQ(result.samples, 500);
      EXPECT_EQ(result.predicted, expected) << batch;
      EXPECT_EQ(result.correct, correct);
      EXPECT_EQ(std::count(result.right.begin(), result.right.end(), 1), correct);
      EXPECT_EQ(result.interval.low, binomial_interval(correct, 500).low);
    }
  }
}

// Which answers a random network gives has nothing to do with the labels.
TEST(Evaluate, what_cannot_be_told_from_guessing_is_told) {
  const Evaluation result = evaluate(linear_classifier(-1, 10), *open_dataset("digits", {}));
  ASSERT_LT(result.interval.low, 0.1);
  ASSERT_FALSE(result.notes.empty());
  EXPECT_NE(result.notes.back().find("guessing one of 10 classes"), std::string::npos);
  const auto few = random_subset(open_dataset("digits", {}), 20, 0);
  EXPECT_TRUE(evaluate(linear_classifier(-1, 10), *few).notes.empty());
}

TEST(Evaluate, a_fixed_batch_is_kept) {
  const auto data = open_dataset("digits", {});
  const Evaluation expected = evaluate(linear_classifier(-1, 10), *data);
  for (int64_t batch : {1, 3, 600}) {
    EXPECT_EQ(evaluate(linear_classifier(batch, 10), *data).predicted, expected.predicted);
  }
}

// A Reshape to [1,64] inside: the input's open batch takes one sample only.
Graph one_at_a_time(int64_t batch) {
  Builder b(5);
  const ValueId x = b.input("x", {batch, 1, 8, 8});
  const ValueId columns = b.op("Reshape", {x, b.integers({64, -1})});
  const ValueId mean = b.op("ReduceMean", {columns}, {{"axes", std::vector<int64_t>{1}}});
  const ValueId row = b.op("Reshape", {mean, b.integers({1, 64})});
  b.graph.outputs = {b.op("MatMul", {row, b.constant(test::random_tensor({64, 10}, b.random))})};
  return b.graph;
}

TEST(Evaluate, a_network_that_would_mix_samples_gets_one_at_a_time) {
  const auto data = open_dataset("digits", {});
  const Evaluation open = evaluate(one_at_a_time(-1), *data);
  const Evaluation fixed = evaluate(one_at_a_time(1), *data);
  EXPECT_EQ(open.predicted, fixed.predicted);
  ASSERT_EQ(open.notes.size(), fixed.notes.size() + 1);
  EXPECT_NE(open.notes[0].find("one sample at a time"), std::string::npos);
}

TEST(CompareLayers, a_network_that_would_mix_samples_gets_one_at_a_time) {
  const auto data = open_dataset("digits", {});
  const auto open = compare_layers(one_at_a_time(-1), one_at_a_time(-1), *data, 12);
  for (const LayerError& layer : open) EXPECT_EQ(layer.cosine, 1) << layer.value;
  EXPECT_FALSE(open.empty());
}

TEST(Evaluate, samples_are_flattened_for_an_input_of_two_dimensions) {
  Builder b(5);
  const ValueId x = b.input("x", {-1, 64});
  const Tensor w = test::random_tensor({64, 10}, b.random);
  b.graph.outputs = {b.op("MatMul", {x, b.constant(w)})};
  const auto data = open_dataset("digits", {});
  EXPECT_EQ(evaluate(b.graph, *data).predicted, predictions(*data, w));
}

TEST(Evaluate, an_input_of_bytes_gets_rounded_samples) {
  Builder b;
  const ValueId x = b.input("x", {-1, 1});
  b.graph.value(x).type.dtype = DType::u8;
  const ValueId cast = b.op("Cast", {x}, {{"to", int64_t{1}}});
  const ValueId limit = b.constant(Tensor::of<float>({1}, {254.0F}));
  b.graph.outputs = {b.op("Sub", {cast, limit})};
  const Scalars data({254.4F, 254.6F, -7, 300}, {0, 1, 0, 1});
  EXPECT_EQ(evaluate(b.graph, data).correct, 4);
}

TEST(Evaluate, a_single_probability_is_class_one_above_a_half) {
  Builder b;
  b.graph.outputs = {b.op("Sigmoid", {b.input("x", {-1, 1})})};
  const Scalars data({-0.2F, 0, 0.01F, 0.9F, std::nanf("")}, {0, 0, 1, 0, 0});
  const Evaluation result = evaluate(b.graph, data, {.batch = 2});
  EXPECT_EQ(result.predicted, (std::vector<int32_t>{0, 0, 1, 1, -1}));
  EXPECT_EQ(result.correct, 3);
}

TEST(Evaluate, mistakes_are_named) {
  const auto data = open_dataset("digits", {});
  EXPECT_NE(error_of([&] {
              evaluate(linear_classifier(-1, 4), *data);
            }).find("the model tells only 4 classes apart"),
            std::string::npos);
  Builder wrong;
  wrong.graph.outputs = {wrong.op("Identity", {wrong.input("pixels", {-1, 3, 8, 8})})};
  EXPECT_NE(error_of([&] { evaluate(wrong.graph, *data); }).find("the model's input 'pixels' is"),
            std::string::npos);
  Builder two;
  two.graph.outputs = {two.op("Add", {two.input("a", {-1, 64}), two.input("b", {-1, 64})})};
  EXPECT_NE(
      error_of([&] { evaluate(two.graph, *data); }).find("nothing is given for the model's input"),
      std::string::npos);
  EXPECT_NE(error_of([&] { evaluate(linear_classifier(-1, 10), Scalars({}, {})); }).find("empty"),
            std::string::npos);
}

class StopAt : public ProgressSink {
 public:
  explicit StopAt(int64_t limit) : limit_(limit) {}
  void update(std::string_view, int64_t done, int64_t total) override {
    EXPECT_GE(done, done_);
    EXPECT_LE(done, total);
    done_ = done;
  }
  bool cancelled() const override { return done_ >= limit_; }
  int64_t done() const { return done_; }

 private:
  int64_t limit_;
  int64_t done_ = 0;
};

TEST(Evaluate, reports_progress_and_stops_when_asked) {
  const auto data = open_dataset("digits", {});
  const Graph graph = linear_classifier(-1, 10);
  StopAt never(501);
  evaluate(graph, *data, {.progress = &never});
  EXPECT_EQ(never.done(), 500);
  StopAt early(100);
  try {
    evaluate(graph, *data, {.progress = &early});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::cancelled);
  }
}

TEST(Evaluate, an_unreadable_sample_ends_it_with_its_error) {
  class Broken : public Scalars {
   public:
    Broken() : Scalars(std::vector<float>(100), std::vector<int64_t>(100)) {}
    void read(int64_t index, std::span<float> out) const override {
      if (index == 70) throw Error(ErrorCode::invalid_data, "dog.70.jpg: corrupt");
      out[0] = 0;
    }
  };
  Builder b;
  b.graph.outputs = {b.op("Identity", {b.input("x", {-1, 1})})};
  for (int threads : {1, 2}) {
    EXPECT_EQ(error_of([&] { evaluate(b.graph, Broken(), {.batch = 8, .threads = threads}); }),
              "dog.70.jpg: corrupt");
  }
}

TEST(ComparePaired, counts_the_samples_on_which_one_is_right) {
  Evaluation a, b;
  a.samples = b.samples = 6;
  a.right = {1, 1, 1, 0, 0, 1};
  b.right = {1, 0, 0, 1, 0, 0};
  const PairedTest test = compare_paired(a, b);
  EXPECT_EQ(test.only_first_right, 3);
  EXPECT_EQ(test.only_second_right, 1);
  EXPECT_NEAR(test.difference, -2.0 / 6, 1e-15);
  EXPECT_EQ(test.p_value, mcnemar_exact(3, 1));
  EXPECT_LT(test.interval.low, test.difference);
  EXPECT_GT(test.interval.high, test.difference);
  b.samples = 5;
  EXPECT_THROW(compare_paired(a, b), Error);
}

// x -> Relu -> Mul by `factor` -> Add 1, with the values named alike.
Graph chain(float factor, int64_t batch = -1) {
  Builder b;
  const ValueId relu = b.op("Relu", {b.input("x", {batch, 1, 8, 8})});
  const ValueId mul = b.op("Mul", {relu, b.constant(Tensor::scalar(factor))});
  b.graph.outputs = {b.op("Add", {mul, b.constant(Tensor::scalar(1.0F))})};
  return b.graph;
}

TEST(CompareLayers, puts_the_worst_first_and_measures_it) {
  const auto data = open_dataset("digits", {});
  for (int64_t samples : {1, 13, 0}) {
    const auto layers = compare_layers(chain(1.0F), chain(1.1F), *data, samples);
    ASSERT_EQ(layers.size(), 3U);
    EXPECT_EQ(layers[0].op, "Mul");
    EXPECT_EQ(layers[0].value, "Mul_out");
    // The error is a tenth of the signal: 20 dB.
    EXPECT_NEAR(layers[0].sqnr_db, 20, 1e-4);
    EXPECT_NEAR(layers[0].cosine, 1, 1e-9);
    EXPECT_NEAR(layers[0].max_abs_error, 0.1, 1e-6);
    EXPECT_EQ(layers[1].op, "Add");
    EXPECT_GT(layers[1].sqnr_db, 20);
    EXPECT_EQ(layers[2].op, "Relu");
    EXPECT_EQ(layers[2].sqnr_db, std::numeric_limits<double>::infinity());
    EXPECT_EQ(layers[2].max_abs_error, 0);
  }
}

TEST(CompareLayers, padding_of_the_last_batch_does_not_count) {
  const std::shared_ptr<const Dataset> data = open_dataset("digits", {});
  const auto alone = compare_layers(chain(1.0F), chain(0.7F), *data, 9);
  const auto padded = compare_layers(chain(1.0F, 8), chain(0.7F, 8), *data, 9);
  ASSERT_EQ(alone.size(), padded.size());
  for (size_t i = 0; i < alone.size(); ++i) {
    EXPECT_EQ(alone[i].value, padded[i].value);
    EXPECT_DOUBLE_EQ(alone[i].sqnr_db, padded[i].sqnr_db);
  }
}

TEST(CompareLayers, fewer_bits_give_a_larger_error) {
  Builder b(3);
  const auto conv = [&](ValueId x, int64_t in, int64_t out) {
    const ValueId w = b.constant(test::random_tensor({out, in, 3, 3}, b.random, 0.3F));
    return b.op("Relu", {b.op("Conv", {x, w}, {{"pads", std::vector<int64_t>{1, 1, 1, 1}}})});
  };
  ValueId x = b.input("x", {-1, 1, 8, 8});
  for (int64_t channels : {1, 8, 8}) x = conv(x, channels, 8);
  b.graph.outputs = {b.op("GlobalAveragePool", {x})};
  const auto train = open_dataset("digits", {.split = Split::train});
  const auto data = open_dataset("digits", {});
  const RangeReport ranges = analyze(b.graph, *train);
  const auto layers_at = [&](int bits) {
    const BitPlan plan{.fallback = {.weight_bits = bits, .activation_bits = bits}};
    const Graph quantized = quantize(b.graph, ranges, plan, {.first_and_last_8bit = false});
    return compare_layers(b.graph, quantized, *data, 64);
  };
  const auto eight = layers_at(8);
  const auto four = layers_at(4);
  ASSERT_EQ(eight.size(), 7U);
  ASSERT_EQ(four.size(), 7U);
  EXPECT_GT(eight.front().sqnr_db, 25);
  EXPECT_GT(four.front().sqnr_db, 3);
  EXPECT_GT(eight.front().sqnr_db, four.front().sqnr_db + 12);
}

TEST(CompareLayers, models_with_nothing_in_common_are_refused) {
  const auto data = open_dataset("digits", {});
  Builder other;
  other.graph.outputs = {other.op("Sigmoid", {other.input("x", {-1, 1, 8, 8})})};
  EXPECT_NE(error_of([&] {
              compare_layers(chain(1), other.graph, *data, 8);
            }).find("no values of the same name"),
            std::string::npos);
}

TEST(Bench, measures_every_graph_at_every_thread_count) {
  const std::vector<Graph> graphs = {linear_classifier(-1, 10), linear_classifier(4, 1000)};
  const auto results = bench(graphs, {.threads = {1, 2}, .batch = 8, .seconds = 0.05});
  ASSERT_EQ(results.size(), 2U);
  for (const auto& row : results) {
    ASSERT_EQ(row.size(), 2U);
    for (const Latency& latency : row) {
      EXPECT_GE(latency.runs, 5);
      EXPECT_GT(latency.median_s, 0);
      EXPECT_GE(latency.p95_s, latency.median_s);
      EXPECT_NEAR(latency.samples_per_second * latency.median_s, static_cast<double>(latency.batch),
                  1e-6);
    }
  }
  EXPECT_EQ(results[0][0].batch, 8);
  EXPECT_EQ(results[1][0].batch, 4);
  EXPECT_EQ(results[0][1].threads, 2);
  EXPECT_GT(peak_resident_bytes(), 1'000'000U);
}

TEST(Bench, an_unknown_shape_must_be_given) {
  Builder b;
  b.graph.outputs = {b.op("Relu", {b.input("audio", {1, -1})})};
  EXPECT_NE(error_of([&] { bench({b.graph}, {.seconds = 0.01}); }).find("'audio'"),
            std::string::npos);
  const auto result =
      bench({b.graph}, {.input_shapes = {{"audio", Shape{1, 512}}}, .seconds = 0.01});
  EXPECT_GE(result[0][0].runs, 5);
}

TEST(Bench, states_go_from_run_to_run) {
  // The state that comes out is the one that went in, and the input behind it: it grows.
  Builder b;
  const ValueId x = b.input("x", {1, 2}), h = b.input("h", {1, -1});
  b.graph.outputs = {b.op("Concat", {h, x}, {{"axis", int64_t{1}}})};
  const BenchOptions options = {.input_shapes = {{"h", Shape{1, 3}}}, .seconds = 0.01};
  EXPECT_GE(bench({b.graph}, options)[0][0].runs, 5);
  store_carry(b.graph, {{"h", b.graph.value(b.graph.outputs[0]).name}});
  const std::string error = error_of([&] { bench({b.graph}, options); });
  EXPECT_NE(error.find("goes in as [1,3] and comes out as [1,5]"), std::string::npos) << error;
}

TEST(RealData, mobilenet_on_fashion_mnist_has_its_known_accuracy) {
  NIBBLE_SHARED_FILE(model, "models/mobilenet-fmnist.onnx");
  NIBBLE_SHARED_FILE(path, "data/fashion-mnist");
  const auto data = open_dataset(path.string(), {});
  const Evaluation result = evaluate(load_onnx(model), *data, {.batch = 50});
  EXPECT_EQ(result.samples, 5000);
  EXPECT_NEAR(result.accuracy(), 0.9270, 0.0003);
}

TEST(RealData, resnet20_on_cifar_has_its_known_accuracy) {
  NIBBLE_SHARED_FILE(model, "models/resnet20-cifar.onnx");
  NIBBLE_SHARED_FILE(archive, "data/cifar10-jpeg.tar.gz");
  const testing::TempFolder folder;
  const std::string command =
      "tar xzf '" + archive.string() + "' -C '" + folder.path().string() + "' cifar10-jpeg/test";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const Preprocess preprocess{.mean = {0.485F, 0.456F, 0.406F}, .std = {0.229F, 0.224F, 0.225F}};
  const auto data = open_dataset((folder / "cifar10-jpeg").string(), {.preprocess = preprocess});
  const Evaluation result = evaluate(load_onnx(model), *data, {.batch = 50});
  EXPECT_EQ(result.samples, 5000);
  EXPECT_NEAR(result.accuracy(), 0.8846, 0.0003);
}

}  // namespace
}  // namespace nibble
