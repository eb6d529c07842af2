// How fast a training goes, and how long it will take.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace nibble {

/// The last hundred steps or so weigh most.
class Pace {
 public:
  using Clock = std::chrono::steady_clock;

  /// The time up to now is none of a step.
  void start() { last_ = Clock::now(); }
  /// A step of so many samples ends; `waited` is how many seconds the epoch waited for samples.
  void step(int64_t samples, double waited) {
    const Clock::time_point now = Clock::now();
    add(steps_, 1);
    add(samples_, static_cast<double>(samples));
    add(seconds_, std::chrono::duration<double>(now - last_).count());
    add(waited_, std::max(waited - waited_before_, 0.0));
    waited_before_ = waited;
    last_ = now;
  }
  void validated(Clock::duration duration) {
    validation_ = std::chrono::duration<double>(duration).count();
    waited_before_ = 0;  // of the next epoch
  }

  double samples_per_second() const { return seconds_ > 0 ? samples_ / seconds_ : 0; }
  double waiting() const { return seconds_ > 0 ? std::min(waited_ / seconds_, 1.0) : 0; }
  double seconds_for(int64_t steps, int64_t validations) const {
    const double one = steps_ > 0 ? seconds_ / steps_ : 0;
    return one * static_cast<double>(steps) + validation_ * static_cast<double>(validations);
  }

 private:
  static void add(double& sum, double more) { sum = 0.99 * sum + more; }

  Clock::time_point last_ = Clock::now();
  double steps_ = 0, samples_ = 0, seconds_ = 0, waited_ = 0;
  double waited_before_ = 0;
  double validation_ = 0;
};

}  // namespace nibble
