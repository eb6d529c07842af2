/* Nibble from C: loads ONNX models, quantized or not, and runs them.
 *
 *   nibble_model* model = NULL;
 *   if (nibble_load("model.onnx", NULL, &model) != NIBBLE_OK) puts(nibble_error_message());
 *   nibble_tensor in = {NIBBLE_FLOAT32, 4, {1, 3, 224, 224}, pixels, sizeof pixels};
 *   nibble_tensor out = {.data = scores, .bytes = sizeof scores};
 *   if (nibble_run(model, &in, 1, &out, 1) != NIBBLE_OK) puts(nibble_error_message());
 *   nibble_free(model);
 *
 * No exception leaves these functions, and none of them prints or exits. Each may be called from
 * any thread at any time; only nibble_free() must be the last that a model sees. A program that is
 * compiled against one version of the library runs with later ones of the same NIBBLE_ABI. */
#ifndef NIBBLE_H
#define NIBBLE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define NIBBLE_API __attribute__((visibility("default")))
#else
#define NIBBLE_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What this header promises; nibble_abi() says what the library keeps. */
#define NIBBLE_ABI 1
NIBBLE_API int32_t nibble_abi(void);
/* "0.2.0" */
NIBBLE_API const char* nibble_version(void);

typedef enum nibble_status {
  NIBBLE_OK = 0,
  NIBBLE_INVALID_ARGUMENT =
      1,                    /* what the caller passed makes no sense, or does not fit the model */
  NIBBLE_INVALID_MODEL = 2, /* the model is malformed */
  NIBBLE_UNSUPPORTED = 3,   /* well-formed, but Nibble has no support for it */
  NIBBLE_INVALID_DATA = 4,  /* numbers that the model cannot take */
  NIBBLE_IO = 5,            /* a file could not be read */
  NIBBLE_CANCELLED = 6,
  NIBBLE_BUFFER_TOO_SMALL = 7, /* an output does not fit into the caller's memory */
  NIBBLE_OUT_OF_MEMORY = 8,
  NIBBLE_INTERNAL_ERROR = 9 /* a mistake in Nibble, worth a report */
} nibble_status;

/* One sentence (what, where, which value, what to do) about the last call on this thread that gave
 * another status than NIBBLE_OK; "" before. Valid until the next such call on this thread. */
NIBBLE_API const char* nibble_error_message(void);

/* Element types, with ONNX's numbers. Those under 8 bits lie packed, low bits first. */
typedef enum nibble_type {
  NIBBLE_UNKNOWN_TYPE = 0,
  NIBBLE_FLOAT32 = 1,
  NIBBLE_UINT8 = 2,
  NIBBLE_INT8 = 3,
  NIBBLE_UINT16 = 4,
  NIBBLE_INT16 = 5,
  NIBBLE_INT32 = 6,
  NIBBLE_INT64 = 7,
  NIBBLE_BOOL = 9,
  NIBBLE_FLOAT16 = 10,
  NIBBLE_FLOAT64 = 11,
  NIBBLE_UINT32 = 12,
  NIBBLE_UINT64 = 13,
  NIBBLE_BFLOAT16 = 16,
  NIBBLE_UINT4 = 21,
  NIBBLE_INT4 = 22,
  NIBBLE_UINT2 = 25,
  NIBBLE_INT2 = 26
} nibble_type;

#define NIBBLE_MAX_RANK 10

/* A dense row-major tensor in the caller's memory. */
typedef struct nibble_tensor {
  nibble_type type;
  int32_t rank;
  int64_t shape[NIBBLE_MAX_RANK];
  void* data;   /* aligned as its elements want it */
  size_t bytes; /* of data */
} nibble_tensor;

/* What a model says of one of its inputs or outputs. The texts are the model's and live as long as
 * it does. */
typedef struct nibble_value {
  const char* name;
  nibble_type type;               /* NIBBLE_UNKNOWN_TYPE: known only when it is computed */
  int32_t rank;                   /* -1: likewise */
  int64_t shape[NIBBLE_MAX_RANK]; /* -1: open, any extent is taken (a batch, a length) */
  const char*
      dim_names[NIBBLE_MAX_RANK]; /* of open dimensions: "batch"; NULL where there is none */
} nibble_value;

/* Begin with NIBBLE_OPTIONS_INIT, which is what NULL means as well. */
typedef struct nibble_options {
  size_t size;     /* sizeof(nibble_options) */
  int32_t threads; /* that one run may use; 0: one per core */
} nibble_options;
#define NIBBLE_OPTIONS_INIT \
  { sizeof(nibble_options), 1 }

/* A model that is ready to run. */
typedef struct nibble_model nibble_model;

/* Reads and compiles a model (ONNX, opset 7 to 28; its external data lie beside it). `*model` is
 * the caller's to free; NULL where the status is not NIBBLE_OK. */
NIBBLE_API nibble_status nibble_load(const char* path, const nibble_options* options,
                                     nibble_model** model);
/* The same from memory, which may be freed afterwards. A model with external data is refused: it
 * has no folder. */
NIBBLE_API nibble_status nibble_load_bytes(const void* bytes, size_t size,
                                           const nibble_options* options, nibble_model** model);
/* NULL is fine. */
NIBBLE_API void nibble_free(nibble_model* model);

NIBBLE_API size_t nibble_input_count(const nibble_model* model);
NIBBLE_API size_t nibble_output_count(const nibble_model* model);
/* Of an index below the count: else NIBBLE_INVALID_ARGUMENT. */
NIBBLE_API nibble_status nibble_input(const nibble_model* model, size_t index, nibble_value* value);
NIBBLE_API nibble_status nibble_output(const nibble_model* model, size_t index,
                                       nibble_value* value);

/* Computes the outputs, all of them, from the inputs, in the model's order. Inputs are only read.
 * Of each output the caller gives `data` and `bytes`, the room there; type, rank, shape and `bytes`
 * are then what the output has. `data` may be NULL: nothing is copied, and what it would take is
 * told. If some output has not room enough, the status is NIBBLE_BUFFER_TOO_SMALL and those are
 * told as well; what was computed is lost.
 *
 * Several threads may run one model at once. Each run has memory for what it computes, kept for the
 * next; the weights are there once. Of runs that want several threads at once, one gets them, and
 * the others go on alone. */
NIBBLE_API nibble_status nibble_run(const nibble_model* model, const nibble_tensor* inputs,
                                    size_t input_count, nibble_tensor* outputs,
                                    size_t output_count);

#ifdef __cplusplus
}
#endif

#endif /* NIBBLE_H */
