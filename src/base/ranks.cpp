#include "nibble/ranks.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <optional>

#include "base/check.h"

namespace nibble {
namespace {

std::optional<std::string> variable(const char* name) {
  const char* text = std::getenv(name);
  if (text == nullptr || *text == '\0') return std::nullopt;
  return text;
}

int number_of(const char* name, const std::string& text, int least, int most) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most) {
    fail(ErrorCode::invalid_argument, "{} is '{}': it has to be a number from {} to {}", name, text,
         least, most);
  }
  return number;
}

int number_or(const char* name, int otherwise, int least, int most) {
  const auto text = variable(name);
  return text ? number_of(name, *text, least, most) : otherwise;
}

double seconds_or(const char* name, double otherwise) {
  const auto text = variable(name);
  if (!text) return otherwise;
  char* end = nullptr;
  const double seconds = std::strtod(text->c_str(), &end);
  if (*end != '\0' || !std::isfinite(seconds) || seconds <= 0) {
    fail(ErrorCode::invalid_argument, "{} is '{}': it has to be a number of seconds above 0", name,
         *text);
  }
  return seconds;
}

constexpr int kMostRanks = 1 << 16;

}  // namespace

RankPlace launched_place() {
  RankPlace place;
  place.size = number_or("WORLD_SIZE", 1, 1, kMostRanks);
  if (place.size == 1) return place;
  const auto required = [&](const char* name) {
    const auto text = variable(name);
    if (text) return *text;
    fail(ErrorCode::invalid_argument,
         "WORLD_SIZE is {}, so {} has to be set too, as torchrun or `nibble launch` do; unset "
         "WORLD_SIZE to run alone",
         place.size, name);
  };
  place.rank = number_of("RANK", required("RANK"), 0, place.size - 1);
  place.address = required("MASTER_ADDR");
  place.port = number_of("MASTER_PORT", required("MASTER_PORT"), 1, 65535);
  // There listens torchrun's agent itself, whose store speaks the language of its own libtorch.
  if (variable("TORCHELASTIC_USE_AGENT_STORE") == "True") {
    place.port += place.port == 65535 ? -1 : 1;
  }
  place.local_rank = number_or("LOCAL_RANK", 0, 0, place.size - 1);
  place.local_size = number_or("LOCAL_WORLD_SIZE", 0, 1, place.size);
  place.timeout = seconds_or("NIBBLE_RANK_TIMEOUT", place.timeout);
  return place;
}

Share share_of(int rank, int size, int64_t count) {
  return {count * rank / size, count * (rank + 1) / size};
}

Share share_of(const Ranks* ranks, int64_t count) {
  return ranks == nullptr ? Share{0, count} : share_of(ranks->rank(), ranks->size(), count);
}

}  // namespace nibble
