// Chapter 9, deploying: reads w8a8.onnx and runs it on one picture. Needs nibble::runtime only.
#include <nibble/error.h>
#include <nibble/onnx.h>
#include <nibble/runtime.h>
#include <nibble/tensor.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

int main() try {
  // A one, 8x8 pixels from 0 to 1.
  constexpr std::array<std::array<float, 8>, 8> kPicture = {{{0, 0, 0, .7F, 1, 0, 0, 0},
                                                             {0, 0, .4F, 1, 1, 0, 0, 0},
                                                             {0, .3F, 1, 1, 1, 0, 0, 0},
                                                             {0, .2F, .3F, .9F, 1, 0, 0, 0},
                                                             {0, 0, 0, .9F, 1, 0, 0, 0},
                                                             {0, 0, 0, .9F, 1, 0, 0, 0},
                                                             {0, 0, 0, .9F, 1, .2F, 0, 0},
                                                             {0, 0, 0, .7F, 1, .4F, 0, 0}}};
  const nibble::Graph graph = nibble::load_onnx("w8a8.onnx");
  nibble::Program program = nibble::compile(graph, {.input_shapes = {{"input", {1, 1, 8, 8}}}});

  nibble::Tensor picture(nibble::DType::f32, {1, 1, 8, 8});
  auto pixels = picture.data<float>();
  for (size_t i = 0; i < 64; ++i) pixels[i] = kPicture[i / 8][i % 8];
  const auto scores = program.run(std::vector{picture})[0].data<float>();

  const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
  std::printf("it looks like a %td; %d of %d steps ran on integers, %zu bytes of activations\n",
              best, program.coverage().integer_nodes, program.coverage().nodes,
              program.arena_bytes());
  return best == 1 ? 0 : 1;
} catch (const nibble::Error& error) {
  std::fprintf(stderr, "chapter09_deploy: %s\n", error.what());
  return 1;
}
