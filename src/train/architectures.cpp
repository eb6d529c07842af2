// The networks `nibble train --arch NAME` can build.
#include <array>

#include "base/check.h"
#include "nibble/train.h"
#include "train/graph_builder.h"

namespace nibble {
namespace {

/// Outputs of a classifier: a logit per class.
int64_t require_classes(int classes) {
  if (classes < 2) {
    fail(ErrorCode::invalid_argument, "a classifier needs at least 2 classes, the data set has {}",
         classes);
  }
  return classes;
}

void require_image(const Shape& sample, std::string_view name) {
  if (sample.rank() != 3 || !sample.is_static()) {
    fail(ErrorCode::invalid_argument, "{} takes images [C,H,W], the samples are {}", name,
         sample.to_string());
  }
}

ValueId conv_bn_relu(GraphBuilder& net, const std::string& name, ValueId x, int64_t channels,
                     const LayerWindow& window) {
  x = net.conv(name + ".conv", x, channels, window, false);
  return net.relu(name + ".relu", net.batch_norm(name + ".bn", x));
}

// Three 3x3 convolutions with batch normalisation and two dense layers: 40,698 parameters for 8x8
// grey digits.
Graph digits_cnn(const Shape& sample, int classes, uint64_t seed) {
  require_image(sample, "digits-cnn");
  GraphBuilder net("digits-cnn", sample, seed);
  const LayerWindow same{.kernel = 3, .stride = 1, .padding = 1, .groups = 1};
  ValueId x = conv_bn_relu(net, "block1", net.input(), 16, same);
  x = conv_bn_relu(net, "block2", x, 32, same);
  x = net.max_pool("pool2", x, 2);
  x = conv_bn_relu(net, "block3", x, 64, same);
  x = net.max_pool("pool3", x, 2);
  x = net.flatten("flatten", x);
  x = net.relu("fc1.relu", net.dense("fc1", x, 64));
  x = net.dense("fc2", x, require_classes(classes));
  return std::move(net).finish(x, "logits");
}

// He et al. 2015 (arXiv:1512.03385), section 4.2, n = 3. Where the shape changes, the shortcut is a
// 1x1 convolution (option B), which quantizes like any other layer.
Graph resnet20(const Shape& sample, int classes, uint64_t seed) {
  require_image(sample, "resnet20");
  GraphBuilder net("resnet20", sample, seed);
  ValueId x = conv_bn_relu(net, "stem", net.input(), 16, {.kernel = 3, .padding = 1});
  for (int stage = 1; stage <= 3; ++stage) {
    const int64_t channels = 8LL << stage;
    for (int block = 1; block <= 3; ++block) {
      const std::string name = fmt::format("stage{}.block{}", stage, block);
      const int64_t stride = stage > 1 && block == 1 ? 2 : 1;
      ValueId shortcut = x;
      if (stride != 1) {
        shortcut =
            net.conv(name + ".shortcut.conv", x, channels, {.kernel = 1, .stride = stride}, false);
        shortcut = net.batch_norm(name + ".shortcut.bn", shortcut);
      }
      x = conv_bn_relu(net, name + ".first", x, channels,
                       {.kernel = 3, .stride = stride, .padding = 1});
      x = net.conv(name + ".second.conv", x, channels, {.kernel = 3, .padding = 1}, false);
      x = net.batch_norm(name + ".second.bn", x);
      x = net.relu(name + ".relu", net.add(name + ".add", x, shortcut));
    }
  }
  x = net.dense("fc", net.global_average("pool", x), require_classes(classes));
  return std::move(net).finish(x, "logits");
}

/// Expansion (1x1), depthwise 3x3, linear projection (1x1), and a shortcut where the shape stays.
ValueId inverted_residual(GraphBuilder& net, const std::string& name, ValueId x, int64_t expansion,
                          int64_t channels, int64_t stride) {
  const ValueId input = x;
  const int64_t wide = net.shape(x)[1] * expansion;
  if (expansion != 1) {
    x = net.conv(name + ".expand.conv", x, wide, {.kernel = 1}, false);
    x = net.relu6(name + ".expand.relu6", net.batch_norm(name + ".expand.bn", x));
  }
  x = net.conv(name + ".depthwise.conv", x, wide,
               {.kernel = 3, .stride = stride, .padding = 1, .groups = wide}, false);
  x = net.relu6(name + ".depthwise.relu6", net.batch_norm(name + ".depthwise.bn", x));
  x = net.conv(name + ".project.conv", x, channels, {.kernel = 1}, false);
  x = net.batch_norm(name + ".project.bn", x);
  return net.shape(x) == net.shape(input) ? net.add(name + ".add", x, input) : x;
}

// Sandler et al. 2018 (arXiv:1801.04381), narrowed, with the first stride 2 only after the first
// block: for images of 28x28 or 32x32.
Graph mobilenetv2_small(const Shape& sample, int classes, uint64_t seed) {
  require_image(sample, "mobilenetv2-small");
  struct Stage {
    int64_t expansion, channels, blocks, stride;
  };
  constexpr std::array<Stage, 4> kStages = {
      {{1, 16, 1, 1}, {4, 24, 2, 2}, {4, 32, 3, 2}, {4, 64, 2, 1}}};
  GraphBuilder net("mobilenetv2-small", sample, seed);
  ValueId x = net.conv("stem.conv", net.input(), 16, {.kernel = 3, .padding = 1}, false);
  x = net.relu6("stem.relu6", net.batch_norm("stem.bn", x));
  for (size_t stage = 0; stage < kStages.size(); ++stage) {
    for (int64_t block = 0; block < kStages[stage].blocks; ++block) {
      x = inverted_residual(net, fmt::format("stage{}.block{}", stage + 1, block + 1), x,
                            kStages[stage].expansion, kStages[stage].channels,
                            block == 0 ? kStages[stage].stride : 1);
    }
  }
  x = net.conv("head.conv", x, 256, {.kernel = 1}, false);
  x = net.relu6("head.relu6", net.batch_norm("head.bn", x));
  x = net.dropout("dropout", net.global_average("pool", x), 0.1F);
  x = net.dense("fc", x, require_classes(classes));
  return std::move(net).finish(x, "logits");
}

// A well-known tutorial's network: unpadded convolutions, 2,323,201 parameters for 150x150 RGB.
Graph catdog_cnn(const Shape& sample, int classes, uint64_t seed) {
  require_image(sample, "catdog-cnn");
  if (classes != 2) {
    fail(ErrorCode::invalid_argument,
         "catdog-cnn tells 2 classes apart (one sigmoid output), the data set has {}", classes);
  }
  GraphBuilder net("catdog-cnn", sample, seed);
  const auto conv_relu = [&](const std::string& name, ValueId x, int64_t channels) {
    return net.relu(name + ".relu", net.conv(name, x, channels, {.kernel = 3}, true));
  };
  ValueId x = conv_relu("conv1", net.input(), 128);
  x = net.max_pool("pool1", conv_relu("conv2", x, 64), 4);
  x = conv_relu("conv3", x, 128);
  x = net.max_pool("pool2", conv_relu("conv4", x, 64), 4);
  x = net.relu("fc1.relu", net.dense("fc1", net.flatten("flatten", x), 512));
  x = net.dense("fc2", net.dropout("dropout", x, 0.3F), 1);
  return std::move(net).finish(net.sigmoid("sigmoid", x), "probability");
}

const std::array<ArchitectureRow, 4> kArchitectures = {{
    {"digits-cnn", "3 convolutions and 2 dense layers for 8x8 grey digits", {1, 8, 8}, digits_cnn},
    {"resnet20", "residual network for 32x32 images (CIFAR)", {3, 32, 32}, resnet20},
    {"mobilenetv2-small",
     "inverted residuals with ReLU6 for 28x28 or 32x32 images",
     {3, 32, 32},
     mobilenetv2_small},
    {"catdog-cnn",
     "4 convolutions and 2 dense layers, one sigmoid output, for 150x150 RGB",
     {3, 150, 150},
     catdog_cnn},
}};

}  // namespace

std::span<const ArchitectureRow> architectures() { return kArchitectures; }

Graph build_architecture(std::string_view name, const Shape& sample, int classes, uint64_t seed) {
  std::string known;
  for (const ArchitectureRow& row : kArchitectures) {
    if (row.name == name) return row.build(sample, classes, seed);
    known += fmt::format("{}{}", known.empty() ? "" : ", ", row.name);
  }
  fail(ErrorCode::invalid_argument, "there is no architecture '{}'; there are: {}", name, known);
}

}  // namespace nibble
