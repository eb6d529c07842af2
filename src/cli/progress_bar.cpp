#include "cli/progress_bar.h"

#include <fmt/format.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "verbs/job.h"

namespace nibble::cli {
namespace {

constexpr double kSecondsBetweenLines = 60;

volatile sig_atomic_t interrupted = 0;

void on_interrupt(int) {
  if (interrupted != 0) _exit(130);
  interrupted = 1;
}

int terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole >= 3600)
    return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
  return fmt::format("{}:{:02}", whole / 60, whole % 60);
}

}  // namespace

void install_interrupt_handler() {
  interrupted = 0;
  struct sigaction action {};
  action.sa_handler = on_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

ProgressBar::ProgressBar()
    : drawn_(Clock::now()), terminal_(isatty(STDERR_FILENO) != 0), silent_(job_place().rank != 0) {}

ProgressBar::~ProgressBar() { clear(); }

bool ProgressBar::cancelled() const { return interrupted != 0; }

void ProgressBar::clear() {
  if (!visible_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  visible_ = false;
}

void ProgressBar::update(std::string_view stage, int64_t done, int64_t total) {
  if (silent_) return;
  const Clock::time_point now = Clock::now();
  const std::string name =
      prefix_.empty() ? std::string(stage) : fmt::format("{}: {}", prefix_, stage);
  if (name != stage_) {
    clear();
    stage_ = name;
    started_ = now;
    if (terminal_) drawn_ = now;
    first_done_ = done;
    return;
  }
  const double elapsed = std::chrono::duration<double>(now - started_).count();
  const double since_drawn = std::chrono::duration<double>(now - drawn_).count();
  if (elapsed < 1.0 || total <= 0) return;
  if (terminal_ ? since_drawn < 0.1 && done < total : since_drawn < kSecondsBetweenLines) return;
  drawn_ = now;
  const double share = std::clamp(static_cast<double>(done) / static_cast<double>(total), 0.0, 1.0);
  const auto steps = static_cast<double>(done - first_done_);
  const std::string left =
      steps > 0 ? clock_text(elapsed / steps * static_cast<double>(total - done)) + " left" : "...";
  const std::string detail = detail_.empty() ? "" : ", " + detail_;
  if (!terminal_) {
    fmt::print(stderr, "{}: {:.0f} %, {}{}\n", name, share * 100, left, detail);
    std::fflush(stderr);
    return;
  }
  // A line that wraps could not be drawn anew: the bar gives way first, then the detail.
  const int columns = terminal_columns();
  const int text = static_cast<int>(name.size() + left.size() + detail.size()) + 12;
  const int width = std::clamp(columns - text, 0, 30);
  const int filled = static_cast<int>(share * width);
  std::string bar;
  for (int i = 0; i < width; ++i) bar += i < filled ? "█" : "░";
  const int room = columns - (text - static_cast<int>(detail.size())) - width;
  fmt::print(stderr, "\r\033[K{} {} {:3.0f} %  {}{}", name, bar, share * 100, left,
             detail.substr(0, static_cast<size_t>(std::max(room, 0))));
  std::fflush(stderr);
  visible_ = true;
}

}  // namespace nibble::cli
