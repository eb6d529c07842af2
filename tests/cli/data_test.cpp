// Where samples come from: every row of README.md's table "your model" is run here on a model made
// for it, and what does not fit ends in one sentence.
#include "nibble/data.h"

#include <fstream>
#include <sstream>

#include "cli/command_line.h"
#include "data/make_files.h"
#include "data/wav_files.h"
#include "data/zip_files.h"
#include "nibble/onnx.h"
#include "support/shared_files.h"

namespace nibble {
namespace {

using testing::jpeg_of;
using testing::npz_of;
using testing::test_image;

Tensor integers(const Shape& shape, int64_t modulus) {
  Tensor tensor(DType::i64, shape);
  int64_t next = 0;
  for (int64_t& value : tensor.data<int64_t>()) value = next++ % modulus;
  return tensor;
}

Tensor reals(const Shape& shape, int seed = 0) {
  Tensor tensor(DType::f32, shape);
  int next = seed;
  for (float& value : tensor.data<float>()) {
    value = static_cast<float>((next = (next * 73 + 41) % 997)) / 500.0F - 1.0F;
  }
  return tensor;
}

// A graph under construction.
class Model {
 public:
  Model() { graph_.opsets = {{"", 17}}; }
  ValueId input(const std::string& name, DType dtype, const Shape& shape) {
    graph_.inputs.push_back(graph_.add_value(name, {.dtype = dtype, .shape = shape}));
    return graph_.inputs.back();
  }
  ValueId constant(const std::string& name, const Tensor& data) {
    return graph_.add_constant(name, data);
  }
  using Named = std::vector<std::pair<std::string, Attribute>>;
  ValueId node(const std::string& op, std::vector<ValueId> inputs, const Named& named = {}) {
    Attributes attributes;
    for (const auto& [key, value] : named) attributes.set(key, value);
    const std::string name = op + std::to_string(++nodes_);
    const ValueId result = graph_.add_value(name + "_out", {.dtype = DType::f32});
    graph_.add_node({.op = op,
                     .name = name,
                     .inputs = std::move(inputs),
                     .outputs = {result},
                     .attributes = std::move(attributes)});
    return result;
  }
  ValueId layer(ValueId data, int64_t from, int64_t to) {
    const std::string name = "w" + std::to_string(nodes_);
    return node("MatMul", {data, constant(name, reals({from, to}, static_cast<int>(to)))});
  }
  void output(ValueId value, const std::string& name, const Shape& shape,
              DType dtype = DType::f32) {
    graph_.value(value).name = name;
    graph_.value(value).type = {.dtype = dtype, .shape = shape};
    graph_.outputs.push_back(value);
  }
  void save(const std::string& path) const { save_onnx(graph_, path); }

 private:
  Graph graph_;
  int nodes_ = 0;
};

class data_sources : public testing::CommandLine {
 protected:
  void SetUp() override {
    CommandLine::SetUp();
    make_models();
    make_data();
  }

  void write(const std::string& name, const std::string& bytes) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    std::ofstream(path(name), std::ios::binary) << bytes;
  }
  void array(const std::string& name, const Tensor& tensor) const {
    std::filesystem::create_directories(std::filesystem::path(path(name)).parent_path());
    save_npy(tensor, path(name));
  }

