#include "ops/support/onednn_library.h"

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>

#include <string>

#include "base/check.h"

namespace nibble::onednn {
namespace {

struct Library {
  void* handle = nullptr;
  std::string name;
  std::string reason;  // why there is no handle
};

// It is loaded with this library already, under whatever name.
constexpr bool kIsLinked = NIBBLE_LINK_ONEDNN;

Library open_library() {
  Library library;
  library.name = fmt::format("libdnnl.so.{}", DNNL_VERSION_MAJOR);
  // Of the version that the headers are of. Never closed: its threads outlive any use of it.
  library.handle = dlopen(kIsLinked ? nullptr : library.name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library.handle == nullptr) library.reason = dlerror();
  return library;
}

const Library& library() {
  static const Library opened = open_library();
  return opened;
}

void* symbol(const char* name) { return dlsym(kIsLinked ? RTLD_DEFAULT : library().handle, name); }

// The function of that name in the library; `declared` says what it takes and gives.
template <typename Function>
Function* find(Function* /*declared*/, const char* name) {
  void* found = symbol(name);
  if (found == nullptr) {
    fail(ErrorCode::unsupported, "{} has no function {}", library().name, name);
  }
  return reinterpret_cast<Function*>(found);
}

}  // namespace

void require_library() {
  if (library().handle != nullptr) return;
  fail(ErrorCode::unsupported,
       "it is computed in f32 by oneDNN, and {} cannot be opened ({}); install it (Debian: apt "
       "install libdnnl{}), or quantize the model: layers on integers do not need it",
       library().name, library().reason, DNNL_VERSION_MAJOR);
}

void set_threads(int threads) {
  static const auto real = reinterpret_cast<void (*)(int)>(symbol("omp_set_num_threads"));
  if (real != nullptr) real(threads);
}

int get_threads() {
  static const auto real = reinterpret_cast<int (*)()>(symbol("omp_get_max_threads"));
  return real != nullptr ? real() : 1;
}

}  // namespace nibble::onednn

using nibble::onednn::find;

