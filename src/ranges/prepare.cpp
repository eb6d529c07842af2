// The float graph that ranges are measured on and that is quantized.
#include "nibble/ranges.h"

namespace nibble {
namespace {

// A quantized graph becomes the float graph it stands for.
void drop_quantization(Graph& graph) {
  for (int32_t i = 0; i < graph.value_count(); ++i) {
    Value& value = graph.value({i});
    if (!value.type.quant) continue;
    if (value.is_constant()) value.data = dequantize_tensor(value.data, *value.type.quant);
    value.type.quant.reset();
  }
}

}  // namespace

Graph prepare_for_quantization(const Graph& graph) {
  Graph prepared = graph;
  drop_quantization(prepared);
  prepared.prune();
  prepared.validate();
  return prepared;
}

}  // namespace nibble
