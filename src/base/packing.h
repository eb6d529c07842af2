// Numbers and texts as bytes, for another process of the same program.
#pragma once

#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/check.h"

namespace nibble {

class Packer {
 public:
  template <typename T>
  requires(std::is_trivially_copyable_v<T> && !std::is_array_v<T> &&
           !std::is_pointer_v<T>) void put(const T& value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(T));
  }
  void put(std::string_view text) {
    put(text.size());
    bytes_.append(text);
  }
  template <typename T>
  void put(const std::vector<T>& values) {
    put(values.size());
    for (const T& value : values) put(value);
  }
  std::string take() { return std::move(bytes_); }

 private:
  std::string bytes_;
};

/// Reads what a Packer wrote, in the same order.
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : rest_(bytes) {}

  template <typename T>
  requires std::is_trivially_copyable_v<T> T get() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string text() { return std::string(take(get<size_t>())); }
  template <typename T>
  std::vector<T> list() {
    std::vector<T> values(get<size_t>());
    for (T& value : values) value = get<T>();
    return values;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> values(get<size_t>());
    for (std::string& value : values) value = text();
    return values;
  }
  bool done() const { return rest_.empty(); }

 private:
  std::string_view take(size_t count) {
    check(count <= rest_.size(), "another rank packed what this one unpacks");
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::string_view rest_;
};

}  // namespace nibble
