// The training verbs, as libnibble calls them.
#include "train/backend.h"

#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/check.h"
#include "train/torch/kept_memory.h"
#include "train/torch/preparation.h"
#include "train/torch/rank_group.h"
#include "train/torch/reconstruction.h"
#include "train/torch/tensors.h"
#include "train/torch/trainer.h"

namespace nibble {
namespace {

/// libtorch's number of threads is as it was after training, which chooses its own.
class ThreadCount {
 public:
  ThreadCount() : before_(torch::get_num_threads()) {}
  ~ThreadCount() { torch::set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

torch::Device choose_device(Device device) {
  if (device == Device::cpu) return torch::kCPU;
  if (torch::cuda::is_available()) {
    // What cuBLAS asks for before it adds up in the same order each time; read when it first runs.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
    at::globalContext().setDeterministicCuDNN(true);
    at::globalContext().setBenchmarkCuDNN(false);
    at::globalContext().setDeterministicAlgorithms(true, true);
    // Codes times scales need all 24 bits of a real: TF32 would round them to 11.
    at::globalContext().setAllowTF32CuDNN(false);
    at::globalContext().setAllowTF32CuBLAS(false);
    return torch::kCUDA;
  }
  if (device == Device::best) return torch::kCPU;
  fail(ErrorCode::unsupported, "there is no CUDA device that the installed libtorch can use");
}

/// libtorch's errors as ours: their first line says what is wrong.
template <typename Body>
auto translated(Body&& body) {
  try {
    return body();
  } catch (const c10::Error& error) {
    std::string message = error.what_without_backtrace();
    message.resize(std::min(message.find('\n'), message.size()));
    fail(ErrorCode::invalid_model, "libtorch: {}", message);
  }
}

class TorchBackend final : public TrainBackend {
 public:
  TrainResult train(const Graph& graph, const Dataset& training, const Dataset& validation,
                    const TrainOptions& options) const override {
    return run(graph, nullptr, training, validation, options);
  }

  TrainResult train_quantized(const Graph& graph, const Graph* float_graph, const Dataset& training,
                              const Dataset& validation,
                              const TrainOptions& options) const override {
    return run(graph, float_graph, training, validation, options);
  }

  std::vector<Tensor> forward(const Graph& graph, std::span<const Tensor> inputs) const override {
    return translated([&] {
      const torch::NoGradGuard no_gradient;
      Network network(graph, {}, torch::kCPU);
      std::vector<torch::Tensor> arguments;
      for (const Tensor& input : inputs) arguments.push_back(to_torch(input));
      std::vector<Tensor> outputs;
      for (const auto& output : network.forward(arguments, graph.outputs, {})) {
        outputs.push_back(from_torch(output));
      }
      return outputs;
    });
  }

  bool runs(std::string_view op, std::string_view domain) const override {
    const bool branches = op == "If" && domain.empty();  // networks of their own
    return branches || find_torch_op(op, domain) != nullptr;
  }

  std::vector<Tensor> gradients(const Graph& graph, std::span<const Tensor> inputs,
                                std::span<const Tensor> upstream) const override {
    return translated([&] {
      Network network(graph, {}, torch::kCPU);
      std::vector<torch::Tensor> arguments;
      for (const Tensor& input : inputs) {
        arguments.push_back(to_torch(input).set_requires_grad(is_float(input.dtype())));
      }
      const std::vector<torch::Tensor> outputs = network.forward(arguments, graph.outputs, {});
      torch::Tensor total = torch::zeros({}, torch::kDouble);
      for (size_t i = 0; i < outputs.size(); ++i) {
        if (outputs[i].is_floating_point())
          total = total + (outputs[i] * to_torch(upstream[i])).sum();
      }
      if (total.requires_grad()) total.backward();
      std::vector<Tensor> gradients;
      for (const torch::Tensor& argument : arguments) {
        gradients.push_back(argument.grad().defined() ? from_torch(argument.grad()) : Tensor());
      }
      return gradients;
    });
  }

  FakeQuantized fake_quantize(const Tensor& input, const QuantParams& params,
                              const Tensor& upstream) const override {
    return translated([&] {
      const torch::Tensor x = to_torch(input).requires_grad_(true);
      const torch::Tensor scale = torch::tensor(params.scale).requires_grad_(true);
      const torch::Tensor output =
          nibble::fake_quantize(x, spread_groups(scale, params, x.sizes()),
                                clamp_range(params, x.sizes(), torch::kCPU), 1.0);
      output.backward(to_torch(upstream));
      return FakeQuantized{from_torch(output), from_torch(x.grad()), from_torch(scale.grad())};
    });
  }

  Graph reconstruct(const Graph& block, const Graph& real, const BlockToLearn& task,
                    const ReconstructionOptions& options) const override {
    return translated([&] {
      const ThreadCount restored;
      const KeptMemory kept;
      return reconstruct_block(block, real, task, options);
    });
  }

  std::shared_ptr<Ranks> join(const RankPlace& place) const override { return join_group(place); }

  std::string describe() const override {
    const bool cuda = torch::cuda::is_available();
    return fmt::format("libtorch {}.{}.{}, {}", TORCH_VERSION_MAJOR, TORCH_VERSION_MINOR,
                       TORCH_VERSION_PATCH, cuda ? "CPU and CUDA" : "CPU");
  }

 private:
  static TrainResult run(const Graph& graph, const Graph* float_graph, const Dataset& training,
                         const Dataset& validation, const TrainOptions& options) {
    return translated([&] {
      const torch::Device device = choose_device(options.device);
      // A network that is trained on from its codes has what was rounded to them in its teacher.
      const bool keeps_codes = float_graph == nullptr;
      const Network::Origin origin{keeps_codes ? options.teacher : float_graph, keeps_codes};
      // By labels a network learns with the statistics of its batches; a teacher's outputs are to
      // be met by the network as it will run, and what is tuned further is to stay near what it
      // was.
      const bool taught = learns_from_teacher(options.loss, training.classes() > 0);
      const auto use =
          taught || keeps_codes ? Network::Use::training : Network::Use::normalised_training;
      Network network(graph, origin, device, use, options.pair_orders);
      if (network.parameters().empty()) {
        fail(ErrorCode::invalid_model, "the network has no weights that could be trained");
      }
      std::optional<Network> teacher;
      if (options.teacher != nullptr && (taught || options.distill > 0)) {
        teacher.emplace(*options.teacher, Network::Origin{}, device, Network::Use::inference);
      }
      const ThreadCount restored;
      const KeptMemory kept;
      const TrainOptions settled =
          with_augmentation(teacher ? &*teacher : nullptr, training, options, device);
      start_norms(network, training, settled, device);
      return Trainer(network, teacher ? &*teacher : nullptr, training, validation, settled, device)
          .run();
    });
  }
};

}  // namespace
}  // namespace nibble

extern "C" const nibble::TrainBackend* nibble_train_backend(const char* version) {
  static const nibble::TorchBackend backend;
  return std::string_view(version) == NIBBLE_VERSION ? &backend : nullptr;
}
