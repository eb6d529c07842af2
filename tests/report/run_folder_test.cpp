// What commands leave for a report, and the digests that say of what it is.
#include "report/run_folder.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "data/digest.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace nibble {
namespace {

RunStep step(const std::string& verb, int number) {
  return {verb, {{"nibble", "0.2.0"}}, {{"number", number}}, {}};
}

void expect_part(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in: " << text;
}

class run_folder : public ::testing::Test {
 protected:
  testing::TempFolder folder_;
};

TEST_F(run_folder, steps_come_back_in_the_order_in_which_they_were_left) {
  for (int i = 1; i <= 12; ++i) write_step(folder_.path(), step(i % 2 ? "eval" : "bench", i));
  const auto steps = read_run(folder_.path());
  ASSERT_EQ(steps.size(), 12U);
  for (int i = 1; i <= 12; ++i) {
    EXPECT_EQ(steps[static_cast<size_t>(i - 1)].result["number"], i);
    EXPECT_EQ(steps[static_cast<size_t>(i - 1)].verb, i % 2 ? "eval" : "bench");
  }
  EXPECT_TRUE(std::filesystem::exists(folder_.path() / "01-eval.json"));
}

TEST_F(run_folder, nothing_else_is_left_in_the_folder) {
  write_step(folder_.path(), step("eval", 1));
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
    ++files;
    EXPECT_EQ(entry.path().filename(), "01-eval.json");
  }
  EXPECT_EQ(files, 1);
}

TEST_F(run_folder, other_files_are_no_steps) {
  write_step(folder_.path(), step("eval", 1));
  for (const char* name : {"notes.json", "2-.json", "x-eval.json", "2-Eval.json", "2-eval.txt"}) {
    write_file(folder_.path() / name, "not even JSON");
  }
  EXPECT_EQ(read_run(folder_.path()).size(), 1U);
}

TEST_F(run_folder, a_folder_that_is_missing_or_empty_is_an_error_that_names_it) {
  expect_part(testing::error_of([&] { read_run(folder_.path() / "none"); }), "none");
  expect_part(testing::error_of([&] { read_run(folder_.path()); }), "holds no step");
}

TEST_F(run_folder, damaged_steps_are_errors_that_name_the_file) {
  const std::pair<const char*, const char*> kDamaged[] = {
      {"{\"nibble_run\": 1,", "not a JSON object"},
      {"[1]", "not a JSON object"},
      {"{}", "no key 'nibble_run'"},
      {R"({"nibble_run": 2, "verb": "eval"})", "schema 2"},
      {R"({"nibble_run": "1"})", "schema \"1\""},
      {R"({"nibble_run": 1, "verb": "eval", "result": {}})", "'provenance' is not an object"},
      {R"({"nibble_run": 1, "verb": "eval", "provenance": {}, "result": []})",
       "'result' is not an object"},
      {R"({"nibble_run": 1, "verb": 3, "provenance": {}, "result": {}})", "'verb' is not a string"},
  };
  for (const auto& [text, message] : kDamaged) {
    write_file(folder_.path() / "01-eval.json", text);
    expect_part(testing::error_of([&] { read_run(folder_.path()); }), message);
    expect_part(testing::error_of([&] { read_run(folder_.path()); }), "01-eval.json");
  }
}

// The vectors of FIPS 180-4's examples, and lengths around a block's.
TEST(digest, is_sha_256) {
  EXPECT_EQ(Sha256().hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256().add("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256().add("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(Sha256().add(std::string(1000000, 'a')).hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(digest, does_not_depend_on_the_pieces) {
  const std::string text(300, 'x');
  for (size_t piece = 1; piece < 130; ++piece) {
    Sha256 digest;
    for (size_t at = 0; at < text.size(); at += piece) digest.add(text.substr(at, piece));
    EXPECT_EQ(digest.hex(), Sha256().add(text).hex()) << piece;
  }
}

TEST(digest, tells_data_sets_apart_by_split_and_preprocessing) {
  const auto test = open_dataset("digits", {.split = Split::test});
  const auto train = open_dataset("digits", {.split = Split::train});
  const auto scaled = open_dataset(
      "digits", {.split = Split::test,
                 .preprocess = Preprocess{.color = Preprocess::Color::grey, .scale = 1.0F}});
  EXPECT_EQ(digest_of(*test), digest_of(*open_dataset("digits", {.split = Split::test})));
  EXPECT_NE(digest_of(*test), digest_of(*train));
  EXPECT_NE(digest_of(*test), digest_of(*scaled));
}

}  // namespace
}  // namespace nibble
