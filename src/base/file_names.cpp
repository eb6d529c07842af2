#include "base/file_names.h"

#include <algorithm>
#include <set>

namespace nibble {
namespace {

constexpr size_t kMaxBytes = 200;  // file systems hold 255, extension and temporary suffix included

std::string cleaned(std::string name) {
  const auto is_bad = [](unsigned char c) {
    return c == '/' || c == '\\' || c == ':' || c < 0x20 || c == 0x7F;
  };
  std::ranges::replace_if(name, is_bad, '_');
  if (name.empty()) name = "_";
  if (name.size() <= kMaxBytes) return name;
  size_t end = kMaxBytes;
  while (end > 0 && (static_cast<unsigned char>(name[end]) & 0xC0U) == 0x80U) --end;  // in UTF-8
  return name.substr(0, end);
}

}  // namespace

std::vector<std::string> file_names(std::span<const std::string> names) {
  std::vector<std::string> files(names.size());
  std::set<std::string> taken;
  for (size_t i = 0; i < names.size(); ++i) {
    if (cleaned(names[i]) == names[i] && taken.insert(names[i]).second) files[i] = names[i];
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (!files[i].empty()) continue;
    const std::string stem = cleaned(names[i]);
    files[i] = stem;
    for (int n = 2; !taken.insert(files[i]).second; ++n) files[i] = stem + "-" + std::to_string(n);
  }
  return files;
}

}  // namespace nibble
