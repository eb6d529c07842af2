// Several processes that do one job together: ranks, on one machine or many, as torchrun, `nibble
// launch`, srun or mpirun start them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/error.h"

#pragma GCC visibility push(default)
namespace nibble {

/// The ranks of a job. All of them make the same calls in the same order; none returns before all
/// have made it. join_ranks() (nibble/train.h) makes one.
class Ranks {
 public:
  virtual ~Ranks() = default;
  /// Of this process, from 0.
  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// What each rank gave, by rank: the same everywhere. Throws LostRank.
  virtual std::vector<std::string> gather(std::string_view mine) = 0;
  /// Leaves a sentence for the messages of the others: why this rank ends before its time. False: a
  /// lower rank left the same.
  virtual bool give_up(std::string_view sentence) noexcept = 0;
};

/// Another rank ended, or has not answered for as long as was to be waited.
class LostRank : public Error {
 public:
  /// `told_here`: it is for this rank to say so, of all that are left.
  LostRank(std::string message, bool told_here)
      : Error(ErrorCode::io, std::move(message)), told_here_(told_here) {}
  bool told_here() const noexcept { return told_here_; }

 private:
  bool told_here_;
};

/// Where a process stands in its job.
struct RankPlace {
  int rank = 0;
  int size = 1;                       // of the job
  int local_rank = 0;                 // among those of this machine
  int local_size = 1;                 // 0: not known
  std::string address = "127.0.0.1";  // of rank 0
  int port = 29500;                   // where rank 0 listens
  double timeout = 300;               // seconds to wait for an answer of the others
};

/// By the variables of torchrun: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and
/// MASTER_PORT (the next port where torchrun's agent is at this one); and NIBBLE_RANK_TIMEOUT. A
/// process without WORLD_SIZE, or with 1, is a job of its own. Throws Error{invalid_argument}
/// naming a variable that is missing or makes no sense.
RankPlace launched_place();

/// A part of what is counted from 0.
struct Share {
  int64_t begin = 0;
  int64_t end = 0;
  int64_t size() const { return end - begin; }
};
/// This rank's part of so many things: a run of them, one for each rank, in the order of ranks.
/// `ranks` may be null: all.
Share share_of(const Ranks* ranks, int64_t count);
/// Of the rank with this number, of so many.
Share share_of(int rank, int size, int64_t count);

}  // namespace nibble
#pragma GCC visibility pop
