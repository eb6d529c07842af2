#include "nibble/error.h"

#include "nibble/progress.h"

namespace nibble {

Failure::Failure(std::string message) : message_(std::move(message)) { rebuild(); }

void Failure::add_context(std::string where) {
  context_.insert(context_.begin(), std::move(where));
  rebuild();
}

void Failure::rebuild() {
  what_.clear();
  for (const std::string& where : context_) {
    if (!what_.empty()) what_ += " > ";
    what_ += where;
  }
  if (!what_.empty()) what_ += ": ";
  what_ += message_;
}

void report_progress(ProgressSink* sink, std::string_view stage, int64_t done, int64_t total) {
  if (sink == nullptr) return;
  sink->update(stage, done, total);
  if (sink->cancelled()) throw Error(ErrorCode::cancelled, "stopped by the user");
}

}  // namespace nibble
