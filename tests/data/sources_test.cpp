// Samples of named tensors: arrays, folders of arrays, test vectors, tables, lines.
#include <gtest/gtest.h>

#include "../support/temp_folder.h"
#include "base/file.h"
#include "make_files.h"
#include "nibble/data.h"
#include "nibble/onnx.h"
#include "zip_files.h"

namespace nibble {
namespace {

using testing::contains;
using testing::error_of;
using testing::npz_of;
using testing::TempFolder;
using testing::test_image;

// What a model with token ids and a mask takes.
const std::vector<Field> kTokens = {{.name = "ids", .dtype = DType::i64, .shape = {-1, -1}},
                                    {.name = "mask", .dtype = DType::i64, .shape = {-1, -1}}};

Tensor integers(const Shape& shape, int64_t first = 0) {
  Tensor tensor(DType::i64, shape);
  for (int64_t& value : tensor.data<int64_t>()) value = first++;
  return tensor;
}

std::vector<std::string> names_of(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  return names;
}

using Names = std::vector<std::string>;

TEST(Sources, one_array_without_labels_is_samples) {
  const TempFolder folder;
  save_npy(integers({4, 3}), folder / "x.npy");
  const auto data = open_dataset((folder / "x.npy").string(), {});
  EXPECT_EQ(data->size(), 4);
  EXPECT_EQ(data->classes(), 0);
  EXPECT_EQ(data->fields()[0], (Field{.dtype = DType::i64, .shape = {3}}));
  EXPECT_EQ(data->sample(2)[0].data<int64_t>()[0], 6);
}

TEST(Sources, an_npz_has_arrays_named_like_the_inputs) {
  const TempFolder folder;
  folder.write("d.npz", npz_of({{"ids", integers({4, 3})},
                                {"mask", integers({4, 3}, 100)},
                                {"label", integers({4})},
                                {"target:logits", Tensor(DType::f32, {4, 2})}}));
  const auto data = open_dataset((folder / "d.npz").string(), {.inputs = kTokens});
  EXPECT_EQ(names_of(data->fields()), (Names{"ids", "mask"}));
  EXPECT_EQ(data->classes(), 4);
  EXPECT_EQ(data->target_fields(),
            (std::vector<Field>{{.name = "logits", .dtype = DType::f32, .shape = {2}}}));
  EXPECT_EQ(data->targets(1)[0].shape(), (Shape{2}));
  EXPECT_EQ(data->sample(1)[1].data<int64_t>()[2], 105);
}

TEST(Sources, x_and_y_stay_samples_and_labels_of_a_model_whose_input_is_x) {
  const TempFolder folder;
  folder.write("d.npz", npz_of({{"x", Tensor(DType::f32, {4, 3})}, {"y", integers({4})}}));
  const DataOptions options{.inputs = {{.name = "x", .shape = {-1, 3}}}};
  const auto data = open_dataset((folder / "d.npz").string(), options);
  EXPECT_EQ(data->fields().size(), 1U);
  EXPECT_EQ(data->classes(), 4);
}

TEST(Sources, a_folder_of_arrays_is_by_the_names_of_its_files) {
  const TempFolder folder;
  save_npy(integers({4, 3}), folder / "a_b.npy");  // the input's name, as a file can be called
  save_npy(Tensor(DType::f32, {4}), folder / "gain.npy");
  save_npy(integers({4}), folder / "label.npy");
  const DataOptions options{.inputs = {{.name = "a/b", .dtype = DType::i64, .shape = {-1, 3}},
                                       {.name = "gain", .shape = {}}}};
  const auto data = open_dataset(folder.path().string(), options);
  EXPECT_EQ(names_of(data->fields()), (Names{"a/b", "gain"}));
  EXPECT_EQ(data->fields()[1].shape, (Shape{}));
  EXPECT_EQ(data->classes(), 4);
}

TEST(Sources, arrays_of_different_lengths_are_named) {
  const TempFolder folder;
  save_npy(integers({4, 3}), folder / "ids.npy");
  save_npy(integers({5, 3}), folder / "mask.npy");
  const std::string message =
      error_of([&] { open_dataset(folder.path().string(), {.inputs = kTokens}); });
  EXPECT_PRED2(contains, message, "ids.npy has 4 samples");
  EXPECT_PRED2(contains, message, "mask.npy has 5");
}

TEST(Sources, an_input_gets_an_array_of_another_name) {
  const TempFolder folder;
  folder.write("d.npz", npz_of({{"tokens", integers({4, 3})}, {"mask", integers({4, 3})}}));
  const std::string spec = (folder / "d.npz").string();
  const auto data = open_dataset(spec, {.inputs = kTokens, .sources = {{"ids", "tokens"}}});
  EXPECT_EQ(names_of(data->fields()), (Names{"ids", "mask"}));
  const auto message = [&](const std::map<std::string, std::string>& sources) {
    return error_of([&] { open_dataset(spec, {.inputs = kTokens, .sources = sources}); });
  };
  EXPECT_PRED2(contains, message({{"ids", "words"}}), "has no array 'words'");
  EXPECT_PRED2(contains, message({{"id", "tokens"}}), "the model has no input 'id'");
  EXPECT_PRED2(contains, error_of([] {
                 open_dataset("", {.sources = {{"ids", "tokens.txt"}}});
               }),
               "--input ids=tokens.txt: the name of a file ends with .npy or .pb");
}

TEST(Sources, files_give_rows_or_the_same_for_every_sample) {
  const TempFolder folder;
  save_npy(Tensor(DType::f32, {6, 3}), folder / "x.npy");
  save_npy(Tensor::of<float>({1, 2}, {7, 8}), folder / "state.npy");
  save_tensor_proto(Tensor::scalar<float>(5), "gain", folder / "gain.pb");
  save_npy(integers({6}), folder / "y.npy");
  const std::vector<Field> inputs = {{.name = "x", .shape = {1, 3}},
                                     {.name = "state", .shape = {1, 2}},
                                     {.name = "gain", .shape = {}}};
  const std::map<std::string, std::string> files = {{"state", (folder / "state.npy").string()},
                                                    {"gain", (folder / "gain.pb").string()}};
  // Beside data, whose array without a name is for the input that is left.
  const auto beside =
      open_dataset((folder / "x.npy").string(), {.inputs = inputs, .sources = files});
  EXPECT_EQ(beside->size(), 6);
  EXPECT_EQ(names_of(beside->fields()), (Names{"x", "gain", "state"}));
  EXPECT_EQ(beside->sample(5)[2].data<float>()[1], 8);
  // Without data.
  auto all = files;
  all["x"] = (folder / "x.npy").string();
  all["label"] = (folder / "y.npy").string();
  const auto alone = open_dataset("", {.inputs = inputs, .sources = all});
  EXPECT_EQ(alone->size(), 6);
  EXPECT_EQ(alone->classes(), 6);
  EXPECT_EQ(alone->sample(5)[0].data<float>()[0], 5);
  // As many rows as there are samples.
  save_npy(Tensor(DType::f32, {5, 2}), folder / "state.npy");
  const std::string message = error_of(
      [&] { open_dataset((folder / "x.npy").string(), {.inputs = inputs, .sources = files}); });
  EXPECT_PRED2(contains, message, "x.npy has 6 samples");
  EXPECT_PRED2(contains, message, "state.npy has 5");
}

TEST(Sources, a_number_is_the_same_for_every_sample_in_the_inputs_type_and_shape) {
  const TempFolder folder;
  save_npy(Tensor(DType::f32, {6, 3}), folder / "x.npy");
  const std::vector<Field> inputs = {{.name = "x", .shape = {-1, 3}},
                                     {.name = "rate", .dtype = DType::i64, .shape = {}},
                                     {.name = "gains", .shape = {1, 2}}};
  const auto data =
      open_dataset((folder / "x.npy").string(),
                   {.inputs = inputs, .sources = {{"rate", "16000"}, {"gains", "-0.5"}}});
  EXPECT_EQ(names_of(data->fields()), (Names{"x", "gains", "rate"}));
  const std::vector<Tensor> sample = data->sample(5);
  EXPECT_EQ(sample[1].data<float>()[1], -0.5F);
  EXPECT_EQ(sample[2].data<int64_t>()[0], 16000);
  const std::string message = error_of([&] {
    open_dataset((folder / "x.npy").string(), {.inputs = inputs, .sources = {{"rate", "16 kHz"}}});
  });
  EXPECT_PRED2(contains, message, "16 kHz");
  // Without a model nobody knows an input that it could be for.
  EXPECT_PRED2(contains, error_of([&] {
                 open_dataset((folder / "x.npy").string(), {.sources = {{"rate", "16000"}}});
               }),
               "--input rate=16000");
}

TEST(Sources, an_array_without_a_name_goes_to_the_input_that_can_hold_it) {
  const TempFolder folder;
  save_npy(Tensor(DType::f32, {6, 3}), folder / "x.npy");
  save_npy(Tensor::scalar<float>(5), folder / "gain.npy");
  const DataOptions options{.inputs = {{.name = "state", .shape = {1, 2}},
                                       {.name = "gain", .shape = {}},
                                       {.name = "x", .shape = {-1, 3}}},
                            .sources = {{"gain", (folder / "gain.npy").string()}}};
  const auto data = open_dataset((folder / "x.npy").string(), options);
  EXPECT_EQ(names_of(data->fields()), (Names{"x", "gain"}));
}

TEST(Sources, an_npz_per_sample_may_differ_in_shape) {
  const TempFolder folder;
  folder.write("0.npz", npz_of({{"ids", integers({3})}, {"label", integers({}, 1)}}));
  folder.write("1.npz", npz_of({{"ids", integers({5}, 10)}, {"label", integers({}, 0)}}));
  const std::string spec = folder.path().string();
  const auto data = open_dataset(spec, {.inputs = {kTokens[0]}});
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(data->fields()[0].shape, (Shape{-1}));
  EXPECT_EQ(data->sample(1)[0].shape(), (Shape{5}));
  EXPECT_EQ(data->sample(1)[0].data<int64_t>()[4], 14);
  EXPECT_EQ(data->label(0), 1);
  const auto message = [&](const std::string& bytes) {
    folder.write("1.npz", bytes);
    return error_of([&] { open_dataset(spec, {.inputs = kTokens}); });
  };
  const Tensor label = integers({});
  EXPECT_PRED2(contains, message(npz_of({{"label", label}})), "1.npz: there is no 'ids'");
  EXPECT_PRED2(contains,
               message(npz_of({{"ids", integers({3})}, {"mask", integers({3})}, {"label", label}})),
               "1.npz: it has 'mask'");
  EXPECT_PRED2(contains, message(npz_of({{"ids", Tensor(DType::u8, {3})}, {"label", label}})),
               "1.npz: 'ids' is u8");
  EXPECT_PRED2(contains, message("PK"), "1.npz: not a sound zip archive");
  EXPECT_PRED2(contains, message(npz_of({{"ids", integers({3})}, {"label", integers({2})}})),
               "1.npz: 'label' is i64[2], a label is one integer");
}

TEST(Sources, a_damaged_sample_is_named_when_it_is_read) {
  const TempFolder folder;
  folder.write("0.npz", npz_of({{"ids", integers({300})}}));
  std::string bytes = npz_of({{"ids", integers({300})}});
  bytes[1500] = static_cast<char>(bytes[1500] ^ 1);  // in the numbers, behind the header
  folder.write("1.npz", bytes);
  const auto data = open_dataset(folder.path().string(), {.inputs = {kTokens[0]}});
  EXPECT_PRED2(contains, error_of([&] { read_batch(*data, 0, 2, 1); }),
               "1.npz > ids.npy: not a sound zip archive: an entry's checksum is wrong");
}

TEST(Sources, test_vectors_are_by_position) {
  const TempFolder folder;
  for (int i = 0; i < 2; ++i) {
    const std::string set = "test_data_set_" + std::to_string(i);
    std::filesystem::create_directories(folder / set);
    save_tensor_proto(integers({1, 3 + i}), "anything", folder / (set + "/input_0.pb"));
    save_tensor_proto(integers({1, 3 + i}, 50), "else", folder / (set + "/input_1.pb"));
    save_tensor_proto(Tensor(DType::f32, {1, 2}), "out", folder / (set + "/output_0.pb"));
  }
  const std::string spec = folder.path().string();
  const DataOptions options{.inputs = kTokens, .outputs = {{.name = "logits", .shape = {-1, 2}}}};
  const auto data = open_dataset(spec, options);
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(names_of(data->fields()), (Names{"ids", "mask"}));
  EXPECT_EQ(data->fields()[0].shape, (Shape{1, -1}));
  EXPECT_EQ(data->sample(1)[1].data<int64_t>()[0], 50);
  EXPECT_EQ(data->target_fields()[0].name, "logits");
  save_tensor_proto(integers({1}), "third", folder / "test_data_set_1/input_2.pb");
  EXPECT_PRED2(contains, error_of([&] { open_dataset(spec, options); }),
               "input_2.pb: the model has 2 inputs");
  folder.write("test_data_set_1/input_1.pb", "garbage");
  EXPECT_PRED2(contains, error_of([&] { open_dataset(spec, options); }), "input_1.pb");
}

TEST(Sources, a_table_is_one_vector_or_a_column_per_input) {
  const TempFolder folder;
  const std::string spec =
      folder.write("t.csv", "age,label,height\n1, yes ,2.5\r\n-3,no,4e1\n").string();
  const auto vectors = open_dataset(spec, {});
  ASSERT_EQ(vectors->size(), 2);
  EXPECT_EQ(vectors->fields()[0].shape, (Shape{2}));
  EXPECT_EQ(vectors->sample(1)[0].data<float>()[1], 40);
  EXPECT_EQ(vectors->class_names(), (Names{" yes ", "no"}));
  const DataOptions options{
      .inputs = {{.name = "height", .shape = {-1, 1}}, {.name = "age", .shape = {-1}}}};
  const auto columns = open_dataset(spec, options);
  EXPECT_EQ(columns->fields(),
            (std::vector<Field>{{.name = "age", .shape = {}}, {.name = "height", .shape = {1}}}));
  folder.write("t.csv", "a,target,b\n1,2,3\n");
  const auto regression = open_dataset(spec, {.outputs = {{.name = "y", .shape = {-1, 1}}}});
  EXPECT_EQ(regression->fields()[0].shape, (Shape{2}));
  EXPECT_EQ(regression->target_fields()[0].shape, (Shape{1}));
  EXPECT_EQ(regression->targets(0)[0].data<float>()[0], 2);
  const auto message = [&](const std::string& text) {
    folder.write("t.csv", text);
    return error_of([&] { open_dataset(spec, {}); });
  };
  EXPECT_PRED2(contains, message("a,b\n1,x\n"), "t.csv line 2: 'x' in the column 'b'");
  EXPECT_PRED2(contains, message("a,b\n1\n"), "t.csv line 2: 1 fields under 2 columns");
  EXPECT_PRED2(contains, message("a,a\n1,2\n"), "two columns are named 'a'");
  EXPECT_PRED2(contains, message("a,b\n"), "empty");
  EXPECT_PRED2(contains, message("label\n1\n"), "names no columns");
}

TEST(Sources, lines_hold_objects_of_arrays_of_any_length) {
  const TempFolder folder;
  const std::string spec =
      folder
          .write("t.jsonl",
                 "{\"ids\": [1, 2, 3], \"mask\": [1, 1, 1], \"label\": 1, \"text\": \"a b\"}\n\n"
                 "{\"ids\": [4], \"mask\": [0], \"label\": 0}\n")
          .string();
  const auto data = open_dataset(spec, {.inputs = kTokens});
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(data->fields()[0], (Field{.name = "ids", .dtype = DType::i64, .shape = {-1}}));
  EXPECT_EQ(data->sample(1)[0].data<int64_t>()[0], 4);
  EXPECT_EQ(data->label(0), 1);
  const auto message = [&](const std::string& text) {
    folder.write("t.jsonl", text);
    return error_of([&] { open_dataset(spec, {.inputs = kTokens}); });
  };
  EXPECT_PRED2(contains, message("{\"ids\": [1]}\n{\"mask\": [1]}\n"), "line 2: there is no 'ids'");
  EXPECT_PRED2(contains, message("{\"ids\": [1]}\n{\"ids\": [1"), "line 2: neither a JSON object");
  EXPECT_PRED2(contains, message("{\"ids\": [[1, 2], [3]]}"), "differ in length");
  EXPECT_PRED2(contains, message("{\"ids\": [null]}"), "'null' where a number");
  EXPECT_PRED2(contains, message("{\"ids\": [1], \"label\": \"good\"}"), "'label' is \"good\"");
  EXPECT_PRED2(contains, message(""), "empty");
}

TEST(Sources, lines_of_bare_arrays_are_the_only_input) {
  const TempFolder folder;
  const std::string spec = folder.write("t.jsonl", "[1, 2]\n[3, 4.5]\n").string();
  const auto data = open_dataset(spec, {});
  EXPECT_EQ(data->fields()[0], (Field{.dtype = DType::f32, .shape = {2}}));
  EXPECT_EQ(data->sample(0)[0].data<float>()[1], 2);
}

TEST(Sources, pictures_need_no_classes) {
  const TempFolder folder;
  const auto png = [](int seed) { return testing::png_of(test_image(4, 6, 3, seed)); };
  folder.write("b.png", png(0));
  folder.write("deep/er/a.png", png(1));
  folder.write("notes.txt", "no picture");
  const auto data = open_dataset(folder.path().string(), {});
  EXPECT_EQ(data->size(), 2);
  EXPECT_EQ(data->classes(), 0);
  EXPECT_EQ(open_dataset((folder / "b.png").string(), {})->size(), 1);
  const TempFolder divided;
  divided.write("train/a.png", png(0));
  divided.write("train/b.png", png(0));
  divided.write("val/a.png", png(0));
  const std::string spec = divided.path().string();
  EXPECT_EQ(open_dataset(spec, {.split = Split::train, .validation_share = 0})->size(), 2);
  EXPECT_EQ(open_dataset(spec, {})->size(), 1);
  folder.write("c.png", "no picture");
  const auto broken = open_dataset(folder.path().string(), {});
  EXPECT_PRED2(contains, error_of([&] { read_batch(*broken, 0, 3, 2); }),
               "c.png: the file is neither a JPEG nor a PNG");
}

}  // namespace
}  // namespace nibble
