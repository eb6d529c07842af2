// A progress bar with the time left, drawn on stderr when that is a terminal and the work lasts
// longer than a second; elsewhere a line each minute.
#pragma once

#include <chrono>
#include <string>

#include "nibble/progress.h"

namespace nibble::cli {

class ProgressBar : public ProgressSink {
 public:
  ProgressBar();
  ~ProgressBar() override;
  void update(std::string_view stage, int64_t done, int64_t total) override;
  /// True after Ctrl-C or SIGTERM.
  bool cancelled() const override;
  /// Put before every stage name ("4-bit QAT").
  void set_prefix(std::string prefix) { prefix_ = std::move(prefix); }
  /// Stands behind the bar from now on: what the work has come to ("loss 0.42").
  void set_detail(std::string detail) { detail_ = std::move(detail); }
  /// Wipes the bar, so that something else can be printed.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;
  std::string prefix_;
  std::string stage_;
  std::string detail_;
  Clock::time_point started_;
  Clock::time_point drawn_;
  int64_t first_done_ = 0;
  bool terminal_ = false;
  bool silent_ = false;  // another rank draws
  bool visible_ = false;
};

/// Makes Ctrl-C and SIGTERM, which batch systems send, set a flag (a second one ends the program at
/// once).
void install_interrupt_handler();

}  // namespace nibble::cli
