#include "cli/output.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "base/file.h"

namespace nibble::cli {
namespace {

[[noreturn]] void fail_output(int error) {
  fail(ErrorCode::io, "cannot write to the standard output{}{}", error != 0 ? ": " : "",
       error != 0 ? std::strerror(error) : "");
}

}  // namespace

void prepare_standard_streams() {
  ::signal(SIGPIPE, SIG_IGN);
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // The wrong way round, so that a use of it fails as it would have.
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF) {
      ::open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
    }
  }
}

void fall_silent() {
  write_no_files();
  const int nothing = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ::dup2(nothing, STDOUT_FILENO);
  ::close(nothing);
}

void write_output(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail_output(errno);
}

void flush_output() {
  errno = 0;
  if (std::fflush(stdout) != 0) fail_output(errno);
  if (std::ferror(stdout) != 0) fail_output(0);
}

void print_json(const Json& json) {
  // Names in a file may be any bytes; what is not UTF-8 is replaced.
  write_output(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

int output_columns() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 0;
}

void check_output_file(const std::string& path) {
  if (!writes_files()) return;
  check_writable(path);
  struct stat file {
  }, output{};
  if (::stat(path.c_str(), &file) != 0 || ::fstat(STDOUT_FILENO, &output) != 0) return;
  const bool same = file.st_dev == output.st_dev && file.st_ino == output.st_ino;
  if (same && (S_ISREG(file.st_mode) || S_ISFIFO(file.st_mode))) {
    fail(ErrorCode::io,
         "cannot write '{}': the standard output, which tells the result, goes there", path);
  }
}

void make_folder(const std::string& path) {
  if (!writes_files()) return;
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) fail(ErrorCode::io, "cannot make the folder '{}': {}", path, error.message());
}

}  // namespace nibble::cli
