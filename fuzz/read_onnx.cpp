// Any bytes as an ONNX file: read, written again, and read once more.
#include "fuzz/fuzz_target.h"
#include "nibble/onnx.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace nibble;
  const std::string_view bytes = fuzz::as_text({data, size});
  fuzz::expect_error_at_most([&] {
    const std::string written = serialize_onnx(parse_onnx(bytes));
    parse_onnx(written);
  });
  fuzz::expect_error_at_most([&] { parse_tensor_proto(bytes); });
  return 0;
}
