#include "nibble/error.h"

#include "nibble/progress.h"

namespace nibble {

Failure::Failure(std::string message) : message_(std::move(message)) { rebuild(); }

void Failure::add_context(std::string where) {
  context_.insert(context_.begin(), std::move(where));
  rebuild();
}

namespace {

// Names come from files and may hold anything; a sentence stays on its line.
void append_printable(std::string& text, std::string_view more) {
  for (const char c : more) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f) {
      text += c;
    } else {
      constexpr std::string_view kDigits = "0123456789abcdef";
      text += "\\x";
      text += kDigits[byte >> 4];
      text += kDigits[byte & 15];
    }
  }
}

}  // namespace

void Failure::rebuild() {
  what_.clear();
  for (const std::string& where : context_) {
    if (!what_.empty()) what_ += " > ";
    append_printable(what_, where);
  }
  if (!what_.empty()) what_ += ": ";
  append_printable(what_, message_);
}

void report_progress(ProgressSink* sink, std::string_view stage, int64_t done, int64_t total) {
  if (sink == nullptr) return;
  sink->update(stage, done, total);
  if (sink->cancelled()) throw Error(ErrorCode::cancelled, "stopped by the user");
}

}  // namespace nibble
