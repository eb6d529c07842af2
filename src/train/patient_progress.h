// Progress of work that several ranks do together: none stops before all have agreed to.
#pragma once

#include "nibble/progress.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Passes on what it is told, and keeps it to itself that the user asked to stop.
class PatientProgress final : public ProgressSink {
 public:
  explicit PatientProgress(ProgressSink* sink) : sink_(sink) {}
  void update(std::string_view stage, int64_t done, int64_t total) override {
    if (sink_ != nullptr) sink_->update(stage, done, total);
  }
  bool asked_to_stop() const { return sink_ != nullptr && sink_->cancelled(); }

 private:
  ProgressSink* sink_;
};

}  // namespace nibble
#pragma GCC visibility pop
