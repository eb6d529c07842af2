// What training finds out about a network and its data before it begins.
#pragma once

#include "nibble/train.h"
#include "train/torch/network.h"

namespace nibble {

/// Forward passes over some training samples for the normalisations, and their start. None where
/// the network has none to start, or takes one sample at a time.
void start_norms(Network& network, const Dataset& training, const TrainOptions& options,
                 torch::Device device);

/// Augment::automatic, settled: mirrors, and crops with an eighth of the width, where the teacher's
/// answers to training samples thus changed are about as right as to those left alone (at most 2
/// points of accuracy lower): so what a float network was made to bear, or what its classes bear by
/// nature, and not what turns one class into another. Labelled images of at least 16 by 16 only,
/// and only with a teacher.
TrainOptions with_augmentation(Network* teacher, const Dataset& training, TrainOptions options,
                               torch::Device device);

}  // namespace nibble