// oneDNN's C functions, as far as ops/ and the C++ interface in its headers call them: what the
// linker finds instead of the library. They are not exported.
extern "C" {

dnnl_status_t dnnl_dilated_convolution_forward_desc_init(
    dnnl_convolution_desc_t* conv_desc, dnnl_prop_kind_t prop_kind, dnnl_alg_kind_t alg_kind,
    const dnnl_memory_desc_t* src_desc, const dnnl_memory_desc_t* weights_desc,
    const dnnl_memory_desc_t* bias_desc, const dnnl_memory_desc_t* dst_desc,
    const dnnl_dims_t strides, const dnnl_dims_t dilates, const dnnl_dims_t padding_l,
    const dnnl_dims_t padding_r) {
  static const auto real = find(dnnl_dilated_convolution_forward_desc_init,
                                "dnnl_dilated_convolution_forward_desc_init");
  return real(conv_desc, prop_kind, alg_kind, src_desc, weights_desc, bias_desc, dst_desc, strides,
              dilates, padding_l, padding_r);
}
dnnl_status_t dnnl_engine_create(dnnl_engine_t* engine, dnnl_engine_kind_t kind, size_t index) {
  static const auto real = find(dnnl_engine_create, "dnnl_engine_create");
  return real(engine, kind, index);
}
dnnl_status_t dnnl_engine_destroy(dnnl_engine_t engine) {
  static const auto real = find(dnnl_engine_destroy, "dnnl_engine_destroy");
  return real(engine);
}
dnnl_status_t dnnl_matmul_desc_init(dnnl_matmul_desc_t* matmul_desc,
                                    const dnnl_memory_desc_t* src_desc,
                                    const dnnl_memory_desc_t* weights_desc,
                                    const dnnl_memory_desc_t* bias_desc,
                                    const dnnl_memory_desc_t* dst_desc) {
  static const auto real = find(dnnl_matmul_desc_init, "dnnl_matmul_desc_init");
  return real(matmul_desc, src_desc, weights_desc, bias_desc, dst_desc);
}
dnnl_status_t dnnl_memory_create(dnnl_memory_t* memory, const dnnl_memory_desc_t* memory_desc,
                                 dnnl_engine_t engine, void* handle) {
  static const auto real = find(dnnl_memory_create, "dnnl_memory_create");
  return real(memory, memory_desc, engine, handle);
}
size_t dnnl_memory_desc_get_size(const dnnl_memory_desc_t* memory_desc) {
  static const auto real = find(dnnl_memory_desc_get_size, "dnnl_memory_desc_get_size");
  return real(memory_desc);
}
dnnl_status_t dnnl_memory_desc_init_by_strides(dnnl_memory_desc_t* memory_desc, int ndims,
                                               const dnnl_dims_t dims, dnnl_data_type_t data_type,
                                               const dnnl_dims_t strides) {
  static const auto real =
      find(dnnl_memory_desc_init_by_strides, "dnnl_memory_desc_init_by_strides");
  return real(memory_desc, ndims, dims, data_type, strides);
}
dnnl_status_t dnnl_memory_desc_init_by_tag(dnnl_memory_desc_t* memory_desc, int ndims,
                                           const dnnl_dims_t dims, dnnl_data_type_t data_type,
                                           dnnl_format_tag_t tag) {
  static const auto real = find(dnnl_memory_desc_init_by_tag, "dnnl_memory_desc_init_by_tag");
  return real(memory_desc, ndims, dims, data_type, tag);
}
dnnl_status_t dnnl_memory_destroy(dnnl_memory_t memory) {
  static const auto real = find(dnnl_memory_destroy, "dnnl_memory_destroy");
  return real(memory);
}
dnnl_status_t dnnl_memory_get_memory_desc(const_dnnl_memory_t memory,
                                          const dnnl_memory_desc_t** memory_desc) {
  static const auto real = find(dnnl_memory_get_memory_desc, "dnnl_memory_get_memory_desc");
  return real(memory, memory_desc);
}
dnnl_status_t dnnl_memory_set_data_handle_v2(dnnl_memory_t memory, void* handle,
                                             dnnl_stream_t stream) {
  static const auto real = find(dnnl_memory_set_data_handle_v2, "dnnl_memory_set_data_handle_v2");
  return real(memory, handle, stream);
}
dnnl_status_t dnnl_post_ops_append_eltwise(dnnl_post_ops_t post_ops, float scale,
                                           dnnl_alg_kind_t alg_kind, float alpha, float beta) {
  static const auto real = find(dnnl_post_ops_append_eltwise, "dnnl_post_ops_append_eltwise");
  return real(post_ops, scale, alg_kind, alpha, beta);
}
dnnl_status_t dnnl_post_ops_create(dnnl_post_ops_t* post_ops) {
  static const auto real = find(dnnl_post_ops_create, "dnnl_post_ops_create");
  return real(post_ops);
}
dnnl_status_t dnnl_post_ops_destroy(dnnl_post_ops_t post_ops) {
  static const auto real = find(dnnl_post_ops_destroy, "dnnl_post_ops_destroy");
  return real(post_ops);
}
dnnl_status_t dnnl_primitive_attr_create(dnnl_primitive_attr_t* attr) {
  static const auto real = find(dnnl_primitive_attr_create, "dnnl_primitive_attr_create");
  return real(attr);
}
dnnl_status_t dnnl_primitive_attr_destroy(dnnl_primitive_attr_t attr) {
  static const auto real = find(dnnl_primitive_attr_destroy, "dnnl_primitive_attr_destroy");
  return real(attr);
}
dnnl_status_t dnnl_primitive_attr_set_output_scales(dnnl_primitive_attr_t attr, dnnl_dim_t count,
                                                    int mask, const float* scales) {
  static const auto real =
      find(dnnl_primitive_attr_set_output_scales, "dnnl_primitive_attr_set_output_scales");
  return real(attr, count, mask, scales);
}
dnnl_status_t dnnl_primitive_attr_set_post_ops(dnnl_primitive_attr_t attr,
                                               const_dnnl_post_ops_t post_ops) {
  static const auto real =
      find(dnnl_primitive_attr_set_post_ops, "dnnl_primitive_attr_set_post_ops");
  return real(attr, post_ops);
}
dnnl_status_t dnnl_primitive_attr_set_scratchpad_mode(dnnl_primitive_attr_t attr,
                                                      dnnl_scratchpad_mode_t mode) {
  static const auto real =
      find(dnnl_primitive_attr_set_scratchpad_mode, "dnnl_primitive_attr_set_scratchpad_mode");
  return real(attr, mode);
}
dnnl_status_t dnnl_primitive_create(dnnl_primitive_t* primitive,
                                    const_dnnl_primitive_desc_t primitive_desc) {
  static const auto real = find(dnnl_primitive_create, "dnnl_primitive_create");
  return real(primitive, primitive_desc);
}
dnnl_status_t dnnl_primitive_desc_destroy(dnnl_primitive_desc_t primitive_desc) {
  static const auto real = find(dnnl_primitive_desc_destroy, "dnnl_primitive_desc_destroy");
  return real(primitive_desc);
}
dnnl_status_t dnnl_primitive_desc_iterator_create(
    dnnl_primitive_desc_iterator_t* iterator, const_dnnl_op_desc_t op_desc,
    const_dnnl_primitive_attr_t attr, dnnl_engine_t engine,
    const_dnnl_primitive_desc_t hint_forward_primitive_desc) {
  static const auto real =
      find(dnnl_primitive_desc_iterator_create, "dnnl_primitive_desc_iterator_create");
  return real(iterator, op_desc, attr, engine, hint_forward_primitive_desc);
}
dnnl_status_t dnnl_primitive_desc_iterator_destroy(dnnl_primitive_desc_iterator_t iterator) {
  static const auto real =
      find(dnnl_primitive_desc_iterator_destroy, "dnnl_primitive_desc_iterator_destroy");
  return real(iterator);
}
dnnl_primitive_desc_t dnnl_primitive_desc_iterator_fetch(
    const_dnnl_primitive_desc_iterator_t iterator) {
  static const auto real =
      find(dnnl_primitive_desc_iterator_fetch, "dnnl_primitive_desc_iterator_fetch");
  return real(iterator);
}
dnnl_status_t dnnl_primitive_desc_query(const_dnnl_primitive_desc_t primitive_desc,
                                        dnnl_query_t what, int index, void* result) {
  static const auto real = find(dnnl_primitive_desc_query, "dnnl_primitive_desc_query");
  return real(primitive_desc, what, index, result);
}
const dnnl_memory_desc_t* dnnl_primitive_desc_query_md(const_dnnl_primitive_desc_t primitive_desc,
                                                       dnnl_query_t what, int index) {
  static const auto real = find(dnnl_primitive_desc_query_md, "dnnl_primitive_desc_query_md");
  return real(primitive_desc, what, index);
}
dnnl_status_t dnnl_primitive_destroy(dnnl_primitive_t primitive) {
  static const auto real = find(dnnl_primitive_destroy, "dnnl_primitive_destroy");
  return real(primitive);
}
dnnl_status_t dnnl_primitive_execute(const_dnnl_primitive_t primitive, dnnl_stream_t stream,
                                     int nargs, const dnnl_exec_arg_t* args) {
  static const auto real = find(dnnl_primitive_execute, "dnnl_primitive_execute");
  return real(primitive, stream, nargs, args);
}
dnnl_status_t dnnl_reorder_primitive_desc_create(dnnl_primitive_desc_t* reorder_primitive_desc,
                                                 const dnnl_memory_desc_t* src_desc,
                                                 dnnl_engine_t src_engine,
                                                 const dnnl_memory_desc_t* dst_desc,
                                                 dnnl_engine_t dst_engine,
                                                 const_dnnl_primitive_attr_t attr) {
  static const auto real =
      find(dnnl_reorder_primitive_desc_create, "dnnl_reorder_primitive_desc_create");
  return real(reorder_primitive_desc, src_desc, src_engine, dst_desc, dst_engine, attr);
}
dnnl_status_t dnnl_sgemm(char transa, char transb, dnnl_dim_t m, dnnl_dim_t n, dnnl_dim_t k,
                         float alpha, const float* a, dnnl_dim_t lda, const float* b,
                         dnnl_dim_t ldb, float beta, float* c, dnnl_dim_t ldc) {
  static const auto real = find(dnnl_sgemm, "dnnl_sgemm");
  return real(transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
dnnl_status_t dnnl_stream_create(dnnl_stream_t* stream, dnnl_engine_t engine, unsigned flags) {
  static const auto real = find(dnnl_stream_create, "dnnl_stream_create");
  return real(stream, engine, flags);
}
dnnl_status_t dnnl_stream_destroy(dnnl_stream_t stream) {
  static const auto real = find(dnnl_stream_destroy, "dnnl_stream_destroy");
  return real(stream);
}

}  // extern "C"
