// Options known to work; measured on the digits and on CIFAR-10.
#include <algorithm>

#include "nibble/train.h"

namespace nibble {

TrainOptions qat_defaults(int weight_bits, int activation_bits) {
  const int bits = std::min(weight_bits, activation_bits > 0 ? activation_bits : 32);
  TrainOptions options;
  options.epochs = bits <= 4 ? 16 : 12;
  options.batch = 32;
  options.learning_rate = bits <= 2 ? 0.02 : bits == 3 ? 0.005 : 0.0025;
  options.weight_decay = 1e-4;
  options.augment = Augment::automatic;
  options.distill = bits < 8 ? 0.5 : 0;
  return options;
}

TrainOptions finetune_defaults() {
  TrainOptions options;
  options.epochs = 10;
  options.batch = 32;
  options.learning_rate = 0.001;
  options.weight_decay = 1e-4;
  return options;
}

TrainOptions without_labels(TrainOptions usual) {
  usual.optimizer = Optimizer::adamw;
  usual.learning_rate = 0.001;
  usual.weight_decay = 0;
  usual.batch = 16;
  return usual;
}

}  // namespace nibble
