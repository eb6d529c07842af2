// The report page: one HTML file that needs nothing else, made of what a run measured.
#pragma once

#include <span>
#include <string>

#include "report/run_folder.h"

#pragma GCC visibility push(default)
namespace nibble {

/// The page of these steps. It loads nothing, reads without JavaScript, and escapes whatever comes
/// from the steps; a step that is not understood is left out but for its provenance.
std::string report_page(std::span<const RunStep> steps);

}  // namespace nibble
#pragma GCC visibility pop
