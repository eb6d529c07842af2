// Constants that several graphs of a model hold.
//
// Before: If {then_branch: Conv(%x, [1,2,3]), else_branch: Conv(%y, [1,2,3])}
// After:  If {then_branch: Conv(%x, %c), else_branch: Conv(%y, %c)}    captures %c = [1,2,3]
#include <algorithm>
#include <cstring>
#include <map>
#include <unordered_map>

#include "base/check.h"
#include "passes/every_graph.h"

namespace nibble {
namespace {

constexpr size_t kLeastBytes = 64;  // below, names cost more than they save

struct Holder {
  OpenGraph* scope = nullptr;
  ValueId value;
};

bool same_content(const Holder& a, const Holder& b) {
  const Value &x = a.scope->graph->value(a.value), &y = b.scope->graph->value(b.value);
  return x.type == y.type && x.data.dtype() == y.data.dtype() && x.data.shape() == y.data.shape() &&
         (x.data.raw() == y.data.raw() ||
          std::memcmp(x.data.raw(), y.data.raw(), x.data.bytes()) == 0);
}

std::vector<OpenGraph*> chain_of(OpenGraph* scope) {
  std::vector<OpenGraph*> chain;
  for (; scope != nullptr; scope = scope->outer) chain.push_back(scope);
  std::ranges::reverse(chain);
  return chain;  // the model's own graph first
}

OpenGraph* common_scope(const std::vector<Holder>& holders) {
  std::vector<OpenGraph*> common = chain_of(holders.front().scope);
  for (const Holder& holder : holders) {
    const std::vector<OpenGraph*> other = chain_of(holder.scope);
    size_t same = 0;
    while (same < common.size() && same < other.size() && common[same] == other[same]) ++same;
    common.resize(same);
  }
  return common.back();
}

class Sharer {
 public:
  explicit Sharer(Graph& graph) : open_(graph) {
    for (const auto& scope : open_.all()) {
      for (int32_t i = 0; i < scope->graph->value_count(); ++i) {
        ++taken_[scope->graph->value({i}).name];
      }
    }
  }

  int run() {
    int saved = 0;
    for (const std::vector<Holder>& holders : groups()) saved += share(holders);
    open_.close();
    return saved;
  }

 private:
  // Constants of the same content in more than one graph; outer ones first.
  std::vector<std::vector<Holder>> groups() const {
    std::map<size_t, std::vector<std::vector<Holder>>> by_size;
    for (const auto& scope : open_.all()) {
      const Graph& graph = *scope->graph;
      for (int32_t i = 0; i < graph.value_count(); ++i) {
        const Value& value = graph.value({i});
        if (!value.is_constant() || value.data.bytes() < kLeastBytes) continue;
        if (graph.is_output({i}) || graph.is_input({i}) || graph.consumers({i}).empty()) continue;
        std::vector<std::vector<Holder>>& all = by_size[value.data.bytes()];
        const Holder holder{scope.get(), {i}};
        const auto same = std::ranges::find_if(all, [&](const std::vector<Holder>& group) {
          return same_content(group.front(), holder);
        });
        if (same == all.end()) {
          all.push_back({holder});
        } else {
          same->push_back(holder);
        }
      }
    }
    std::vector<std::vector<Holder>> found;
    for (auto& [size, all] : by_size) {
      for (std::vector<Holder>& group : all) {
        const bool spread = std::ranges::any_of(
            group, [&](const Holder& holder) { return holder.scope != group.front().scope; });
        if (spread) found.push_back(std::move(group));
      }
    }
    return found;
  }

  int share(const std::vector<Holder>& holders) {
    OpenGraph* home = common_scope(holders);
    const Value first = holders.front().scope->graph->value(holders.front().value);
    const auto there = std::ranges::find(holders, home, &Holder::scope);
    Graph& graph = *home->graph;
    const ValueId kept =
        there != holders.end() ? there->value : graph.add_value(name_for(holders), first.type);
    if (there == holders.end()) {
      graph.value(kept).data = first.data;
      graph.notes.copy_storage(holders.front().scope->graph->notes, holders.front().value, kept);
    }
    const std::string name = graph.value(kept).name;
    int saved = there == holders.end() ? -1 : 0;
    for (const Holder& holder : holders) {
      if (holder.scope == home) continue;
      Graph& body = *holder.scope->graph;
      const std::string old = body.value(holder.value).name;
      body.value(holder.value).name.clear();
      const ValueId stand_in = capture(*holder.scope, home, kept, name);
      rename_in_bodies(*holder.scope, holder.value, old, name);
      body.replace_uses(holder.value, stand_in);
      body.value(holder.value).data = {};
      ++saved;
    }
    return saved;
  }

  // The first holder's name, where only those have it whose constant it is.
  std::string name_for(const std::vector<Holder>& holders) {
    const std::string& name = holders.front().scope->graph->value(holders.front().value).name;
    const auto own = std::ranges::count_if(holders, [&](const Holder& holder) {
      return holder.scope->graph->value(holder.value).name == name;
    });
    return taken_.at(name) == own ? name : fresh(name);
  }

  // Bodies of the scope's nodes that captured the value know it by another name.
  void rename_in_bodies(OpenGraph& scope, ValueId value, const std::string& from,
                        const std::string& to) {
    for (const auto& inner : open_.all()) {
      if (inner->outer != &scope) continue;
      const std::vector<ValueId>& captures = scope.graph->node(inner->owner).captures;
      if (std::ranges::find(captures, value) == captures.end()) continue;
      const auto known = inner->graph->find_value(from);
      if (!known || !is_free(*inner->graph, *known)) continue;
      rename_in_bodies(*inner, *known, from, to);
      inner->graph->value(*known).name = to;
    }
  }

  // The value of `scope` that stands for `kept` of `home`, captured by all owners in between.
  ValueId capture(OpenGraph& scope, OpenGraph* home, ValueId kept, const std::string& name) {
    const ValueId outer = scope.outer == home ? kept : capture(*scope.outer, home, kept, name);
    Node& owner = scope.outer->graph->node(scope.owner);
    if (std::ranges::find(owner.captures, outer) == owner.captures.end()) {
      owner.captures.push_back(outer);
    }
    Graph& body = *scope.graph;
    if (const auto known = body.find_value(name)) {
      if (is_free(body, *known)) return *known;
      const std::string other = fresh(name);
      rename_in_bodies(scope, *known, name, other);
      body.value(*known).name = other;
    }
    TensorType type = home->graph->value(kept).type;
    type.quant.reset();
    return body.add_value(name, std::move(type));
  }

  std::string fresh(const std::string& stem) {
    for (int suffix = 1;; ++suffix) {
      std::string name = fmt::format("{}_{}", stem, suffix);
      if (taken_.try_emplace(name, 1).second) return name;
    }
  }

  OpenGraphs open_;
  std::unordered_map<std::string, int> taken_;  // how many values have the name
};

}  // namespace

int share_constants_of_bodies(Graph& graph) { return Sharer(graph).run(); }

}  // namespace nibble
