// Comma-separated values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/samples.h"

namespace nibble {

/// The lines of a text, without their ends and without a byte order mark.
std::vector<std::string_view> lines_of(std::string_view text);
/// The fields of one line; "quoted ""fields""" may hold commas, not line breaks.
std::vector<std::string> csv_fields(std::string_view line);

/// Labels that are numbers from zero, or words, which are then numbered in the order of their
/// bytes. Throws Error{invalid_data} naming `file`.
Labels labels_of_words(const std::vector<std::string>& words, const std::string& file);

}  // namespace nibble
