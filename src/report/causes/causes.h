// Why a layer of a quantized network loses much, and what may help: a table of causes that
// statistics can tell, asked in order. Where none fits, none is named.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "report/causes/figures.h"

#pragma GCC visibility push(default)
namespace nibble {

/// What the statistics show, as a sentence without its end that names the numbers, and what to try;
/// commands stand between backticks.
struct Cause {
  std::string_view name;
  std::string sentence;
  std::string remedy;
  /// The nibble.json that quantizes so; empty where the remedy is none of quantization's settings.
  std::string settings;
};

/// A row is all there is of a cause; it is added to the table in causes.cpp. `test` looks at a
/// tensor of the layer, the one that loses most by rounding alone, and says what it found.
enum class Place { weight, input, result };
struct Remedy {
  std::string text, settings;  // as in Cause
};
struct Finding {
  std::string sentence;
  Remedy remedy;
};
struct CauseRow {
  std::string_view name;
  std::string_view summary;  // for lists: when it is named
  std::optional<Finding> (*test)(const LayerFigures& layer, const TensorFigures& tensor,
                                 Place place);
  bool of_a_tensor = true;  // false: of the layer as a whole, even if no tensor of it loses much
};
std::span<const CauseRow> causes();

/// The first cause that fits; nullopt if the layer adds nothing, or its numbers show none.
std::optional<Cause> cause_of(const LayerFigures& layer);

/// The layers that add most noise, most first: at most `most`, and each at least 5 % of all. None
/// where even the worst layer keeps 50 dB.
std::vector<const LayerFigures*> costliest(std::span<const LayerFigures> layers, size_t most);

/// "conv1 (Conv, weights of 4 bits) adds 42 % of the noise: 31.2 dB before it, 18.4 dB behind it".
std::string cost_text(const LayerFigures& layer);

}  // namespace nibble
#pragma GCC visibility pop
