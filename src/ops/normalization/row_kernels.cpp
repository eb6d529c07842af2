#include "ops/normalization/row_kernels.h"

#include <algorithm>
#include <optional>

#include "ops/support/axes.h"
#include "ops/support/compute.h"
#include "ops/support/row_sink.h"

namespace nibble {
namespace {

// Rows of `length` contiguous numbers, and the memory of each thread's rows.
struct Rows {
  int64_t count = 0, length = 0;

  int64_t grain() const { return std::max<int64_t>(1, kCostlyGrain / length); }
  int64_t parts() const { return (count + grain() - 1) / grain(); }
  int64_t first(int64_t part) const { return count * part / parts(); }
  size_t bytes() const { return (static_cast<size_t>(length) * sizeof(float) + 63) / 64 * 64; }

  /// body(first row, last row, two rows of memory) for parts of them at a time.
  template <typename Body>
  void walk(EvalContext& context, const Body& body) const {
    context.pool.parallel_for(parts(), [&](int64_t part) {
      auto* memory =
          static_cast<std::byte*>(context.workspace) + static_cast<size_t>(part) * 2 * bytes();
      body(first(part), first(part + 1), reinterpret_cast<float*>(memory),
           reinterpret_cast<float*>(memory + bytes()));
    });
  }
  size_t workspace_bytes() const { return static_cast<size_t>(parts()) * 2 * bytes(); }
};

// Softmax is along trailing axes: since opset 13 along one, before that along all from it on.
std::optional<int> first_axis(const NodeTypes& types) {
  const int rank = types.shape(0).rank();
  if (rank == 0) return std::nullopt;
  const bool one_axis = types.opset >= 13;
  const int64_t given = types.node.attributes.integer("axis", one_axis ? -1 : 1);
  if (!one_axis && given == rank) return std::nullopt;
  const int axis = normalize_axis(given, rank);
  return !one_axis || axis == rank - 1 ? std::optional(axis) : std::nullopt;
}

class SoftmaxRows : public Kernel {
 public:
  SoftmaxRows(const KernelSpec& spec, const Rows& rows) : rows_(rows), sink_(spec) {}

  void run(EvalContext& context) const override {
    const float* in = context.input(0).data<float>().data();
    void* out = sink_.open(context);
    rows_.walk(context, [&](int64_t first, int64_t last, float* memory, float*) {
      for (int64_t row = first; row < last; ++row) {
        const int64_t at = row * rows_.length;
        float* result = sink_.place(out, at, memory);
        const double sum = reals_.exponentials(in + at, result, rows_.length);
        reals_.scale(result, static_cast<float>(1 / sum), result, rows_.length);
        sink_.store(result, out, at, rows_.length);
      }
    });
  }
  size_t workspace_bytes() const override { return rows_.workspace_bytes(); }
  bool in_place(size_t) const override { return !sink_.gives_codes(); }
  std::string describe() const override {
    return fmt::format("softmax f32{} {}", sink_.gives_codes() ? " to u8" : "", name_of(isa_));
  }

 private:
  Rows rows_;
  RowSink sink_;
  const RealRows& reals_ = isa_row(best_isa()).reals();
  Isa isa_ = best_isa();
};

// Inputs: the data, what is added to them (reals or codes) if kAdds, gain, bias if there is one.
// Outputs: the normalized rows; the sums, in reals, if they are wanted.
template <bool kAdds>
class LayerNormRows : public Kernel {
 public:
  LayerNormRows(const KernelSpec& spec, const Rows& rows)
      : rows_(rows),
        sink_(spec),
        epsilon_(static_cast<double>(spec.types.node.attributes.real("epsilon", 1e-5F))),
        has_bias_(spec.types.has(kGain + 1)) {
    if (kAdds && spec.grid(1) != nullptr) addend_ = *spec.grid(1);
  }

