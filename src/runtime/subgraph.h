// Bodies of If, Loop and Scan: compiled for the input types they meet, and kept.
#pragma once

#include <list>
#include <string>

#include "runtime/executable.h"

namespace nibble {

class BodyRunner : public SubgraphRunner {
 public:
  /// `owner` holds the captured values (captures: its slots, parallel to node.captures).
  BodyRunner(const Executable& owner, const Node& node, std::vector<int> captures,
             const CompileOptions& options, ThreadPool& pool)
      : owner_(owner),
        node_(node),
        captures_(std::move(captures)),
        options_(options),
        pool_(pool) {}

  /// For a twin of the owner. Nothing is compiled yet.
  std::shared_ptr<BodyRunner> twin(const Executable& owner) const {
    return std::make_shared<BodyRunner>(owner, node_, captures_, options_, pool_);
  }

  /// The results are the caller's own.
  std::vector<Tensor> run(std::string_view attribute, std::span<const Tensor> inputs) override;

  struct Body {
    std::string attribute;
    std::vector<TensorType> types;  // of all inputs, captured ones last
    std::vector<int> captured;      // slots of the owner that are further inputs
    std::unique_ptr<Executable> executable;
  };
  /// Those compiled so far, most recently used first.
  const std::list<Body>& bodies() const { return bodies_; }
  /// Of each body the one that ran last.
  std::vector<const Body*> that_ran() const;

 private:
  Body& find(std::string_view attribute, std::span<const Tensor> inputs);
  Graph specialise(std::string_view attribute, std::span<const Tensor> inputs, Body& body) const;

  const Executable& owner_;
  const Node& node_;
  std::vector<int> captures_;
  CompileOptions options_;
  ThreadPool& pool_;
  std::list<Body> bodies_;  // most recently used first
};

}  // namespace nibble
