#include "train/log/event_file.h"

#include <array>
#include <bit>

namespace nibble {
namespace {

constexpr std::array<uint32_t, 256> make_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0);
    table[i] = crc;
  }
  return table;
}

template <typename T>
void put(std::string& bytes, T number) {
  for (size_t i = 0; i < sizeof number; ++i) bytes += static_cast<char>(number >> (8 * i));
}

uint32_t masked(uint32_t crc) { return std::rotr(crc, 15) + 0xa282ead8U; }

// Fields of a protocol buffer: a key (number * 8 + wire type), then the value.
void put_varint(std::string& bytes, uint64_t value) {
  for (; value >= 128; value >>= 7) bytes += static_cast<char>((value & 127) | 128);
  bytes += static_cast<char>(value);
}
void put_key(std::string& bytes, uint32_t field, uint32_t wire_type) {
  put_varint(bytes, field * 8 + wire_type);
}
void put_number(std::string& bytes, uint32_t field, int64_t value) {
  put_key(bytes, field, 0);
  put_varint(bytes, static_cast<uint64_t>(value));
}
void put_double(std::string& bytes, uint32_t field, double value) {
  put_key(bytes, field, 1);
  put(bytes, std::bit_cast<uint64_t>(value));
}
void put_float(std::string& bytes, uint32_t field, float value) {
  put_key(bytes, field, 5);
  put(bytes, std::bit_cast<uint32_t>(value));
}
void put_bytes(std::string& bytes, uint32_t field, std::string_view value) {
  put_key(bytes, field, 2);
  put_varint(bytes, value.size());
  bytes += value;
}

// Event: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
std::string event(double time, int64_t step) {
  std::string bytes;
  put_double(bytes, 1, time);
  put_number(bytes, 2, step);
  return bytes;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = make_table();
  uint32_t crc = ~0U;
  for (const char byte : bytes) {
    crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 255];
  }
  return ~crc;
}

std::string event_record(std::string_view bytes) {
  std::string record;
  put(record, static_cast<uint64_t>(bytes.size()));
  put(record, masked(crc32c(record)));
  record += bytes;
  put(record, masked(crc32c(bytes)));
  return record;
}

std::string file_version_event(double time) {
  std::string bytes = event(time, 0);
  put_bytes(bytes, 3, "brain.Event:2");
  return bytes;
}

std::string restart_event(double time, int64_t step) {
  std::string start;
  put_number(start, 1, 1);  // SessionLog: status = START
  std::string bytes = event(time, step);
  put_bytes(bytes, 7, start);
  return bytes;
}

std::string scalar_event(double time, int64_t step, std::string_view tag, float value) {
  std::string entry, summary;
  put_bytes(entry, 1, tag);    // Summary.Value: tag = 1,
  put_float(entry, 2, value);  // simple_value = 2
  put_bytes(summary, 1, entry);
  std::string bytes = event(time, step);
  put_bytes(bytes, 5, summary);
  return bytes;
}

}  // namespace nibble
