// Metrics as commands print them.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "nibble/measure.h"

namespace nibble::cli {

/// One table of all reports, how their intervals were found, and the notes. `models` are the names.
void print_reports(const std::vector<std::string>& models, std::span<const MetricReport> reports,
                   const MeasureOptions& options);

}  // namespace nibble::cli
