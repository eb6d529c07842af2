// What commands measure besides their own work when a report is asked of them, and the results that
// several commands give.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/command.h"
#include "nibble/evaluate.h"
#include "nibble/ranges.h"

namespace nibble::cli {

/// The ranges, and where each observer would end the codes of 8 and of 4 bits. `graph` is the one
/// that was analyzed: prepared.
Json ranges_json(const RangeReport& ranges, const Graph& graph);

/// One model of a benchmark.
struct BenchRow {
  std::string model;
  std::optional<uint64_t> file_bytes;
  std::optional<uint64_t> memory;
  std::vector<Latency> latencies;
  std::optional<std::string> why_not_faster;  // than the first model, which is in float
};
Json bench_json(const std::vector<BenchRow>& rows);

/// For `quantize --report`: error by layer on 64 test samples, accuracy (or what else the data are
/// judged by) on at most 1,000, and latency become steps of the record. What cannot be measured is
/// left out; the return value says what, and why, one sentence each.
std::vector<std::string> measure_for_report(const std::string& model, const std::string& output,
                                            const DataArguments& data, const CommonOptions& common,
                                            ProgressBar& progress);

/// The page of the steps of this process.
void write_report(const std::string& path);

}  // namespace nibble::cli
