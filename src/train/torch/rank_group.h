// The ranks of a job as training sees them: tensors are added up over them, on libtorch's c10d.
#pragma once

#include <torch/torch.h>

#include <memory>
#include <string>

#include "nibble/ranks.h"

namespace nibble {

/// Sums of this kind are begun in one order on all ranks; sums of different kinds may overtake one
/// another.
enum class SumLane : uint8_t { statistics, gradients };

class RankGroup : public Ranks {
 public:
  /// A sum under way.
  class Pending {
   public:
    virtual ~Pending() = default;
    /// Throws LostRank.
    virtual void wait() = 0;
  };
  /// Adds up `tensor` over all ranks, in place: the same bits on all of them. It is not touched
  /// before wait() has returned.
  virtual std::unique_ptr<Pending> start_sum(torch::Tensor tensor, SumLane lane) = 0;
  void sum(const torch::Tensor& tensor, SumLane lane) { start_sum(tensor, lane)->wait(); }
  /// Makes `tensor` what it is on rank 0.
  virtual void copy_from_first(torch::Tensor tensor) = 0;
  /// What rank 0 gives.
  std::string text_of_first(const std::string& mine);
};

/// Waits for all ranks. Throws Error{unsupported} where this libtorch has no Gloo, LostRank if some
/// do not come.
std::shared_ptr<RankGroup> join_group(const RankPlace& place);

/// What join_group() made; null: there is none.
RankGroup* as_group(Ranks* ranks);

}  // namespace nibble
