#include <cmath>

#include "train/augmentations/list.h"
#include "train/augmentations/row.h"

namespace nibble {

double mixup_share(double alpha, Random& random) {
  for (;;) {
    const double u = std::pow(random.uniform(), 1 / alpha);
    const double v = std::pow(random.uniform(), 1 / alpha);
    if (u + v > 0 && u + v <= 1) return u / (u + v);
  }
}

AugmentationRow mixup_augmentation() {
  return {strength({.flag = "--mixup",
                    .key = "mixup",
                    .help = "Augment: mix pairs of samples and their labels, by shares drawn from "
                            "Beta(X, X)",
                    .least = 0,
                    .most = 4},
                   &TrainOptions::mixup),
          nullptr};
}

}  // namespace nibble
