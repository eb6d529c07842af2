// What quantized training does before its first step: batch normalisations that are folded again,
// and augmentation that the float network bears.
#include "nibble/evaluate.h"
#include "nibble/quantize.h"
#include "train/fixtures.h"

namespace nibble {
namespace {

/// Noise of 16 by 16, bright on the left (class 0) or on the right: mirrored, one is the other.
class SidedImages final : public RealDataset {
 public:
  SidedImages(int64_t count, uint64_t seed) : count_(count), seed_(seed) {}
  int64_t size() const override { return count_; }
  Shape sample_shape() const override { return {1, 16, 16}; }
  int classes() const override { return 2; }
  const std::vector<std::string>& class_names() const override { return names_; }
  int64_t label(int64_t index) const override { return index % 2; }
  void read(int64_t index, std::span<float> out) const override {
    Random random(seed_ * 1000 + static_cast<uint64_t>(index));
    for (size_t i = 0; i < out.size(); ++i) {
      const bool right = i % 16 >= 8;
      const bool bright = right == (label(index) == 1);
      out[i] = static_cast<float>(random.normal()) * 0.5F + (bright ? 1.0F : 0.0F);
    }
  }
  std::string describe() const override { return "sides"; }

 private:
  int64_t count_;
  uint64_t seed_;
  std::vector<std::string> names_;
};

class Preparation : public ::testing::Test {
 protected:
  void SetUp() override {
    NIBBLE_NEEDS_TRAINING();
    TrainOptions options;
    options.epochs = 3;
    options.batch = 16;
    options.seed = 1;
    real_ =
        train(build_architecture("digits-cnn", {1, 16, 16}, 2, 0), training_, validation_, options)
            .graph;
    const BitPlan plan{.fallback = {4, 4}, .layers = {}};
    quantized_ = quantize(real_, analyze(real_, training_), plan);
  }
  TrainResult trained(const TrainOptions& options) const {
    return train_quantized(quantized_, &real_, training_, validation_, options);
  }
  static TrainOptions short_training() {
    TrainOptions options = qat_defaults(4, 4);
    options.epochs = 2;
    options.batch = 16;
    options.threads = 1;
    return options;
  }

  SidedImages training_{192, 1}, validation_{64, 2};
  Graph real_, quantized_;
};

TEST_F(Preparation, the_normalisations_of_training_are_folded_into_what_is_exported) {
  const TrainResult result = trained(short_training());
  ASSERT_GE(result.best_epoch, -1);
  const Tensor x = read_batch(validation_, 0, validation_.size(), 1)[0];
  const Tensor outputs = train_backend().forward(result.graph, std::span(&x, 1))[0];
  EXPECT_NEAR(testing::accuracy(outputs.data<float>(), validation_),
              result.best().validation_accuracy, 1.0 / 64 + 1e-9);
  EXPECT_EQ(result.graph.nodes().size(), quantized_.nodes().size());
  for (const NodeId id : result.graph.nodes()) {
    EXPECT_NE(result.graph.node(id).op, "BatchNormalization");
  }
}

TEST_F(Preparation, images_are_cropped_where_the_teacher_bears_it_and_not_mirrored_where_not) {
  TrainOptions automatic = short_training();
  ASSERT_EQ(automatic.augment, Augment::automatic);
  TrainOptions given = automatic;
  given.augment = Augment::given;
  given.crop_padding = 2;  // an eighth of the width
  const std::string constants = testing::constants_of(trained(automatic).graph);
  EXPECT_EQ(constants, testing::constants_of(trained(given).graph));
  given.flip = true;
  EXPECT_NE(constants, testing::constants_of(trained(given).graph));
}

TEST_F(Preparation, nothing_is_augmented_without_a_teacher_to_judge_by) {
  TrainOptions automatic = short_training();
  automatic.distill = 0;
  TrainOptions given = automatic;
  given.augment = Augment::given;
  EXPECT_EQ(testing::constants_of(trained(automatic).graph),
            testing::constants_of(trained(given).graph));
}

}  // namespace
}  // namespace nibble
