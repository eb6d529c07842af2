// oneDNN is opened when the first layer needs it: integer networks never do, and what ships with
// them need not bring 40 MB along.
#pragma once

#pragma GCC visibility push(default)
namespace nibble::onednn {

/// Opens the library. Throws Error{unsupported} saying what is missing, each time it is asked.
/// Before, no function of oneDNN may be called.
void require_library();

/// OpenMP's setting of this thread, where oneDNN is built on OpenMP; else nothing, and 1.
void set_threads(int threads);
int get_threads();

}  // namespace nibble::onednn
#pragma GCC visibility pop
