// nibble.json and the table of the options of quantization.
#include "quant/settings.h"

#include <gtest/gtest.h>

#include <set>

#include "nibble/error.h"

namespace nibble {
namespace {

QuantizeSettings read(std::string_view text) {
  QuantizeSettings settings;
  apply_settings_json(text, settings);
  return settings;
}

std::string refusal(std::string_view text) {
  try {
    check_settings(read(text));
  } catch (const Error& error) {
    return error.what();
  }
  return "accepted";
}

// Every key that 0.1.0 knew, with a value that it took.
TEST(settings, a_file_of_the_first_version_still_loads) {
  const QuantizeSettings s = read(R"({
    // comments are allowed
    "weights": 4, "activations": "none", "weight_observer": "min-max",
    "activation_observer": "percentile", "block_size": 32, "calibration": 64,
    "average_bits": 5, "skip": ["head"], "dynamic": false, "first_and_last_8bit": false,
    "bias_correction": false,
    "layers": {"conv1": {"weights": 8}, "conv2": {"weights": 3, "activations": 8}}})");
  EXPECT_EQ(s.plan.fallback, (LayerBits{4, 0}));
  EXPECT_EQ(s.plan.layers.at("conv1"), (LayerBits{8, 0}));
  EXPECT_EQ(s.plan.layers.at("conv2"), (LayerBits{3, 8}));
  EXPECT_EQ(s.options.weight_block_size, 32);
  EXPECT_EQ(s.calibration, 64);
  EXPECT_EQ(s.budget.average_weight_bits, 5.0);
  EXPECT_EQ(s.options.skip, std::vector<std::string>{"head"});
  EXPECT_FALSE(s.options.first_and_last_8bit);
  EXPECT_FALSE(s.options.bias_correction);
  EXPECT_NE(s.options.weight_observer, QuantizeOptions{}.weight_observer);
  EXPECT_NE(s.options.activation_observer, QuantizeOptions{}.activation_observer);
  EXPECT_NE(s.options.weight_observer, s.options.activation_observer);
  EXPECT_EQ(read(R"({"max_bytes": 100000})").budget.file_bytes, 100000);
}

TEST(settings, an_empty_file_leaves_the_defaults) {
  const QuantizeSettings s = read("{}");
  EXPECT_EQ(s.plan.fallback, LayerBits{});
  EXPECT_EQ(s.calibration, QuantizeSettings{}.calibration);
  EXPECT_TRUE(s.options.bias_correction);
}

TEST(settings, what_is_wrong_is_named) {
  EXPECT_NE(refusal(R"({"weight": 8})").find("'weight' is unknown; did you mean 'weights'"),
            std::string::npos);
  EXPECT_NE(refusal(R"({"layer": {}})").find("did you mean 'layers'"), std::string::npos);
  EXPECT_EQ(refusal(R"({"layers": {"a": {"bits": 4}}})"),
            "layer 'a': the key 'bits' is unknown; known are: weights, activations");
  EXPECT_EQ(refusal(R"({"weights": 5})"), "weights cannot be 5: choose 8, 6, 4, 3 or 2");
  EXPECT_EQ(refusal(R"({"weights": "none"})"), "weights cannot be \"none\": choose 8, 6, 4, 3 or 2")
      << "of all layers: nothing would be quantized";
  EXPECT_EQ(read(R"({"layers": {"a": {"weights": "none"}}})").plan.layers.at("a").weight_bits, 0);
  EXPECT_EQ(refusal(R"({"layers": {"a": {"weights": 5}}})"),
            "layer 'a': weights cannot be 5: choose 8, 6, 4, 3, 2 or none");
  EXPECT_NE(refusal(R"({"average_bits": 9})").find("from 2 to 8"), std::string::npos);
  EXPECT_NE(refusal(R"({"average_bits": 5, "max_bytes": 9})").find("together"), std::string::npos);
  EXPECT_NE(refusal(R"({"dynamic": true, "weights": 4})").find("dynamic"), std::string::npos);
  EXPECT_NE(refusal("[1]").find("not a JSON object"), std::string::npos);
  EXPECT_NE(refusal("{").find("not a JSON object"), std::string::npos);
}

TEST(settings, every_option_has_a_flag_a_key_and_help_of_its_own) {
  std::set<std::string_view> flags, keys;
  for (const auto& row : quantize_option_rows()) {
    EXPECT_TRUE(row.spec.flag.starts_with("--")) << row.spec.key;
    EXPECT_FALSE(row.spec.help.empty()) << row.spec.key;
    EXPECT_TRUE(flags.insert(row.spec.flag).second) << row.spec.flag;
    EXPECT_TRUE(keys.insert(row.spec.key).second) << row.spec.key;
  }
}

// What a row reads is what it has set, and nothing set is what the struct has.
TEST(settings, every_row_gives_back_what_it_took) {
  for (const auto& row : quantize_option_rows()) {
    QuantizeSettings settings;
    const auto before = row.get(settings);
    OptionValue value = int64_t{7};
    switch (row.spec.kind) {
      case OptionKind::toggle:
        value = row.spec.flag_value;
        break;
      case OptionKind::integer:
        break;
      case OptionKind::number:
        value = 7.0;
        break;
      case OptionKind::choice:
        value = std::string(row.spec.choices.back().name);
        break;
      case OptionKind::text:
        value = std::string("text");
        break;
      case OptionKind::list:
        value = std::vector<std::string>{"a"};
        break;
    }
    row.set(settings, value);
    EXPECT_EQ(row.get(settings), value) << row.spec.key;
    row.set(settings, std::nullopt);
    EXPECT_EQ(row.get(settings), before) << row.spec.key;
  }
}

}  // namespace
}  // namespace nibble
