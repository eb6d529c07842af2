// Writing files: what stands at the path stays what it is.
#include "base/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <thread>

#include "nibble/error.h"
#include "support/temp_folder.h"

namespace nibble {
namespace {

using testing::TempFolder;

size_t files_in(const std::filesystem::path& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder)) ++count;
  return count;
}

TEST(write_file, replaces_a_file_and_leaves_nothing_else) {
  const TempFolder folder;
  write_file(folder / "a", "old");
  write_file(folder / "a", "new");
  EXPECT_EQ(read_file(folder / "a"), "new");
  EXPECT_EQ(files_in(folder.path()), 1U);
}

TEST(write_file, follows_symbolic_links) {
  const TempFolder folder;
  std::filesystem::create_directory(folder / "deep");
  std::filesystem::create_symlink("deep/b", folder / "a");
  std::filesystem::create_symlink("c", folder / "deep/b");
  for (const char* text : {"made", "replaced"}) {
    write_file(folder / "a", text);
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "a"));
    EXPECT_TRUE(std::filesystem::is_symlink(folder / "deep/b"));
    EXPECT_EQ(read_file(folder / "deep/c"), text);
  }
  EXPECT_EQ(files_in(folder.path()), 2U);
  EXPECT_EQ(files_in(folder / "deep"), 2U);
}

TEST(write_file, refuses_a_circle_of_links_and_a_folder) {
  const TempFolder folder;
  std::filesystem::create_symlink("b", folder / "a");
  std::filesystem::create_symlink("a", folder / "b");
  EXPECT_THROW(write_file(folder / "a", "text"), Error);
  EXPECT_THROW(write_file(folder.path(), "text"), Error);
  EXPECT_EQ(files_in(folder.path()), 2U);
}

TEST(write_file, a_pipe_stays_a_pipe) {
  const TempFolder folder;
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  const std::string text(200000, 'x');  // more than a pipe holds
  std::string got;
  std::thread reader([&] { got = read_file(folder / "pipe"); });
  // With the pipe replaced, the reader would wait for ever: let it go.
  write_file(folder / "pipe", text);
  EXPECT_TRUE(std::filesystem::is_fifo(folder / "pipe"));
  if (!std::filesystem::is_fifo(folder / "pipe")) {
    reader.detach();
    return;
  }
  reader.join();
  EXPECT_EQ(got, text);
}

// A node like /dev/full, but in a folder where nothing is lost if it is replaced.
TEST(write_file, a_full_device_is_an_error_and_stays_a_device) {
  const TempFolder folder;
  const std::filesystem::path full = folder / "full";
  if (::mknod(full.c_str(), S_IFCHR | 0600, makedev(1, 7)) != 0 ||
      ::access(full.c_str(), W_OK) != 0) {
    GTEST_SKIP() << "device nodes cannot be made here";
  }
  try {
    write_file(full, "text");
    FAIL() << "a full device took it";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::io);
    if (std::string(error.what()).find("ermi") != std::string::npos) {
      GTEST_SKIP() << "device nodes cannot be used here";
    }
    EXPECT_NE(std::string(error.what()).find("No space left"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(std::filesystem::is_character_file(full));
}

}  // namespace
}  // namespace nibble
