// What came out, in sentences that hold for what was measured and say nothing of what was not.
#pragma once

#include <string>
#include <vector>

#include "report/page/findings.h"

namespace nibble::page {

/// One sentence for each model that was made or judged, in the order in which they turn up.
std::vector<std::string> sentences(const Findings& findings);

/// "3.7 times smaller", "1.2 times larger", "of the same size".
std::string size_ratio(double before, double after);
/// "2.1 times faster", "1.3 times slower", "as fast".
std::string speed_ratio(double before_s, double after_s);

/// What an interval says of a difference.
enum class Verdict { none, no_difference, better, worse, different, disputed };
/// `difference.interval` decides, not the point. none: there is no interval. different: which
/// direction is better is not known. disputed: the interval holds no zero, but the exact test finds
/// no difference at 5 %.
Verdict verdict_of(const ScoreDifference& difference, std::optional<bool> larger_is_better);
/// "no loss can be shown", "a loss", "a gain", "a difference", ...; empty for none.
std::string_view say(Verdict verdict);

/// "top-1 accuracy", "SQNR".
std::string metric_title(const std::string& metric);
/// "88.46 % [87.54, 89.33], n = 5,000", in the table's unit; or without n.
std::string score_text(const Score& score, MetricUnit unit, bool with_samples = true);
/// "-0.06 points [-0.29, +0.17]".
std::string difference_text(const ScoreDifference& difference, MetricUnit unit);
/// "8-bit weights and 8-bit activations", "weights of 4 or 8 bits, float activations"; empty if
/// there are no layers.
std::string bits_text(const std::map<std::string, LayerBits>& layers);
/// "W8 A8", "W4/8 A8", "float".
std::string short_bits(const std::map<std::string, LayerBits>& layers);

}  // namespace nibble::page
