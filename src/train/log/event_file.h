// Event files, which TensorBoard reads: records of protocol buffers.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)
namespace nibble {

/// CRC-32C (Castagnoli): polynomial 0x1edc6f41, reflected; of "123456789" it is 0xe3069283.
uint32_t crc32c(std::string_view bytes);

/// A record of TensorFlow's TFRecord format: the length in 8 bytes, its masked checksum in 4, the
/// bytes, their masked checksum; all little-endian. Masked: rotated right by 15, plus 0xa282ead8.
std::string event_record(std::string_view bytes);

// Messages of tensorboard/compat/proto/event.proto. `time`: seconds since 1970.
/// The first of a file.
std::string file_version_event(double time);
/// What came before with a step of `step` or more holds no longer.
std::string restart_event(double time, int64_t step);
std::string scalar_event(double time, int64_t step, std::string_view tag, float value);

}  // namespace nibble
#pragma GCC visibility pop
