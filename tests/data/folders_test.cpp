// Class folders and labels.csv.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "../support/shared_files.h"
#include "../support/temp_folder.h"
#include "make_files.h"
#include "nibble/data.h"

namespace nibble {
namespace {

using testing::contains;
using testing::error_of;
using testing::jpeg_of;
using testing::png_of;
using testing::TempFolder;
using testing::test_image;

std::string png(int seed = 0) { return png_of(test_image(8, 8, 3, seed)); }

void fill_classes(const TempFolder& folder, const std::string& part,
                  const std::vector<std::string>& classes, int count) {
  for (const std::string& name : classes) {
    for (int i = 0; i < count; ++i) {
      folder.write(fmt::format("{}/{}/{}.png", part, name, i), png(i));
    }
  }
}

TEST(ClassFolders, parts_are_train_and_test) {
  const TempFolder folder;
  fill_classes(folder, "train", {"cat", "dog"}, 10);
  fill_classes(folder, "test", {"cat", "dog"}, 3);
  folder.write("train/cat/notes.txt", "not an image");
  folder.write("train/cat/._0.png", "what another system left there");
  const std::string spec = folder.path().string();
  const auto test = open_dataset(spec, {});
  EXPECT_EQ(test->size(), 6);
  EXPECT_EQ(test->class_names(), (std::vector<std::string>{"cat", "dog"}));
  EXPECT_EQ(sample_shape(*test, "the test"), (Shape{3, 8, 8}));
  EXPECT_EQ(test->label(0), 0);
  EXPECT_EQ(test->label(5), 1);
  EXPECT_EQ(open_dataset(spec, {.split = Split::train})->size(), 18);
  EXPECT_EQ(open_dataset(spec, {.split = Split::validation})->size(), 2);
  EXPECT_EQ(open_dataset(spec + "/", {})->describe(),
            folder.path().filename().string() + "/test: 6 samples, 2 classes");
}

TEST(ClassFolders, val_is_the_test_part_if_there_is_no_other) {
  const TempFolder folder;
  fill_classes(folder, "train", {"a", "b"}, 10);
  fill_classes(folder, "val", {"a", "b"}, 2);
  const std::string spec = folder.path().string();
  EXPECT_EQ(open_dataset(spec, {.split = Split::test})->size(), 4);
  EXPECT_EQ(open_dataset(spec, {.split = Split::validation})->size(), 2);
  fill_classes(folder, "test", {"a", "b"}, 3);
  EXPECT_EQ(open_dataset(spec, {.split = Split::test})->size(), 6);
  EXPECT_EQ(open_dataset(spec, {.split = Split::validation})->size(), 4);
  EXPECT_EQ(open_dataset(spec, {.split = Split::train})->size(), 20);
}

TEST(ClassFolders, undivided_folder_is_tested_whole_and_divided_to_train) {
  const TempFolder folder;
  fill_classes(folder, ".", {"a", "b", "c"}, 10);
  const std::string spec = folder.path().string();
  EXPECT_EQ(open_dataset(spec, {.split = Split::test})->size(), 30);
  const auto train = open_dataset(spec, {.split = Split::train, .validation_share = 0.2});
  const auto validation = open_dataset(spec, {.split = Split::validation, .validation_share = 0.2});
  EXPECT_EQ(train->size(), 24);
  EXPECT_EQ(validation->size(), 6);
  std::multiset<int64_t> labels;
  for (int64_t i = 0; i < 6; ++i) labels.insert(validation->label(i));
  EXPECT_EQ(labels, (std::multiset<int64_t>{0, 0, 1, 1, 2, 2}));
}

TEST(ClassFolders, class_names_that_are_numbers_are_ordered_as_numbers) {
  const TempFolder folder;
  fill_classes(folder, ".", {"10", "9", "0"}, 1);
  EXPECT_EQ(open_dataset(folder.path().string(), {})->class_names(),
            (std::vector<std::string>{"0", "9", "10"}));
}

TEST(ClassFolders, a_class_that_training_lacks_is_an_error) {
  const TempFolder folder;
  fill_classes(folder, "train", {"cat", "dog"}, 2);
  fill_classes(folder, "test", {"cat", "wolf"}, 2);
  EXPECT_PRED2(contains, error_of([&] { open_dataset(folder.path().string(), {}); }), "'wolf'");
}

TEST(ClassFolders, corrupt_image_is_named_when_it_is_read) {
  const TempFolder folder;
  const std::string jpeg = jpeg_of(test_image(32, 32, 3));
  folder.write("a/1.jpg", jpeg);
  folder.write("a/2.jpg", jpeg.substr(0, jpeg.size() / 2));
  const auto data = open_dataset(folder.path().string(), {});
  const std::string message = error_of([&] { read_batch(*data, 0, 2, 2); });
  EXPECT_PRED2(contains, message, (folder / "a/2.jpg").string());
  EXPECT_PRED2(contains, message, "corrupt JPEG: Premature end of JPEG file");
}

TEST(ClassFolders, images_of_different_sizes_need_a_resize) {
  const TempFolder folder;
  folder.write("a/1.png", png_of(test_image(8, 8, 3)));
  folder.write("b/2.png", png_of(test_image(16, 12, 1)));
  const std::string spec = folder.path().string();
  const std::string message = error_of([&] { read_batch(*open_dataset(spec, {}), 0, 2, 1); });
  EXPECT_PRED2(contains, message, "2.png");
  EXPECT_PRED2(contains, message, "16x12");
  const auto resized = open_dataset(
      spec, {.preprocess = Preprocess{.resize_shorter = 8, .crop_height = 8, .crop_width = 8}});
  EXPECT_EQ(read_batch(*resized, 0, 2, 1)[0].shape(), (Shape{2, 3, 8, 8}));
}

TEST(ClassFolders, empty_ones_are_errors) {
  const TempFolder folder;
  EXPECT_PRED2(contains, error_of([&] { open_dataset(folder.path().string(), {}); }),
               "no data in a form that is known");
  std::filesystem::create_directories(folder / "cat");
  EXPECT_PRED2(contains, error_of([&] { open_dataset(folder.path().string(), {}); }),
               "no JPEG or PNG");
  std::filesystem::create_directories(folder / "test");
  EXPECT_PRED2(contains, error_of([&] { open_dataset(folder.path().string(), {}); }),
               "no class folders");
}

TEST(LabelsCsv, numbers_and_names) {
  const TempFolder folder;
  folder.write("x/a.png", png(1));
  folder.write("b, c.png", png(2));
  folder.write("labels.csv",
               "file,label,name\r\nx/a.png,4,tench\r\n\"b, c.png\",1,\"an \"\"ox\"\"\"\r\n");
  const auto data = open_dataset(folder.path().string(), {});
  ASSERT_EQ(data->size(), 2);
  EXPECT_EQ(data->classes(), 5);
  EXPECT_EQ(data->label(0), 4);
  EXPECT_EQ(data->class_names()[4], "tench");
  EXPECT_EQ(data->class_names()[1], "an \"ox\"");
  EXPECT_EQ(read_batch(*data, 0, 2, 1)[0].shape(), (Shape{2, 3, 8, 8}));
}

TEST(LabelsCsv, words_are_numbered_in_order_and_splits_are_kept) {
  const TempFolder folder;
  for (const char* name : {"1.png", "2.png", "3.png"}) folder.write(name, png());
  folder.write("labels.csv",
               "split,label,file\ntrain,zebra,1.png\ntest,ant,2.png\ntest,bee,3.png\n");
  const auto data = open_dataset(folder.path().string(), {});
  EXPECT_EQ(data->size(), 2);
  EXPECT_EQ(data->class_names(), (std::vector<std::string>{"ant", "bee", "zebra"}));
  EXPECT_EQ(data->label(1), 1);
}

TEST(LabelsCsv, mistakes_are_named_with_their_line) {
  const TempFolder folder;
  folder.write("1.png", png());
  const auto message = [&](const char* csv) {
    folder.write("labels.csv", csv);
    return error_of([&] { open_dataset(folder.path().string(), {}); });
  };
  EXPECT_PRED2(contains, message("file,label\n1.png,0\n9.png,1\n"), "line 3: the file '9.png'");
  EXPECT_PRED2(contains, message("file,label\n1.png\n"), "line 2: no file or no label");
  EXPECT_PRED2(contains, message("image,number\n1.png,0\n"), "columns file and label");
  EXPECT_PRED2(contains, message("file,label\n1.png,-1\n"), "label -1");
  EXPECT_PRED2(contains, message("file,label\n"), "no samples");
  EXPECT_PRED2(contains, message(""), "columns file and label");
  EXPECT_PRED2(contains, message("file,label,split\n1.png,0,tset\n"), "'tset'");
}

void unpack(const std::filesystem::path& archive, const TempFolder& folder,
            const std::string& names) {
  const std::string command =
      "tar xzf '" + archive.string() + "' -C '" + folder.path().string() + "' " + names;
  ASSERT_EQ(std::system(command.c_str()), 0);
}

TEST(RealData, imagenet_sample_decodes_to_one_shape) {
  NIBBLE_SHARED_FILE(archive, "data/imagenet-sample.tar.gz");
  const TempFolder folder;
  unpack(archive, folder, "");
  const Preprocess preprocess{.color = Preprocess::Color::bgr,
                              .crop_height = 224,
                              .crop_width = 224,
                              .scale = 1,
                              .mean = {104, 117, 123}};
  const std::shared_ptr<const Dataset> data =
      open_dataset((folder / "imagenet-sample").string(), {.preprocess = preprocess});
  EXPECT_EQ(data->size(), 500);
  EXPECT_EQ(data->class_names()[2], "great_white_shark");
  EXPECT_EQ(read_batch(*random_subset(data, 32, 0), 0, 32, 2)[0].shape(), (Shape{32, 3, 224, 224}));
}

TEST(RealData, cats_and_dogs_need_a_resize_and_then_decode) {
  NIBBLE_SHARED_FILE(archive, "data/cats-dogs.tar.gz");
  const TempFolder folder;
  unpack(archive, folder, "cats-dogs/test");
  const std::string spec = (folder / "cats-dogs").string();
  const auto as_is = open_dataset(spec, {});
  EXPECT_PRED2(contains, error_of([&] { read_batch(*as_is, 0, 50, 2); }), "resize");
  const auto data =
      open_dataset(spec, {.preprocess = Preprocess{.resize_height = 150, .resize_width = 150}});
  EXPECT_EQ(data->size(), 1000);
  EXPECT_EQ(data->class_names(), (std::vector<std::string>{"cats", "dogs"}));
  EXPECT_EQ(read_batch(*data, 484, 32, 2)[0].shape(), (Shape{32, 3, 150, 150}));
}

}  // namespace
}  // namespace nibble
