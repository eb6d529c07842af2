// The metrics: one row each, in the files beside this one.
#pragma once

#include <vector>

#include "report/metrics/metric.h"

namespace nibble {

MetricRow top1_metric();
MetricRow top5_metric();
MetricRow f1_metric();
MetricRow auc_metric();
MetricRow miou_metric();
MetricRow mse_metric();
MetricRow mae_metric();
MetricRow sqnr_metric();
MetricRow cosine_metric();
MetricRow max_error_metric();
MetricRow agreement_metric();
MetricRow equal_metric();

// One to a line, as help lists them.
// clang-format off
inline std::vector<MetricRow> metric_rows() {
  return {
      top1_metric(),
      top5_metric(),
      f1_metric(),
      auc_metric(),
      miou_metric(),
      mse_metric(),
      mae_metric(),
      sqnr_metric(),
      cosine_metric(),
      max_error_metric(),
      agreement_metric(),
      equal_metric(),
  };
}
// clang-format on

}  // namespace nibble