  void make_models() const {
    {  // token ids and a mask
      Model m;
      const ValueId ids = m.input("input_ids", DType::i64, {-1, -1});
      const ValueId mask = m.input("attention_mask", DType::i64, {-1, -1});
      const ValueId rows = m.node("Gather", {m.constant("table", reals({20, 8})), ids});
      const ValueId weights =
          m.node("Unsqueeze", {m.node("Cast", {mask}, {{"to", int64_t{1}}}),
                               m.constant("axis", Tensor::of<int64_t>({1}, {2}))});
      const ValueId hidden = m.node("Relu", {m.layer(m.node("Mul", {rows, weights}), 8, 16)});
      m.output(m.layer(hidden, 16, 4), "logits", {-1, -1, 4});
      m.save(path("text.onnx"));
    }
    for (const bool last : {false, true}) {  // pictures
      Model m;
      const ValueId x =
          m.input("image", DType::f32, last ? Shape{-1, 8, 10, 3} : Shape{-1, 3, 8, 10});
      ValueId planes = x;
      if (last) planes = m.node("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 3, 1, 2}}});
      const ValueId flat = m.node("Flatten", {planes});
      m.output(m.layer(m.node("Relu", {m.layer(flat, 240, 8)}), 8, 2), "y", {-1, 2});
      m.save(path(last ? "nhwc.onnx" : "photos.onnx"));
    }
    {  // bytes
      Model m;
      const ValueId x = m.input("bytes", DType::u8, {-1, 3, 8, 10});
      const ValueId flat = m.node("Flatten", {m.node("Cast", {x}, {{"to", int64_t{1}}})});
      m.output(m.layer(m.node("Relu", {m.layer(flat, 240, 8)}), 8, 2), "y", {-1, 2});
      m.save(path("bytes.onnx"));
    }
    {  // sound, frame by frame, with a state
      Model m;
      const ValueId x = m.input("frame", DType::f32, {1, 16});
      const ValueId h = m.input("state", DType::f32, {1, 8});
      const ValueId sum = m.node("Add", {m.layer(x, 16, 8), m.layer(h, 8, 8)});
      const ValueId next = m.node("Tanh", {sum});
      m.output(m.layer(next, 8, 2), "speech", {1, 2});
      m.output(next, "new_state", {1, 8});
      m.save(path("sound.onnx"));
    }
    {  // a table
      Model m;
      const ValueId x = m.input("features", DType::f32, {-1, 3});
      m.output(m.layer(m.node("Relu", {m.layer(x, 3, 8)}), 8, 2), "y", {-1, 2});
      m.save(path("table.onnx"));
    }
  }

  void make_data() const {
    array("ids.npy", integers({12, 6}, 20));
    array("mask.npy", integers({12, 6}, 2));
    array("arrays/input_ids.npy", integers({12, 6}, 20));
    array("arrays/attention_mask.npy", integers({12, 6}, 2));
    write("tokens.npz",
          npz_of({{"input_ids", integers({12, 6}, 20)}, {"attention_mask", integers({12, 6}, 2)}}));
    write("renamed.npz",
          npz_of({{"tokens", integers({12, 6}, 20)}, {"attention_mask", integers({12, 6}, 2)}}));
    std::string lines;
    for (int length = 1; length < 9; ++length) {
      nlohmann::json line;
      for (int i = 0; i < length; ++i) {
        line["input_ids"].push_back((i * 7 + length) % 20);
        line["attention_mask"].push_back(1);
      }
      lines += line.dump() + "\n";
    }
    write("tokens.jsonl", lines);
    for (int length = 1; length < 9; ++length) {
      write("clips/" + std::to_string(length) + ".npz",
            npz_of({{"input_ids", integers({length}, 20)},
                    {"attention_mask", integers({length}, 2)}}));
    }
    for (int i = 0; i < 8; ++i) {
      const std::string name = std::to_string(i) + ".jpg";
      write("photos/" + name, jpeg_of(test_image(8, 10, 3, i)));
      write("shapes/" + name, jpeg_of(test_image(9 + i, 20 - i, 3, i)));
      write((i % 2 == 0 ? "classes/cat/" : "classes/dog/") + name,
            jpeg_of(test_image(8, 10, 3, i)));
    }
    array("X.npy", reals({12, 3}));
    array("Y.npy", integers({12}, 2));
    write("table.csv", "a,b,c,label\n1,2,3,no\n4,5,6,yes\n7,8,9,no\n-1,0.5,2,yes\n3,2,1,no\n");
    for (int i = 0; i < 2; ++i) {
      const std::string set = "vectors/test_data_set_" + std::to_string(i);
      std::filesystem::create_directories(path(set));
      save_tensor_proto(reals({1, 3}, i), "features", path(set + "/input_0.pb"));
    }
    std::vector<int16_t> points(100);
    for (size_t i = 0; i < points.size(); ++i) points[i] = static_cast<int16_t>(i * 997 % 20000);
    write("sound/a.wav", testing::wav_of_points(points));
    write("sound/b.wav", testing::wav_of_points({points.begin(), points.begin() + 40}));
  }
};

// The commands in README.md's table of models.
std::vector<std::string> table_commands() {
  std::istringstream readme(read_file(testing::source_dir() / "README.md"));
  std::vector<std::string> commands;
  bool inside = false;
  for (std::string line; std::getline(readme, line);) {
    if (line.starts_with("| your model")) inside = true;
    if (line.empty()) inside = false;
    const size_t begin = line.find("`nibble ");
    if (!inside || begin == std::string::npos) continue;
    commands.push_back(line.substr(begin + 8, line.find('`', begin + 1) - begin - 8));
  }
  return commands;
}

TEST_F(data_sources, every_command_of_the_readmes_table_works) {
  const std::vector<std::string> commands = table_commands();
  EXPECT_GE(commands.size(), 12U);
  for (const std::string& command : commands) {
    std::filesystem::remove(path("small.onnx"));
    const auto result = nibble(command);
    EXPECT_EQ(result.status, 0) << command << "\n" << result.err;
    EXPECT_TRUE(std::filesystem::exists(path("small.onnx"))) << command;
    EXPECT_NE(result.out.find("quantized"), std::string::npos) << result.out;
  }
}

TEST_F(data_sources, where_nothing_is_measured_no_data_are_needed) {
  for (const char* model : {"text.onnx", "photos.onnx", "bytes.onnx", "sound.onnx"}) {
    for (const char* flags : {"--weights 4 --activations none", "--dynamic"}) {
      const auto result = nibble("quantize " + std::string(model) + " " + flags + " -o small.onnx");
      EXPECT_EQ(result.status, 0) << model << flags << result.err;
      EXPECT_NE(result.out.find("without data"), std::string::npos) << result.out;
    }
  }
  expect_failure("quantize photos.onnx -o none.onnx", 1,
                 {"photos.onnx", "no data are given", "ranges of activations", "--dynamic",
                  "--activations none"});
  expect_failure("quantize photos.onnx -o none.onnx --activations none --average-bits 6", 1,
                 {"no data are given", "how many bits"});
  expect_failure("quantize photos.onnx --activations none --rounding gptq -o q.onnx", 1,
                 {"--rounding gptq looks at data", "--data"});
  expect_failure("analyze photos.onnx", 1, {"no data are given", "--data"});
  expect_failure("eval photos.onnx", 1, {"no data are given"});
  EXPECT_FALSE(std::filesystem::exists(path("none.onnx")));
}

TEST_F(data_sources, states_are_remembered_by_the_model_that_is_written) {
  const auto made =
      nibble("quantize sound.onnx --data sound --carry new_state=state -o small.onnx --weights 8");
  ASSERT_EQ(made.status, 0) << made.err;
  EXPECT_EQ(stored_carry(load_onnx(path("small.onnx"))), (Carry{{"state", "new_state"}}));
  // The float model, which says nothing, is run as the quantized one says.
  const auto compared = nibble("analyze small.onnx --data sound");
  EXPECT_EQ(compared.status, 0) << compared.err;
}

TEST_F(data_sources, a_layout_is_found_and_remembered) {
  ASSERT_EQ(nibble("quantize nhwc.onnx --data photos -o small.onnx").status, 0);
  const auto stored = stored_preprocess(load_onnx(path("small.onnx")));
  ASSERT_TRUE(stored);
  EXPECT_EQ(stored->layout, Preprocess::Layout::hwc);
  ASSERT_EQ(nibble("quantize bytes.onnx --data photos -o small.onnx").status, 0);
  EXPECT_EQ(stored_preprocess(load_onnx(path("small.onnx")))->scale, 1.0F);
}

TEST_F(data_sources, what_does_not_fit_is_one_sentence_and_nothing_is_written) {
  const std::string quantize = "quantize ", out = " -o none.onnx";
  const auto refused = [&](const std::string& arguments, std::initializer_list<std::string> parts) {
    expect_failure(quantize + arguments + out, 1, parts);
    EXPECT_FALSE(std::filesystem::exists(path("none.onnx"))) << arguments;
  };
  // A missing and a surplus array.
  refused("text.onnx --data ids.npy", {"input 'input_ids'", "ids.npy", "--input"});
  refused("text.onnx --input input_ids=ids.npy", {"'attention_mask'"});
  write("more.npz", npz_of({{"input_ids", integers({12, 6}, 20)},
                            {"attention_mask", integers({12, 6}, 2)},
                            {"position", integers({12, 6}, 2)}}));
  refused("text.onnx --data more.npz", {"more.npz", "'position'", "no input for"});
  // A wrong type and a wrong shape.
  array("reals.npy", reals({12, 6}));
  refused("text.onnx --input input_ids=reals.npy --input attention_mask=mask.npy",
          {"'input_ids'", "i64", "f32"});
  refused("table.onnx --data reals.npy", {"'features'", "reals.npy", "[6]"});
  // Arrays of different lengths.
  array("short.npy", integers({11, 6}, 2));
  refused("text.onnx --input input_ids=ids.npy --input attention_mask=short.npy",
          {"ids.npy has 12", "short.npy has 11", "samples"});
  // An unreadable sample among many.
  write("clips/5.npz", "no archive");
  refused("text.onnx --data clips", {"5.npz", "zip"});
  write("photos/3.jpg", jpeg_of(test_image(8, 10, 3)).substr(0, 300));
  refused("photos.onnx --data photos", {"3.jpg", "JPEG"});
  write("tokens.jsonl", "{\"input_ids\": [1], \"attention_mask\": [1]}\n{\"input_ids\": [1,");
  refused("text.onnx --data tokens.jsonl", {"tokens.jsonl line 2"});
  // A carry that does not fit.
  refused("sound.onnx --data sound --carry speech=state", {"speech=state", "[1,2]", "[1,8]"});
  refused("sound.onnx --data sound --carry nothing=state", {"no output 'nothing'"});
  refused("sound.onnx --data sound --carry state", {"--carry state", "OUTPUT=INPUT"});
  // What is no input, no array, no file, no assignment.
  refused("table.onnx --input feature=X.npy", {"no input 'feature'", "'features'"});
  refused("text.onnx --data renamed.npz --input input_ids=words", {"no array 'words'", "renamed"});
  refused("table.onnx --input features=nowhere.npy", {"nowhere.npy"});
  refused("table.onnx --input features", {"--input features"});
  refused("photos.onnx --data shapes --letterbox 8xten", {"--letterbox 8xten", "'ten'"});
}

TEST_F(data_sources, small_models_that_users_bring_are_quantized_on_their_data) {
  NIBBLE_SHARED_FILE(cases, "cases");
  // "@" stands for the case's folder.
  const std::pair<const char*, const char*> commands[] = {
      {"token-ids", "@model.onnx --input input_ids=@ids.npy --input attention_mask=@mask.npy"},
      {"token-ids", "@model.onnx --dynamic"},
      {"token-ids", "@model.onnx --weights 4 --activations none"},
      {"token-ids", "@model_ids_only.onnx --data @xy.npz"},
      {"nhwc-images", "@model_nhwc.onnx --data @img"},
      {"nhwc-images", "@model_nchw.onnx --data @img"},
      {"nhwc-images", "@model.onnx --data @X.npy"},
      {"uint8-input", "@model.onnx --data @X.npy,@Y.npy"},
      {"uint8-input", "@nhwc.onnx --data @Xn.npy"},
      {"audio-states", "@model.onnx --data @X.npy,@Y.npy"},
      {"audio-states",
       "@model_stream.onnx --input x=@sx.npy --input gain=@sgain.npy --carry h_out=h_in --carry "
       "cache_out=cache"},
      {"ragged", "@model.onnx --data @X.npy"},
  };
  for (const auto& [folder, command] : commands) {
    std::string arguments = "quantize -o small.onnx ";
    for (const char c : std::string(command)) {
      arguments += c == '@' ? (cases / folder).string() + "/" : std::string(1, c);
    }
    const auto result = nibble(arguments);
    EXPECT_EQ(result.status, 0) << command << "\n" << result.err;
    const auto stored = stored_preprocess(load_onnx(path("small.onnx")));
    if (std::string(command).starts_with("@model_nhwc")) {
      EXPECT_EQ(stored->layout, Preprocess::Layout::hwc);
    }
    if (std::string(command).find("@Y.npy") != std::string::npos && stored) {
      EXPECT_EQ(stored->scale, 1.0F) << command;
    }
  }
}

TEST_F(data_sources, bench_takes_shapes_and_fills_inputs_that_can_be_run) {
  const std::string seconds = " --seconds 0.01";
  EXPECT_EQ(
      nibble("bench text.onnx --shape input_ids=1x7 --shape attention_mask=1,7" + seconds).status,
      0);
  expect_failure("bench text.onnx --shape input_ids=1x7" + seconds, 1, {"'attention_mask'"});
  expect_failure("bench text.onnx --shape ids=1x7" + seconds, 1, {"ids", "no model has"});
  expect_failure("bench text.onnx --shape input_ids=1x-7" + seconds, 1, {"'-7'", "no"});
  expect_failure("bench text.onnx --shape input_ids=1x7 --shape input_ids=1x8" + seconds, 1,
                 {"twice"});
  EXPECT_EQ(nibble("bench bytes.onnx sound.onnx" + seconds).status, 0);
}

}  // namespace
}  // namespace nibble
