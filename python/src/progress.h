// Progress of long work into Python, and Ctrl-C out of it.
#pragma once

#include <nanobind/nanobind.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>

#include "nibble/error.h"
#include "nibble/progress.h"

namespace nibble::python {

namespace nb = nanobind;

/// Calls `callback(stage, done, total)` (None: nothing) at most some ten times a second, and lets
/// Python handle its signals meanwhile. What either of them raises stops the work.
class __attribute__((visibility("hidden"))) Progress : public ProgressSink {
 public:
  explicit Progress(nb::object callback);
  void update(std::string_view stage, int64_t done, int64_t total) override;
  bool cancelled() const override;
  /// Throws what Python raised, if it did. With the GIL held.
  void rethrow();

 private:
  void check_signals() const;

  using Clock = std::chrono::steady_clock;
  const std::thread::id owner_ = std::this_thread::get_id();
  nb::object callback_;
  std::string stage_;
  Clock::time_point told_{};
  mutable Clock::time_point checked_{};
  mutable std::atomic<bool> stopped_ = false;
  mutable std::optional<nb::python_error> raised_;
};

/// Runs `work(progress)` without the GIL. What Python raised meanwhile (KeyboardInterrupt) is
/// thrown instead of the Error{cancelled} that it led to.
template <typename Work>
auto run_released(nb::object callback, Work&& work) {
  Progress progress(std::move(callback));
  try {
    const nb::gil_scoped_release released;
    return work(progress);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::cancelled) progress.rethrow();
    throw;
  }
}

}  // namespace nibble::python
