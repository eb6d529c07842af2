#include "cli/launcher.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/check.h"

namespace nibble::cli {
namespace {

using Clock = std::chrono::steady_clock;

// What the others have after one has failed: until they are asked to end, and until they are ended.
constexpr std::chrono::seconds kUntilAsked{5}, kUntilKilled{15};

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() { close(); }
  int get() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }

 private:
  int fd_;
};

[[noreturn]] void fail_system(std::string_view what) {
  fail(ErrorCode::io, "{}: {}", what, std::strerror(errno));
}

int free_port() {
  const Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(socket.get(), generic, length) != 0 ||
      ::getsockname(socket.get(), generic, &length) != 0) {
    fail_system("no port of 127.0.0.1 is free");
  }
  return ntohs(address.sin_port);
}

sigset_t watched_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int one : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, one);
  return signals;
}

/// One stream of a rank, whose lines are passed on with its number before them.
struct Stream {
  int rank = 0;
  int to = STDOUT_FILENO;
  Descriptor from;
  std::string line;  // not ended yet

  void pass_on(std::string_view text) {
    line += text;
    for (size_t end; (end = line.find('\n')) != std::string::npos; line.erase(0, end + 1)) {
      write_line(std::string_view(line).substr(0, end));
    }
  }
  void finish() {
    if (!line.empty()) write_line(line);
    from.close();
  }

 private:
  void write_line(std::string_view text) const {
    const std::string whole = fmt::format("[{}] {}\n", rank, text);
    // Nobody is left to be told that there is no room.
    [[maybe_unused]] const ssize_t written = ::write(to, whole.data(), whole.size());
  }
};

class Launch {
 public:
  explicit Launch(const LaunchPlan& plan) : plan_(plan), port_(plan.port) {
    if (port_ == 0) port_ = free_port();
    const sigset_t signals = watched_signals();
    sigprocmask(SIG_BLOCK, &signals, &usual_);
    signals_ = Descriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (signals_.get() < 0) fail_system("signals cannot be waited for");
  }
  ~Launch() {
    for (const pid_t child : children_) {
      if (child > 0) ::kill(child, SIGKILL);
    }
    sigprocmask(SIG_SETMASK, &usual_, nullptr);
  }
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  int run() {
    for (int rank = 0; rank < plan_.ranks; ++rank) start(rank);
    while (left_ > 0 || open_streams() > 0) {
      wait_for_something();
      take_signals();
      end_those_left();
    }
    return failure_;
  }

