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

mode_t mode_of(const std::filesystem::path& path) {
  struct stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0);
  return info.st_mode & 07777;
}

TEST(write_file, keeps_the_mode_of_the_file_it_replaces) {
  const TempFolder folder;
  for (const mode_t mode : {0600U, 0664U, 0755U}) {
    write_file(folder / "a", "old");
    ASSERT_EQ(::chmod((folder / "a").c_str(), mode), 0);
    write_file(folder / "a", "new");
    EXPECT_EQ(mode_of(folder / "a"), mode);
  }
  std::filesystem::create_symlink("a", folder / "link");
  write_file(folder / "link", "newer");
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "link"));
  EXPECT_EQ(mode_of(folder / "a"), 0755U);
}

TEST(write_file, gives_a_new_file_what_the_mask_leaves) {
  const TempFolder folder;
  const mode_t before = ::umask(027);
  write_file(folder / "a", "text");
  ::umask(before);
  EXPECT_EQ(mode_of(folder / "a"), 0640U);
}

TEST(write_file, writes_into_a_pipe_that_only_a_file_descriptor_leads_to) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const std::filesystem::path path = "/dev/fd/" + std::to_string(ends[1]);
  check_writable(path);
  write_file(path, "text");  // as a shell's >(command) has it
  char got[8] = {};
  EXPECT_EQ(::read(ends[0], got, sizeof got), 4);
  EXPECT_STREQ(got, "text");
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(write_file, writes_to_the_null_device_which_has_no_size) {
  check_writable("/dev/null");
  write_file("/dev/null", "text");
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/null"));
  EXPECT_FALSE(size_of_file("/dev/null"));
}

TEST(check_writable, refuses_what_write_file_would) {
  const TempFolder folder;
  EXPECT_THROW(check_writable(folder.path()), Error);
  EXPECT_THROW(check_writable(folder / "missing/a"), Error);
  std::filesystem::create_symlink("missing/a", folder / "link");
  EXPECT_THROW(check_writable(folder / "link"), Error);
  check_writable(folder / "a");
  check_writable("a");  // here
  EXPECT_EQ(files_in(folder.path()), 1U);
  if (::geteuid() == 0) GTEST_SKIP() << "root may write anywhere";
  write_file(folder / "kept", "text");
  ASSERT_EQ(::chmod((folder / "kept").c_str(), 0444), 0);
  EXPECT_THROW(check_writable(folder / "kept"), Error);
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
