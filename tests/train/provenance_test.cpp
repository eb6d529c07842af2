// What a trained model says of how it was made.
#include "verbs/provenance.h"

#include <nlohmann/json.hpp>

#include "support/errors.h"
#include "train/fixtures.h"

namespace nibble {
namespace {

using Json = nlohmann::ordered_json;

TEST(provenance, of_a_trained_model_names_all_steps_and_is_not_made_again) {
  NIBBLE_NEEDS_TRAINING();
  const Graph network = build_architecture("digits-cnn", {1, 8, 8}, 10, 3);
  const SampleSource digits{.spec = "digits"};
  const TrainChoices short_one = [](TrainOptions usual) {
    usual.epochs = 1;
    return usual;
  };
  const Trained trained = train_with_quantization(network, digits, {.calibration = 40}, short_one,
                                                  {.threads = 1, .seed = 5});
  const auto provenance = provenance_of(trained.graph);
  const Json& steps = (*provenance)["steps"];
  ASSERT_EQ(steps.size(), 2U);
  EXPECT_EQ(steps[1]["verb"], "qat");
  EXPECT_EQ(steps[1]["seed"], 5);
  EXPECT_EQ(steps[1]["options"]["epochs"], 1);
  EXPECT_GT(steps[1]["scores"][0]["samples"], 0);
  const std::string error =
      testing::error_of([&] { reproduce(trained.graph, network, digits, {.threads = 1}); });
  EXPECT_NE(error.find("the model was trained after it was quantized (qat)"), std::string::npos)
      << error;
}

}  // namespace
}  // namespace nibble