 private:
  void start(int rank) {
    std::array<std::array<int, 2>, 2> pipes{};
    const bool piped = rank > 0;
    for (auto& ends : pipes) {
      if (piped && ::pipe2(ends.data(), O_CLOEXEC) != 0) fail_system("no pipe for the output");
    }
    const pid_t launcher = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) fail_system("the ranks cannot be started");
    if (child == 0) become(rank, launcher, pipes);
    children_.push_back(child);
    ++left_;
    for (size_t i = 0; piped && i < pipes.size(); ++i) {
      ::close(pipes[i][1]);
      streams_.push_back({.rank = rank,
                          .to = i == 0 ? STDOUT_FILENO : STDERR_FILENO,
                          .from = Descriptor(pipes[i][0]),
                          .line = {}});
    }
  }

  // In the child.
  [[noreturn]] void become(int rank, pid_t launcher,
                           const std::array<std::array<int, 2>, 2>& pipes) {
    // A group of its own: what the terminal sends reaches it once, through the launcher.
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != launcher) ::_exit(1);
    for (const int one : {SIGPIPE, SIGINT, SIGTERM, SIGHUP}) ::signal(one, SIG_DFL);
    sigprocmask(SIG_SETMASK, &usual_, nullptr);
    if (rank > 0 || ::isatty(STDIN_FILENO) != 0) {
      const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
      ::dup2(nothing, STDIN_FILENO);
    }
    if (rank > 0) {
      ::dup2(pipes[0][1], STDOUT_FILENO);
      ::dup2(pipes[1][1], STDERR_FILENO);
    }
    set_variables(rank);
    std::vector<char*> words;
    std::vector<std::string> command = plan_.command;
    for (std::string& word : command) words.push_back(word.data());
    words.push_back(nullptr);
    ::execvp(words[0], words.data());
    const std::string why =
        fmt::format("nibble: '{}' cannot be started: {}\n", command[0], std::strerror(errno));
    if (rank == 0) [[maybe_unused]]
      const ssize_t told = ::write(2, why.data(), why.size());
    ::_exit(127);
  }

  void set_variables(int rank) const {
    const auto set = [](const char* name, const std::string& value) {
      ::setenv(name, value.c_str(), 1);
    };
    set("RANK", std::to_string(rank));
    set("LOCAL_RANK", std::to_string(rank));
    set("WORLD_SIZE", std::to_string(plan_.ranks));
    set("LOCAL_WORLD_SIZE", std::to_string(plan_.ranks));
    set("MASTER_ADDR", "127.0.0.1");
    set("MASTER_PORT", std::to_string(port_));
    if (plan_.timeout) set("NIBBLE_RANK_TIMEOUT", fmt::format("{}", *plan_.timeout));
    ::unsetenv("TORCHELASTIC_USE_AGENT_STORE");  // of a torchrun around this
  }

  int64_t open_streams() const {
    return std::count_if(streams_.begin(), streams_.end(),
                         [](const Stream& stream) { return stream.from.get() >= 0; });
  }

  void wait_for_something() {
    std::vector<pollfd> files = {{signals_.get(), POLLIN, 0}};
    std::vector<Stream*> streams;
    for (Stream& stream : streams_) {
      if (stream.from.get() < 0) continue;
      files.push_back({stream.from.get(), POLLIN, 0});
      streams.push_back(&stream);
    }
    ::poll(files.data(), files.size(), failed_at_ ? 100 : -1);
    for (size_t i = 0; i < streams.size(); ++i) {
      if (files[i + 1].revents == 0) continue;
      std::array<char, 1 << 16> text;
      const ssize_t got = ::read(streams[i]->from.get(), text.data(), text.size());
      if (got > 0) {
        streams[i]->pass_on({text.data(), static_cast<size_t>(got)});
      } else if (got == 0 || errno != EINTR) {
        streams[i]->finish();
      }
    }
  }

  void take_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGCHLD) send(static_cast<int>(info.ssi_signo));
    }
    for (size_t rank = 0; rank < children_.size(); ++rank) {
      int status = 0;
      if (children_[rank] <= 0 || ::waitpid(children_[rank], &status, WNOHANG) <= 0) continue;
      children_[rank] = 0;
      --left_;
      note_end(rank, status);
    }
    // What outlives a rank and holds its streams is not waited for.
    if (left_ == 0) {
      for (Stream& stream : streams_) drain(stream);
    }
  }

  static void drain(Stream& stream) {
    if (stream.from.get() < 0) return;
    ::fcntl(stream.from.get(), F_SETFL, O_NONBLOCK);
    std::array<char, 1 << 16> text;
    for (ssize_t got; (got = ::read(stream.from.get(), text.data(), text.size())) > 0;) {
      stream.pass_on({text.data(), static_cast<size_t>(got)});
    }
    stream.finish();
  }

  void note_end(size_t rank, int status) {
    const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (code == 0 || failed_at_) return;
    failure_ = code;
    failed_at_ = Clock::now();
    if (WIFEXITED(status)) return;  // it said why itself
    fmt::print(stderr, "nibble: rank {} of {} was ended by signal {} (SIG{})\n", rank, plan_.ranks,
               WTERMSIG(status), ::sigabbrev_np(WTERMSIG(status)));
  }

  void end_those_left() {
    if (!failed_at_ || left_ == 0) return;
    const auto waited = Clock::now() - *failed_at_;
    if (waited > kUntilKilled) {
      send(SIGKILL);
    } else if (waited > kUntilAsked && !std::exchange(asked_, true)) {
      send(SIGTERM);
    }
  }

  void send(int signal) const {
    for (const pid_t child : children_) {
      if (child > 0) ::kill(child, signal);
    }
  }

  const LaunchPlan& plan_;
  int port_;
  sigset_t usual_{};
  Descriptor signals_;
  std::vector<pid_t> children_;  // by rank; 0: it ended
  std::vector<Stream> streams_;
  int left_ = 0;
  int failure_ = 0;
  std::optional<Clock::time_point> failed_at_;
  bool asked_ = false;
};

}  // namespace

int launch(const LaunchPlan& plan) { return Launch(plan).run(); }

}  // namespace nibble::cli
