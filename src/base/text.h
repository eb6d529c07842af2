// Small pieces of text for people.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#pragma GCC visibility push(default)
namespace nibble {

/// 1234567 -> "1,234,567".
std::string group_digits(int64_t value);

/// Insertions, deletions, replacements and swaps of neighbours that make `b` of `a`, without
/// regard to case.
size_t edit_distance(std::string_view a, std::string_view b);
/// Those of `names` that `wanted` may have been meant to be, nearest first: with an edit distance
/// of at most a third of its length (2 at least), or where one holds the other ("FusedMatMul":
/// "MatMul").
std::vector<std::string> nearest_names(std::string_view wanted, std::span<const std::string> names,
                                       size_t most = 3);
/// "; did you mean 'a' or 'b'?", or nothing if no name is near.
std::string did_you_mean(std::string_view wanted, std::span<const std::string> names);

/// {"a", "b", "c"} -> "a, b or c".
std::string join_choices(std::span<const std::string> names);

}  // namespace nibble
#pragma GCC visibility pop