  void run(EvalContext& context) const override {
    const float* in = context.input(0).data<float>().data();
    const float* gain = context.input(kGain).data<float>().data();
    const float* bias = has_bias_ ? context.input(kGain + 1).data<float>().data() : nullptr;
    void* out = sink_.open(context);
    float* sums = nullptr;
    if (kAdds && context.wants(1)) {
      sums = context.output(1, DType::f32, sink_.shape()).data<float>().data();
    }
    const int64_t length = rows_.length;
    rows_.walk(context, [&](int64_t first, int64_t last, float* memory, float* more) {
      for (int64_t row = first; row < last; ++row) {
        const int64_t at = row * length;
        const float* from = in + at;
        if constexpr (kAdds) {
          float* sum = sums != nullptr ? sums + at : memory;
          reals_.add(from, addend(context.input(1), at, more), sum, length);
          from = sum;
        }
        float* result = sink_.place(out, at, more);
        reals_.normalize(from, gain, bias, epsilon_, result, length);
        sink_.store(result, out, at, length);
      }
    });
  }
  size_t workspace_bytes() const override { return rows_.workspace_bytes(); }
  bool in_place(size_t i) const override { return i == 0 && !sink_.gives_codes(); }
  std::string describe() const override {
    return fmt::format("{}layer norm f32{} {}", kAdds ? "sum, " : "",
                       sink_.gives_codes() ? " to u8" : "", name_of(isa_));
  }

 private:
  static constexpr size_t kGain = kAdds ? 2 : 1;

  // A row of what is added, in reals.
  const float* addend(const Tensor& tensor, int64_t at, float* memory) const {
    if (!addend_) return tensor.data<float>().data() + at;
    codes_.dequantize(addend_->scale[0], addend_->zero_point[0], tensor.data<uint8_t>().data() + at,
                      memory, rows_.length);
    return memory;
  }

  Rows rows_;
  RowSink sink_;
  double epsilon_;
  bool has_bias_;
  std::optional<QuantParams> addend_;
  const RealRows& reals_ = isa_row(best_isa()).reals();
  const RowKernels& codes_ = isa_row(best_isa()).rows();
  Isa isa_ = best_isa();
};

// The rows that are normalized; nullopt, with the reason left in spec, if the parameters are spread
// over them.
std::optional<Rows> rows_of(const KernelSpec& spec, size_t gain) {
  const NodeTypes& types = spec.types;
  const Shape& shape = types.shape(0);
  const int axis = normalize_axis(types.node.attributes.integer("axis", -1), shape.rank());
  const Rows rows{shape.elements(0, axis), shape.elements(axis, shape.rank())};
  for (size_t i = gain; i < types.input_count(); ++i) {
    if (!types.has(i)) continue;
    if (types.input(i).dtype == DType::f32 && types.shape(i).elements() == rows.length) continue;
    spec.refuse("gain and bias are not one f32 for each element of a row");
    return std::nullopt;
  }
  if (types.input(0).dtype == DType::f32 && rows.count * rows.length > 0) return rows;
  spec.refuse("its data are not f32, or empty");
  return std::nullopt;
}

}  // namespace

std::unique_ptr<Kernel> softmax_rows(const KernelSpec& spec) {
  const Shape& shape = spec.types.shape(0);
  const auto axis = first_axis(spec.types);
  if (!axis) return spec.refuse("its rows do not lie together");
  const Rows rows{shape.elements(0, *axis), shape.elements(*axis, shape.rank())};
  if (spec.types.input(0).dtype != DType::f32 || rows.count * rows.length == 0) {
    return spec.refuse("its data are not f32, or empty");
  }
  return std::make_unique<SoftmaxRows>(spec, rows);
}

std::unique_ptr<Kernel> layer_norm_rows(const KernelSpec& spec) {
  if (spec.types.node.output(1) || spec.types.node.output(2)) {
    return spec.refuse("its statistics are wanted too");
  }
  const auto rows = rows_of(spec, 1);
  return rows ? std::make_unique<LayerNormRows<false>>(spec, *rows) : nullptr;
}

std::unique_ptr<Kernel> add_layer_norm_rows(const KernelSpec& spec) {
  const auto rows = rows_of(spec, 2);
  if (!rows) return nullptr;
  if (!(spec.types.shape(0) == spec.types.shape(1))) return spec.refuse("it adds by broadcasting");
  if (spec.output_grid(1) != nullptr) return spec.refuse("its sums are rounded");
  if (const QuantParams* grid = spec.grid(1); grid != nullptr && grid->storage != DType::u8) {
    return spec.refuse("what is added has no codes of 8 unsigned bits");
  }
  return std::make_unique<LayerNormRows<true>>(spec, *rows);
}

}  // namespace nibble
