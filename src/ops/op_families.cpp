// The families that are linked: all of them. A program with a list of its own
// (nibble_add_operators() of the CMake package) defines linked_families() itself; the linker then
// takes nothing out of this file, and leaves out the operators that no list names.
#include "ops/families.h"

namespace nibble {

std::span<OpFamily* const> linked_families() {
  static constexpr auto kAll = [] {
    std::array<OpFamily*, kFamilies.size()> all{};
    for (size_t i = 0; i < all.size(); ++i) all[i] = kFamilies[i].rows;
    return all;
  }();
  return kAll;
}

[[gnu::visibility("default")]] std::vector<std::string_view> families_used() {
  std::vector<std::string_view> names;
  for (size_t i = 0; i < kFamilies.size(); ++i) {
    if (family_used(i)) names.push_back(kFamilies[i].name);
  }
  return names;
}

}  // namespace nibble
