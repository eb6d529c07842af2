#include "ops/support/onednn.h"

#include <algorithm>
#include <limits>

#include "ops/support/onednn_library.h"

namespace nibble::onednn {
namespace {

dnnl::stream& stream() {
  thread_local dnnl::stream of_this_thread(engine());
  return of_this_thread;
}

dnnl::memory::dims to_dims(std::span<const int64_t> dims) { return {dims.begin(), dims.end()}; }

}  // namespace

const dnnl::engine& engine() {
  require_library();
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

SingleThreaded::SingleThreaded() {
  require_library();
  before_ = get_threads();
  set_threads(1);
}
SingleThreaded::~SingleThreaded() { set_threads(before_); }

dnnl::memory::desc dense(std::span<const int64_t> dims) {
  std::vector<int64_t> strides(dims.size(), 1);
  for (size_t i = dims.size(); i > 1; --i) strides[i - 2] = strides[i - 1] * dims[i - 1];
  return strided(dims, strides);
}

dnnl::memory::desc strided(std::span<const int64_t> dims, std::span<const int64_t> strides) {
  return {to_dims(dims), dnnl::memory::data_type::f32, to_dims(strides)};
}

dnnl::memory::desc any_layout(std::span<const int64_t> dims) {
  return {to_dims(dims), dnnl::memory::data_type::f32, dnnl::memory::format_tag::any};
}

dnnl::primitive_attr attributes(const Clamp& clamp) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (!clamp.any()) return attributes;
  dnnl::post_ops post;
  if (clamp.is_relu()) {
    post.append_eltwise(1.0F, dnnl::algorithm::eltwise_relu, 0, 0);
  } else {
    constexpr float kMax = std::numeric_limits<float>::max();
    post.append_eltwise(1.0F, dnnl::algorithm::eltwise_clip, std::max(clamp.low, -kMax),
                        std::min(clamp.high, kMax));
  }
  attributes.set_post_ops(post);
  return attributes;
}

void Task::Arguments::add(int kind, const dnnl::memory::desc& desc) {
  memories.emplace_back(desc, engine(), static_cast<void*>(nullptr));
  handles.push_back(nullptr);
  table.push_back({kind, memories.back().get()});
}

size_t Task::add_argument(int kind, const dnnl::memory::desc& desc) {
  arguments_->add(kind, desc);
  return arguments_->table.size() - 1;
}

void Task::run_with(Arguments& arguments, std::span<void* const> buffers) const {
  const SingleThreaded alone;
  dnnl::stream& own = stream();
  for (size_t i = 0; i < arguments.memories.size(); ++i) {
    if (arguments.handles[i] == buffers[i]) continue;
    arguments.memories[i].set_data_handle(buffers[i], own);
    arguments.handles[i] = buffers[i];
  }
  dnnl::error::wrap_c_api(
      dnnl_primitive_execute(primitive_.get(), own.get(), static_cast<int>(arguments.table.size()),
                             arguments.table.data()),
      "could not execute a primitive");
}

void Task::run(std::span<void* const> buffers) const {
  if (!arguments_->taken.test_and_set(std::memory_order_acquire)) {
    run_with(*arguments_, buffers);
    arguments_->taken.clear(std::memory_order_release);
    return;
  }
  Arguments another;
  for (size_t i = 0; i < arguments_->memories.size(); ++i) {
    another.add(arguments_->table[i].arg, arguments_->memories[i].get_desc());
  }
  run_with(another, buffers);
}

Task reorder_task(const dnnl::memory::desc& from, const dnnl::memory::desc& to) {
  const SingleThreaded alone;
  Task task(dnnl::reorder(dnnl::reorder::primitive_desc(engine(), from, engine(), to)));
  task.add_argument(DNNL_ARG_FROM, from);
  task.add_argument(DNNL_ARG_TO, to);
  return task;
}

void reorder(const dnnl::memory::desc& from, const void* source, const dnnl::memory::desc& to,
             void* target) {
  const std::array<void*, 2> buffers = {const_cast<void*>(source), target};
  reorder_task(from, to).run(buffers);
}

}  // namespace nibble::onednn
