#include "report/child_process.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/file.h"

namespace nibble {
namespace {

// What posix_spawn is told: where the streams go, and which signals end the program as usual.
class SpawnSettings {
 public:
  SpawnSettings(const std::string& out, const std::string& err) {
    posix_spawn_file_actions_init(&actions_);
    constexpr int kWrite = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, out.c_str(), kWrite, 0600);
    posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, err.c_str(), kWrite, 0600);
    posix_spawnattr_init(&attributes_);
    sigset_t usual;
    sigemptyset(&usual);
    sigaddset(&usual, SIGPIPE);
    sigaddset(&usual, SIGINT);
    posix_spawnattr_setsigdefault(&attributes_, &usual);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGDEF);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;

  pid_t start(std::vector<std::string> words) const {
    std::vector<char*> arguments;
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    const int code =
        posix_spawn(&child, arguments[0], &actions_, &attributes_, arguments.data(), environ);
    if (code != 0) {
      fail(ErrorCode::io,
           "'{}' cannot be started ({}): it must be executable and name its interpreter in the "
           "first line, or be given with it, as 'python3 {}'",
           words[0], std::strerror(code), words[0]);
    }
    return child;
  }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

int wait_for(pid_t child, ProgressSink* progress) {
  for (int status = 0;;) {
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child) {
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (ended < 0 && errno != EINTR) {
      fail(ErrorCode::io, "lost sight of the program: {}", std::strerror(errno));
    }
    if (progress != nullptr && progress->cancelled()) {
      kill(child, SIGTERM);
      while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
      }
      fail(ErrorCode::cancelled, "stopped by the user");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

}  // namespace

ProgramResult run_program(const std::string& command, const std::string& argument,
                          const std::filesystem::path& scratch, ProgressSink* progress) {
  const std::filesystem::path out = scratch / "stdout.txt", err = scratch / "stderr.txt";
  std::error_code ignored;
  const bool is_file = std::filesystem::is_regular_file(command, ignored);
  const SpawnSettings settings(out.string(), err.string());
  // A name without a slash is that of a file here, not of a program on the path.
  const pid_t child =
      is_file ? settings.start({std::filesystem::absolute(command).string(), argument})
              : settings.start({"/bin/sh", "-c", command + " \"$1\"", "nibble", argument});
  ProgramResult result{.status = wait_for(child, progress)};
  result.out = read_file(out);
  result.err = read_file(err);
  return result;
}

}  // namespace nibble
