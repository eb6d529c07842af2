// Large tensors of training, whose memory is kept for the next of its size. libtorch gives each
// back to the system, which hands out zeroed pages for it again at every step: a third of the time
// of a network with large activations.
#pragma once

namespace nibble {

/// While one lives, libtorch's memory on the CPU comes from here; what tensors freed is kept, up to
/// a quarter more than were ever alive at once. Afterwards libtorch's own allocator is back, and
/// what was kept is the system's again. Several may live at once, in any threads.
class KeptMemory {
 public:
  KeptMemory();
  ~KeptMemory();
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;
};

}  // namespace nibble
