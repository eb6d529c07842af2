// run_model MODEL.onnx: runs a model once on zeros and prints its outputs' shapes. Needs
// nibble::runtime only.
#include <nibble/error.h>
#include <nibble/onnx.h>
#include <nibble/runtime.h>
#include <nibble/version.h>

#include <cstdio>
#include <map>
#include <string>
#include <vector>

int main(int argc, char** argv) try {
  if (argc != 2) {
    std::fprintf(stderr, "usage: run_model MODEL.onnx\n");
    return 2;
  }
  const nibble::Graph graph = nibble::load_onnx(argv[1]);
  std::vector<nibble::Tensor> inputs;
  for (const nibble::ValueId id : graph.inputs) {
    nibble::Shape shape = graph.value(id).type.shape;
    for (int axis = 0; axis < shape.rank(); ++axis) {
      if (shape[axis] < 0) shape[axis] = 1;
    }
    inputs.emplace_back(graph.value(id).type.dtype, shape);
  }
  nibble::Program program = nibble::compile(graph, {.threads = 0});
  const auto outputs = program.run(inputs);
  std::printf("nibble %s: %d of %d steps run on integers\n", std::string(nibble::version()).c_str(),
              program.coverage().integer_nodes, program.coverage().nodes);
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::printf("%s %s\n", program.output_names()[i].c_str(),
                outputs[i].shape().to_string().c_str());
  }
  return 0;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "run_model: %s\n", error.what());
  return 1;
}
