#include "runtime/step_profile.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "ops/macs.h"
#include "ops/roles.h"
#include "passes/every_graph.h"
#include "runtime/subgraph.h"

namespace nibble {
namespace {

bool is_depthwise(const Graph& graph, const Node& node) {
  const Shape& weight = graph.value(weight_of(node)).type.shape;
  return node.attributes.integer("group", 1) > 1 && weight.rank() > 1 && weight.is_static() &&
         weight[weight_axes(node, weight).reduction] == 1;
}

StepKind kind_of(const Graph& graph, const Step& step) {
  if (step.node == nullptr) return StepKind::conversion;
  if (step.bodies) return StepKind::control;
  const Node& node = *step.node;
  if (is_recurrent(node)) return StepKind::recurrent;
  if (is_head_attention(node)) return StepKind::product;
  if (node.op == "Transpose") return StepKind::layout;
  const OpRow* row = find_op(node.op, node.domain);
  if (row == nullptr) return StepKind::elementwise;
  if (row->weights && !row->weights.stored) {
    if (row->weights.matrix) return StepKind::product;
    return is_depthwise(graph, node) ? StepKind::depthwise : StepKind::convolution;
  }
  if (node.op.find("Pool") != std::string::npos) return StepKind::pooling;
  return row->quant == QuantRole::same_codes ? StepKind::movement : StepKind::elementwise;
}

std::optional<uint64_t> bytes_of(const Slot& slot) {
  if (!slot.type.shape.is_static()) return std::nullopt;
  return slot.bytes();
}

// Of operands as they lie in memory.
void count_bytes(const Executable& executable, const Step& step, StepProfile& line) {
  if (step.bodies) return;  // the steps inside count theirs
  uint64_t weights = step.kernel ? step.kernel->constant_bytes() : 0, read = 0, written = 0;
  const auto slot = [&](int index) -> const Slot& {
    return executable.slots[static_cast<size_t>(index)];
  };
  for (const int index : step.outputs) {
    if (index < 0) continue;
    const auto bytes = bytes_of(slot(index));
    if (!bytes) return;
    written += *bytes;
  }
  for (const int index : step.inputs) {
    if (index < 0) continue;
    const auto bytes = bytes_of(slot(index));
    if (!bytes) return;
    (slot(index).home == Slot::Home::constant ? weights : read) += *bytes;
  }
  if (line.kind == StepKind::movement) {
    weights = std::min(weights, written);
    read = std::min(read, written);
  }
  line.weight_bytes = weights;
  line.read_bytes = read;
  line.written_bytes = written;
}

std::string result_of(const Executable& executable, const Step& step) {
  if (step.outputs.empty() || step.outputs[0] < 0) return {};
  const Slot& slot = executable.slots[static_cast<size_t>(step.outputs[0])];
  return std::string(name_of(slot.stored())) + slot.type.shape.to_string();
}

bool gives_reals(const Executable& executable, const Step& step) {
  if (step.outputs.empty() || step.outputs[0] < 0) return true;
  return is_float(executable.slots[static_cast<size_t>(step.outputs[0])].type.dtype);
}

int64_t macs_of(const Executable& executable, const Step& step) {
  return step.node == nullptr ? 0 : count_macs(executable.graph, *step.node).value_or(0);
}

void add_seconds(const std::vector<StepRun>& runs, double sign, std::vector<double>& seconds) {
  for (const StepRun& one : runs) {
    const auto at = static_cast<size_t>(one.run);
    if (seconds.size() <= at) seconds.resize(at + 1);
    seconds[at] += sign * (one.end_s - one.begin_s);
  }
}

class Lines {
 public:
  void add(const Executable& executable, const std::string& path) {
    for (const Step& step : executable.steps) {
      if (!step.kernel && step.row == nullptr) continue;  // a view costs nothing
      const size_t at = lines_.size();
      lines_.push_back(line_of(executable, step, path));
      add_seconds(step.runs, 1, lines_[at].run_seconds);
      if (step.bodies) add_bodies(step, path, at);
      for (double& seconds : lines_[at].run_seconds) {
        seconds = std::max(0.0, seconds);
        lines_[at].seconds += seconds;
      }
    }
  }
  std::vector<StepProfile> take() { return std::move(lines_); }

 private:
  // Their time is not their owner's.
  void add_bodies(const Step& step, const std::string& path, size_t owner) {
    for (const BodyRunner::Body* body : step.bodies->that_ran()) {
      for (const Step& inner : body->executable->steps) {
        add_seconds(inner.runs, -1, lines_[owner].run_seconds);
      }
      add(*body->executable, body_path(path, *step.node, body->attribute));
    }
  }

  static StepProfile line_of(const Executable& executable, const Step& step,
                             const std::string& path) {
    StepProfile line{
        .node = path + (step.node != nullptr ? step.node->name : step.conversion->name),
        .op = step.node != nullptr ? step.node->op : std::string(step.conversion->op()),
        .kernel = step.kernel ? step.kernel->describe() : "eval",
        .refused = {},
        .kind = kind_of(executable.graph, step)};
    for (const Refusal& refusal : step.refusals) {
      line.refused.push_back(fmt::format("{}: {}", refusal.kernel, refusal.reason));
    }
    line.macs = macs_of(executable, step);
    if (step.kernel) line.arithmetic = step.kernel->multiplies();
    if (line.macs == 0 && line.kind != StepKind::recurrent) {
      line.arithmetic = step.integer                    ? DType::i8
                        : gives_reals(executable, step) ? DType::f32
                                                        : DType::i64;
    }
    line.result = result_of(executable, step);
    count_bytes(executable, step, line);
    line.runs = step.runs;
    return line;
  }

  std::vector<StepProfile> lines_;
};

}  // namespace

std::string_view name_of(StepKind kind) {
  static constexpr std::array<std::string_view, 10> kNames = {
      "convolution",  "depthwise convolution", "matrix product", "recurrent layer", "pooling",
      "element-wise", "data movement",         "layout change",  "conversion",      "control flow"};
  return kNames.at(static_cast<size_t>(kind));
}

std::vector<StepProfile> profile_of(const Executable& executable) {
  Lines lines;
  lines.add(executable, "");
  return lines.take();
}

void forget_times(Executable& executable) {
  for (Step& step : executable.steps) {
    step.runs.clear();
    if (!step.bodies) continue;
    for (const BodyRunner::Body& body : step.bodies->bodies()) forget_times(*body.executable);
  }
}

}  // namespace nibble
