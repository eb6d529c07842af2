// What a training is of: the network, the data, the options. A checkpoint keeps them, and is
// continued only where they are the same.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "nibble/train.h"
#include "train/torch/network.h"

namespace nibble {

/// By name, in the order in which differences are told: what can be read ("--lr": "0.05"), or a
/// digest that begins with '#'.
using RunFacts = std::vector<std::pair<std::string, std::string>>;

/// Of a training that has not begun: the state of `network` is what it starts from. The number of
/// threads is as `options` have it.
RunFacts facts_of(const Network& network, const Network* teacher, const Dataset& training,
                  const Dataset& validation, const TrainOptions& options, torch::Device device);

/// Those that can be read, but for the number of threads: what all ranks of a job have to be given
/// alike. The samples are counted, not looked at.
RunFacts told_facts(const Dataset& training, const Dataset& validation, const TrainOptions& options,
                    torch::Device device);

std::string to_json(const RunFacts& facts);
RunFacts facts_from_json(const std::string& json);

/// "--lr was 0.05 and is 0.01; the training samples are others"; empty if there are none.
std::string differences(const RunFacts& before, const RunFacts& now);

}  // namespace nibble
