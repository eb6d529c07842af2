// The augmentations: one row each, in the files beside this one.
#pragma once

#include <vector>

#include "train/augmentations/augmentation.h"

namespace nibble {

AugmentationRow flip_augmentation();
AugmentationRow crop_augmentation();
AugmentationRow brightness_augmentation();
AugmentationRow contrast_augmentation();
AugmentationRow saturation_augmentation();
AugmentationRow cutout_augmentation();
AugmentationRow mixup_augmentation();

// One to a line, in the order in which they are applied.
// clang-format off
inline std::vector<AugmentationRow> augmentation_rows() {
  return {
      flip_augmentation(),
      crop_augmentation(),
      brightness_augmentation(),
      contrast_augmentation(),
      saturation_augmentation(),
      cutout_augmentation(),
      mixup_augmentation(),
  };
}
// clang-format on

}  // namespace nibble
