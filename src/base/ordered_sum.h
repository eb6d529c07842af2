// Sums of floating-point numbers that come out the same, to the bit, whoever adds them up.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace nibble {

/// Merges parts that are numbered. The order of the merges follows from the numbers alone: it is
/// that of the binary tree over 0, 1, 2, ... (two neighbours are merged before what they belong to
/// meets the next), so runs of parts may be merged in one place or in several and put together
/// there. Holds at most about 2 log2(n) merged runs. Part: `void merge(Part&& later)`.
template <typename Part>
class OrderedSum {
 public:
  struct Run {
    int64_t first = 0, last = 0;  // numbers in it
    Part part;
  };

  /// The first number is at least `begin`; if that is not 0, what is before it is in another sum.
  explicit OrderedSum(int64_t begin = 0) : edge_(begin == 0 ? kNever : level(begin - 1, begin)) {}

  /// Numbers ascend.
  void add(int64_t number, Part part) { append({number, number, std::move(part)}); }
  /// A run of another sum's, behind all that is here.
  void append(Run run) {
    if (!runs_.empty()) settle(level(runs_.back().last, run.first));
    runs_.push_back(std::move(run));
  }
  const std::vector<Run>& runs() const { return runs_; }
  bool empty() const { return runs_.empty(); }

  /// All of it, where the numbers begin at 0 or nothing is before `begin`; Part() of no parts.
  Part total() const {
    OrderedSum all;
    for (const Run& run : runs_) all.append(run);
    all.settle(kNever);
    return all.runs_.empty() ? Part() : std::move(all.runs_.front().part);
  }

 private:
  static constexpr int kNever = std::numeric_limits<int>::max();

  /// Of the least subtree that holds both.
  static int level(int64_t a, int64_t b) { return std::bit_width(static_cast<uint64_t>(a ^ b)); }

  // Merges what meets before the end of the last run meets something at this level. A run whose
  // other neighbour is nearer waits for that.
  void settle(int next) {
    while (runs_.size() >= 2) {
      const size_t n = runs_.size();
      const int here = level(runs_[n - 2].last, runs_[n - 1].first);
      const int before = n > 2 ? level(runs_[n - 3].last, runs_[n - 2].first) : edge_;
      if (here >= next || here > before) return;
      runs_[n - 2].part.merge(std::move(runs_[n - 1].part));
      runs_[n - 2].last = runs_[n - 1].last;
      runs_.pop_back();
    }
  }

  int edge_;  // the level at which what is before meets the first run, or less
  std::vector<Run> runs_;
};

}  // namespace nibble
