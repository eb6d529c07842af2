// How long work reports its progress and is asked to stop. The library never prints: the caller
// does.
#pragma once

#include <cstdint>
#include <string_view>

#pragma GCC visibility push(default)
namespace nibble {

/// Implemented by the caller (the command line draws a bar). Calls come from one thread at a time.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  /// `done` of `total` units of `stage` are finished; a new stage starts when the name changes.
  virtual void update(std::string_view stage, int64_t done, int64_t total) = 0;
  /// True once the user asked to stop: the work then throws Error{cancelled}, leaving no
  /// half-written file.
  virtual bool cancelled() const { return false; }
};

/// Reports to `sink` (may be null) and throws Error{cancelled} if the user asked to stop.
void report_progress(ProgressSink* sink, std::string_view stage, int64_t done, int64_t total);

}  // namespace nibble
#pragma GCC visibility pop
