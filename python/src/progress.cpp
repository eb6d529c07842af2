#include "progress.h"

namespace nibble::python {
namespace {

constexpr std::chrono::milliseconds kBetweenChecks(20), kBetweenCalls(80);

}  // namespace

Progress::Progress(nb::object callback) : callback_(std::move(callback)) {}

void Progress::check_signals() const {
  // Python runs its handlers on the main thread alone; on another this does nothing.
  if (PyErr_CheckSignals() == 0) return;
  raised_.emplace();
  stopped_ = true;
}

void Progress::update(std::string_view stage, int64_t done, int64_t total) {
  if (stopped_) return;
  const Clock::time_point now = Clock::now();
  const bool news = stage != stage_ || done == total || now - told_ >= kBetweenCalls;
  const bool check = std::this_thread::get_id() == owner_ && now - checked_ >= kBetweenChecks;
  const bool tell = news && !callback_.is_none();
  if (!tell && !check) return;
  const nb::gil_scoped_acquire lock;
  if (check) {
    checked_ = now;
    check_signals();
  }
  if (!tell || stopped_) return;
  told_ = now;
  stage_ = stage;
  try {
    callback_(nb::str(stage.data(), stage.size()), done, total);
  } catch (nb::python_error& error) {
    raised_.emplace(std::move(error));
    stopped_ = true;
  }
}

bool Progress::cancelled() const {
  if (stopped_) return true;
  const Clock::time_point now = Clock::now();
  if (std::this_thread::get_id() != owner_ || now - checked_ < kBetweenChecks) return false;
  const nb::gil_scoped_acquire lock;
  checked_ = now;
  check_signals();
  return stopped_;
}

void Progress::rethrow() {
  if (!raised_) return;
  nb::python_error error = std::move(*raised_);
  raised_.reset();
  throw error;
}

}  // namespace nibble::python
