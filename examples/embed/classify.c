/* classify MODEL.onnx [IMAGE.ppm|IMAGE.raw]: runs a classifier from C and prints its five best classes. The image is a binary
 * PPM (P6) of the size that the model takes, or the numbers of the input as they lie in memory; without one, the input is
 * zeros. What a network wants done to its pixels differs: here they become numbers from 0 to 1. */
#include <nibble.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char* what) {
  fprintf(stderr, "classify: %s\n", what);
  return 1;
}

/* The whole file in memory; NULL if it cannot be read. */
static unsigned char* read_file(const char* path, size_t* size) {
  FILE* file = fopen(path, "rb");
  unsigned char* bytes = NULL;
  if (file == NULL) return NULL;
  fseek(file, 0, SEEK_END);
  *size = (size_t)ftell(file);
  rewind(file);
  bytes = malloc(*size + 1);
  if (bytes != NULL && fread(bytes, 1, *size, file) != *size) *size = 0;
  fclose(file);
  if (bytes != NULL) bytes[*size] = 0;
  return bytes;
}

static size_t bytes_of(nibble_type type) {
  switch (type) {
    case NIBBLE_FLOAT32: case NIBBLE_INT32: case NIBBLE_UINT32: return 4;
    case NIBBLE_FLOAT64: case NIBBLE_INT64: case NIBBLE_UINT64: return 8;
    case NIBBLE_FLOAT16: case NIBBLE_BFLOAT16: case NIBBLE_INT16: case NIBBLE_UINT16: return 2;
    default: return 1;
  }
}

/* Pixels, row by row and red, green, blue, to [1, channels, height, width]. */
static int fill_from_ppm(nibble_tensor* input, const char* text, size_t size) {
  int width = 0, height = 0, at = 0;
  float* numbers = input->data;
  if (sscanf(text, "P6 %d %d 255%n", &width, &height, &at) != 2 || at == 0) return fail("this is no PPM of 8 bits");
  if (input->type != NIBBLE_FLOAT32 || input->rank != 4 || input->shape[1] != 3 || input->shape[2] != height ||
      input->shape[3] != width || size < (size_t)at + 1 + (size_t)width * height * 3) {
    return fail("the picture is not of the size that the model takes");
  }
  for (int channel = 0; channel < 3; ++channel) {
    for (int i = 0; i < width * height; ++i) {
      *numbers++ = (float)(unsigned char)text[at + 1 + i * 3 + channel] / 255.0F;
    }
  }
  return 0;
}

static int fill(nibble_tensor* input, const char* path) {
  size_t size = 0;
  unsigned char* bytes = read_file(path, &size);
  int failed = 0;
  if (bytes == NULL) return fail("the picture cannot be read");
  if (size > 2 && memcmp(bytes, "P6", 2) == 0) {
    failed = fill_from_ppm(input, (const char*)bytes, size);
  } else if (size == input->bytes) {
    memcpy(input->data, bytes, size);
  } else {
    failed = fail("the file has not as many bytes as the input");
  }
  free(bytes);
  return failed;
}

static void print_best(const float* scores, size_t count) {
  for (size_t place = 0; place < 5 && place < count; ++place) {
    size_t best = count;
    for (size_t i = 0; i < count; ++i) { /* the best that has fewer than `place` above it */
      size_t above = 0;
      for (size_t k = 0; k < count; ++k) above += scores[k] > scores[i] || (scores[k] == scores[i] && k < i);
      if (above == place) best = i;
    }
    printf("class %zu: %g\n", best, (double)scores[best]);
  }
}

int main(int argc, char** argv) {
  size_t size = 0;
  nibble_model* model = NULL;
  nibble_value value;
  nibble_tensor input = {0}, output = {0};
  if (argc < 2) return fail("usage: classify MODEL.onnx [IMAGE]");

  /* From memory, as a program does that carries its model along; nibble_load() takes a file's name. */
  unsigned char* bytes = read_file(argv[1], &size);
  if (bytes == NULL) return fail("the model cannot be read");
  if (nibble_load_bytes(bytes, size, NULL, &model) != NIBBLE_OK) return fail(nibble_error_message());
  free(bytes);
  if (nibble_input_count(model) != 1 || nibble_output_count(model) != 1) return fail("a classifier has one input and one output");

  nibble_input(model, 0, &value);
  input.type = value.type;
  input.rank = value.rank;
  input.bytes = bytes_of(value.type);
  for (int i = 0; i < value.rank; ++i) {
    input.shape[i] = value.shape[i] < 0 ? 1 : value.shape[i];
    input.bytes *= (size_t)input.shape[i];
  }
  input.data = calloc(1, input.bytes);
  if (argc > 2 && fill(&input, argv[2]) != 0) return 1;

  /* What the output takes is known after a run without room for it. */
  if (nibble_run(model, &input, 1, &output, 1) != NIBBLE_OK) return fail(nibble_error_message());
  output.data = malloc(output.bytes);
  if (nibble_run(model, &input, 1, &output, 1) != NIBBLE_OK) return fail(nibble_error_message());
  if (output.type != NIBBLE_FLOAT32) return fail("the output is no list of scores");
  print_best(output.data, output.bytes / sizeof(float));

  free(input.data);
  free(output.data);
  nibble_free(model);
  return 0;
}
