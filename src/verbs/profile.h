// A profile for machines: what `nibble profile --json` and Python give, and a trace for viewers.
#pragma once

#include "nibble/profile.h"
#include "verbs/json.h"

#pragma GCC visibility push(default)
namespace nibble {

/// {"threads", "batch", "runs", "whole_s", "timed_s", "fastest_s", "steps_s", "peak", "kinds",
/// "steps"}.
Json to_json(const NetworkProfile& profile);

/// The run that took the median time in the Trace Event Format of chrome://tracing and Perfetto: an
/// event "inference" and one within it for each step, times in microseconds. `name` is the model's.
Json trace_json(const NetworkProfile& profile, const std::string& name);

}  // namespace nibble
#pragma GCC visibility pop
