// What of a sample goes into which input of a graph, and in which form.
#include "ranges/binding.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "ranges/sample_runner.h"
#include "support/errors.h"
#include "support/synthetic_data.h"

namespace nibble {
namespace {

using testing::error_of;

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Sample i of field k holds i + k everywhere.
class Fields : public testing::Unlabelled {
 public:
  Fields(int64_t size, const std::vector<Field>& fields)
      : Unlabelled(size, fields, [fields](int64_t index) { return made(fields, index); }) {}
  std::string describe() const override { return "fields"; }

 private:
  static std::vector<Tensor> made(const std::vector<Field>& fields, int64_t index) {
    std::vector<Tensor> tensors;
    for (size_t k = 0; k < fields.size(); ++k) {
      Shape shape = fields[k].shape;
      for (int axis = 0; axis < shape.rank(); ++axis) {
        if (shape[axis] < 0) shape[axis] = 1 + index;
      }
      Tensor values(DType::f32, shape);
      for (float& value : values.data<float>()) {
        value = static_cast<float>(index) + static_cast<float>(k);
      }
      tensors.push_back(convert(values, fields[k].dtype));
    }
    return tensors;
  }
};

struct Net {
  Net() { graph.opsets[""] = 21; }
  ValueId input(const std::string& name, DType dtype, const Shape& shape) {
    graph.inputs.push_back(graph.add_value(name, {.dtype = dtype, .shape = shape}));
    return graph.inputs.back();
  }
  ValueId add(const std::string& op, const std::string& output, std::vector<ValueId> inputs) {
    const ValueId id = graph.add_value(output, {.dtype = DType::f32});
    graph.add_node(
        {.op = op, .name = output + "_node", .inputs = std::move(inputs), .outputs = {id}});
    return id;
  }
  // state' = state + x; y = state' * 2
  static Net counter(const std::string& state, const std::string& next) {
    Net net;
    const ValueId x = net.input("x", DType::f32, {-1, 2});
    const ValueId before = net.input(state, DType::f32, {1, 2});
    const ValueId after = net.add("Add", next, {before, x});
    const ValueId y = net.add("Add", "y", {after, after});
    net.graph.value(after).type.shape = Shape{1, 2};
    net.graph.outputs = {y, after};
    return net;
  }
  Graph graph;
};

Net one_input(DType dtype, const Shape& shape) {
  Net net;
  const ValueId x = net.input("x", dtype, shape);
  net.graph.outputs = {net.add("Identity", "y", {x})};
  return net;
}

InputBinding bound(const Net& net, const Field& field) {
  return bind_samples(net.graph, Fields(4, {field})).inputs.at(0);
}

using Fit = InputBinding::Fit;

TEST(binding, samples_fill_the_batch_or_the_whole_input_or_are_flattened) {
  EXPECT_EQ(bound(one_input(DType::f32, {-1, 3, 4}), {.shape = {3, 4}}).fit, Fit::batched);
  EXPECT_EQ(bound(one_input(DType::f32, {-1, 12}), {.shape = {3, 4}}).fit, Fit::flat);
  EXPECT_EQ(bound(one_input(DType::f32, {2, 3, 4}), {.shape = {2, 3, 4}}).fit, Fit::whole);
  EXPECT_EQ(bound(one_input(DType::f32, {}), {.shape = {}}).fit, Fit::whole);
  EXPECT_EQ(bound(one_input(DType::f32, {-1, 8, 6, 3}), {.shape = {3, 8, 6}}).fit,
            Fit::channels_last);
  const InputBinding one = bound(one_input(DType::f32, {-1, 3, 4}), {.shape = {1, 3, 4}});
  EXPECT_EQ(one.fit, Fit::batched);
  EXPECT_TRUE(one.leading_one);
  EXPECT_EQ(one.from_batch(Tensor(DType::f32, {5, 1, 3, 4})).shape(), (Shape{5, 3, 4}));
}

TEST(binding, channels_move_to_the_end_with_their_pixels) {
  const InputBinding input = bound(one_input(DType::f32, {-1, 1, 2, 3}), {.shape = {3, 1, 2}});
  const Tensor result = input.from_batch(Tensor::of<float>({1, 3, 1, 2}, {1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(result.shape(), (Shape{1, 1, 2, 3}));
  const auto values = result.data<float>();
  EXPECT_EQ(std::vector(values.begin(), values.end()), (std::vector<float>{1, 3, 5, 2, 4, 6}));
}

TEST(binding, reals_become_the_bytes_of_an_image_and_integers_change_their_width) {
  const InputBinding bytes = bound(one_input(DType::u8, {-1, 4}), {.shape = {4}});
  const Tensor rounded = bytes.from_batch(Tensor::of<float>({1, 4}, {-3, 2.6F, 254.5F, 300}));
  const auto values = rounded.data<uint8_t>();
  EXPECT_EQ(std::vector(values.begin(), values.end()), (std::vector<uint8_t>{0, 3, 254, 255}));
  const InputBinding ids =
      bound(one_input(DType::i64, {-1, 2}), {.dtype = DType::i32, .shape = {2}});
  EXPECT_EQ(ids.from_batch(Tensor::of<int32_t>({1, 2}, {7, 9})).data<int64_t>()[1], 9);
  EXPECT_PRED2(contains, error_of([&] {
                 bound(one_input(DType::i64, {-1, 2}), {.shape = {2}});
               }),
               "input 'x' is i64[?,2], the samples of fields are f32");
}

TEST(binding, arrays_go_to_the_inputs_of_their_names) {
  Net net;
  const ValueId a = net.input("a", DType::f32, {-1, 2});
  const ValueId b = net.input("b", DType::f32, {-1, 3});
  net.graph.outputs = {net.add("Identity", "y", {a}), net.add("Identity", "z", {b})};
  const Fields both(3, {{.name = "b", .shape = {3}}, {.name = "a", .shape = {2}}});
  const Binding binding = bind_samples(net.graph, both);
  EXPECT_EQ(binding.inputs[0].field, 1);
  EXPECT_EQ(binding.inputs[1].field, 0);
  EXPECT_PRED2(contains,
               error_of([&] { bind_samples(net.graph, Fields(3, {{.name = "a", .shape = {2}}})); }),
               "nothing is given for the model's input 'b' f32[?,3]");
  const Fields more(
      3, {{.name = "b", .shape = {3}}, {.name = "a", .shape = {2}}, {.name = "c", .shape = {2}}});
  EXPECT_PRED2(contains, error_of([&] { bind_samples(net.graph, more); }),
               "have 'c', which the model has no input for");
}

TEST(binding, a_state_is_recognised_by_its_name_or_as_the_only_one_of_its_shape) {
  for (const auto& [state, next] :
       {std::pair("h", "hn"), {"h_in", "h_out"}, {"input_2", "stack"}}) {
    const Net net = Net::counter(state, next);
    const Binding binding = bind_samples(net.graph, Fields(3, {{.name = "x", .shape = {2}}}));
    EXPECT_EQ(binding.inputs[1].carried_from, 1) << state;
    ASSERT_EQ(binding.notes.size(), 1U);
    EXPECT_PRED2(contains, binding.notes[0], std::string("--carry ") + next + "=" + state);
  }
}

TEST(binding, samples_without_a_name_go_to_the_input_that_they_fit) {
  Net net;
  const ValueId x = net.input("x", DType::f32, {1, 1, 3});
  const ValueId state = net.input("s", DType::f32, {1, 2, 4});
  net.graph.outputs = {net.add("Relu", "y", {x}), net.add("Relu", "t", {state})};
  net.graph.value(net.graph.outputs[0]).type.shape = Shape{1, 1, 3};  // x could be a state as well
  net.graph.value(net.graph.outputs[1]).type.shape = Shape{1, 2, 4};
  const Binding binding = bind_samples(net.graph, Fields(3, {{.shape = {1, 3}}}));
  EXPECT_EQ(binding.inputs[0].field, 0);
  EXPECT_EQ(binding.inputs[0].carried_from, -1);
  EXPECT_EQ(binding.inputs[1].carried_from, 1);
}

TEST(binding, a_state_of_which_nothing_is_sure_must_be_named) {
  Net net = Net::counter("state", "result");
  net.graph.value(net.graph.outputs[0]).type.shape = Shape{1, 2};  // as the state has
  const Fields data(3, {{.name = "x", .shape = {2}}});
  EXPECT_PRED2(contains, error_of([&] { bind_samples(net.graph, data); }), "--carry OUTPUT=state");
  store_carry(net.graph, {{"state", "result"}});
  EXPECT_EQ(stored_carry(net.graph), (Carry{{"state", "result"}}));
  const Binding binding = bind_samples(net.graph, data);
  EXPECT_EQ(binding.inputs[1].carried_from, 1);
  EXPECT_TRUE(binding.notes.empty());
  EXPECT_PRED2(contains, error_of([&] {
                 store_carry(net.graph, {{"x", "none"}});
               }),
               "the model has no output 'none'");
}

std::vector<float> outputs(const Net& net, const Dataset& data) {
  SampleRunner runner(net.graph, data, {.arithmetic = Arithmetic::f32, .threads = 1});
  std::vector<float> first;
  for (const auto reader = runner.reader(data.size()); const auto batch = reader->next();) {
    first.push_back(runner.run(*batch)[0].data<float>()[0]);
  }
  return first;
}

TEST(sample_runner, states_are_carried_from_sample_to_sample_and_start_anew_with_a_sequence) {
  const Net net = Net::counter("h", "hn");
  Fields data(4, {{.name = "x", .shape = {2}}});
  EXPECT_EQ(outputs(net, data), (std::vector<float>{0, 2, 6, 12}));  // 2 * (0, 1, 3, 6)
  data.sequence = 2;
  EXPECT_EQ(outputs(net, data), (std::vector<float>{0, 2, 4, 10}));  // 2 * (0, 1; 2, 5)
}

TEST(sample_runner, a_state_may_start_from_what_the_samples_give) {
  Net net = Net::counter("h", "hn");
  store_carry(net.graph, {{"h", "hn"}});
  const Fields data(3, {{.name = "x", .shape = {2}}, {.name = "h", .shape = {2}}});
  EXPECT_EQ(outputs(net, data), (std::vector<float>{2, 4, 8}));  // h starts from 1
}

TEST(sample_runner, samples_may_differ_in_shape) {
  Net net;
  const ValueId x = net.input("x", DType::f32, {-1, -1});
  const ValueId sum = net.add("ReduceSum", "y", {x});
  net.graph.outputs = {sum};
  const Fields data(3, {{.name = "", .shape = {-1}}});
  EXPECT_EQ(outputs(net, data), (std::vector<float>{0, 2, 6}));  // i of i + 1 elements
}

}  // namespace
}  // namespace nibble
