#include "verbs/job.h"

#include <cstdlib>
#include <memory>
#include <mutex>
#include <utility>

#include "nibble/train.h"

namespace nibble {
namespace {

struct Job {
  std::mutex mutex;
  std::shared_ptr<Ranks> ranks;
};

// Never destroyed: a process that fails ends without a word to the others, whose connections then
// break.
Job& job() {
  static Job* const only = new Job;
  return *only;
}

}  // namespace

const RankPlace& job_place() {
  static const RankPlace place = launched_place();
  return place;
}

Ranks* join_job() {
  if (job_place().size == 1) return nullptr;
  const std::lock_guard lock(job().mutex);
  // What libtorch would write to stderr of a connection that fails is told by the error.
  setenv("GLOG_minloglevel", "3", 0);
  setenv("TORCH_CPP_LOG_LEVEL", "FATAL", 0);
  if (job().ranks == nullptr) job().ranks = join_ranks(job_place());
  return job().ranks.get();
}

Ranks* job_ranks() {
  const std::lock_guard lock(job().mutex);
  return job().ranks.get();
}

void leave_job() noexcept {
  std::shared_ptr<Ranks> left;
  const std::lock_guard lock(job().mutex);
  std::swap(left, job().ranks);
}

bool give_up_job(std::string_view sentence) noexcept {
  Ranks* const ranks = job_ranks();
  return ranks == nullptr || ranks->give_up(sentence);
}

}  // namespace nibble
