// What a command says on stdout, as text or as JSON. A full disk or a closed pipe is an error, not
// silence.
#pragma once

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace nibble::cli {

using Json = nlohmann::ordered_json;

/// Before anything is read or written: a closed pipe becomes an error of the write instead of a
/// signal, and no file that is opened later can take the place of a standard stream that is closed.
void prepare_standard_streams();

/// From now on nothing is written, to stdout or to files: rank 0 does that.
void fall_silent();

/// Throws Error{io} if stdout does not take it.
void write_output(std::string_view text);
/// Pushes out what is still buffered. Throws Error{io} if that, or any write before it, failed.
void flush_output();

template <typename... Args>
void tell(fmt::format_string<Args...> format, Args&&... args) {
  write_output(fmt::format(format, std::forward<Args>(args)...));
}
/// Pretty JSON and a line end.
void print_json(const Json& json);

/// Width of the terminal on stdout; 0 (no limit) where it is not one.
int output_columns();

/// Fails early with Error{io} if a file cannot be written at `path`, or if it is where the results
/// go that are printed.
void check_output_file(const std::string& path);

/// The folder, with those above it, unless it is there. Throws Error{io}.
void make_folder(const std::string& path);

}  // namespace nibble::cli
