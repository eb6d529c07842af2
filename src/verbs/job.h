// The job that this process is a rank of.
#pragma once

#include <string_view>

#include "nibble/ranks.h"

#pragma GCC visibility push(default)
namespace nibble {

/// Where a launcher put this process (launched_place(), read once).
const RankPlace& job_place();
/// Joins the other ranks, by the first call; null: this process is alone. What ranks do together
/// begins with it, on all of them. Throws as launched_place() and join_ranks() do.
Ranks* join_job();
/// Of the job that was joined; null: none was.
Ranks* job_ranks();

/// Waits a little until the other ranks have what they want of this one. At the end of a process
/// that did its part.
void leave_job() noexcept;

/// Tells the ranks that were joined that this one ends for this reason. False: a lower one said the
/// same, so that it need not be said again.
bool give_up_job(std::string_view sentence) noexcept;

}  // namespace nibble
#pragma GCC visibility pop
