#include "onnx/inline_functions.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include "base/check.h"
#include "onnx/export_graph.h"
#include "onnx/import_graph.h"
#include "onnx/raise_opset.h"

namespace nibble {
namespace {

using Nodes = std::vector<schema::NodeProto>;
using Names = std::unordered_map<std::string, std::string>;

// Functions may call functions that call functions: a small file must not become a huge graph.
constexpr size_t kMaxNodes = 1 << 20;

std::string own_domain(const std::string& domain) {
  return domain == "ai.onnx" ? std::string() : domain;
}

std::string key_of(const std::string& domain, const std::string& name,
                   const std::string& overload) {
  return own_domain(domain) + "::" + name + "::" + overload;
}

template <typename Imports>
int64_t own_opset(const Imports& imports) {
  int64_t opset = 0;
  for (const auto& import : imports) {
    if (own_domain(*import.domain).empty()) opset = std::max(opset, *import.version);
  }
  return opset;
}

struct Function {
  schema::FunctionProto proto;
  std::map<std::string, schema::AttributeProto> defaults;
};

// The function's nodes at the opset of the model.
void raise(schema::FunctionProto& function, int64_t to) {
  const int64_t from = own_opset(function.opset_import);
  if (from == to || from == 0 || to == 0) return;
  if (from > to) {
    fail(ErrorCode::unsupported, "function '{}' is of opset {}, the model of opset {}",
         *function.name, from, to);
  }
  schema::GraphProto proto;
  proto.node.swap(function.node);
  for (const std::string& name : function.input) proto.input.emplace_back().name = name;
  for (const std::string& name : function.output) proto.output.emplace_back().name = name;
  const ModelContext context{.directory = {}, .opsets = {{"", from}}};
  Graph graph = GraphReader(context).read(proto);
  raise_opset(graph, static_cast<int>(to));
  schema::GraphProto raised;
  write_graph(graph, raised, false);
  for (const auto& tensor : raised.initializer) {  // what attributes became
    schema::NodeProto& constant = function.node.emplace_back();
    constant.op_type = "Constant";
    constant.output.push_back(*tensor.name);
    schema::AttributeProto& value = constant.attribute.emplace_back();
    value.name = "value";
    value.type = schema::AttributeProto::TENSOR;
    value.t.edit() = tensor;
  }
  std::ranges::move(raised.node, std::back_inserter(function.node));
}

class Inliner {
 public:
  explicit Inliner(schema::ModelProto& model) : model_(model) {
    const int64_t opset = own_opset(model.opset_import);
    for (schema::FunctionProto& proto : model.functions) {
      const std::string key = key_of(*proto.domain, *proto.name, *proto.overload);
      Function& function = functions_[key];
      function.proto = std::move(proto);
      names_of_functions_.insert(own_domain(*function.proto.domain) + "::" + *function.proto.name);
      with_context([&] { return fmt::format("function '{}'", *function.proto.name); },
                   [&] { raise(function.proto, opset); });
      for (const schema::AttributeProto& attribute : function.proto.attribute_proto) {
        function.defaults[*attribute.name] = attribute;
      }
    }
    collect_names(*model.graph);
  }

  void run() {
    inline_graph(model_.graph.edit());
    std::set<std::string> used;
    collect_domains(*model_.graph, used);
    import_domains(used);
    model_.functions.clear();
  }

 private:
  const Function* find(const schema::NodeProto& node) const {
    if (!names_of_functions_.contains(own_domain(*node.domain) + "::" + *node.op_type)) {
      return nullptr;
    }
    const auto found = functions_.find(key_of(*node.domain, *node.op_type, *node.overload));
    return found == functions_.end() ? nullptr : &found->second;
  }

  void collect_names(const schema::GraphProto& graph) {
    for (const auto& info : graph.input) taken_.insert(*info.name);
    for (const auto& tensor : graph.initializer) taken_.insert(*tensor.name);
    for (const auto& node : graph.node) {
      for (const std::string& name : node.output) taken_.insert(name);
      for (const auto& attribute : node.attribute) {
        if (attribute.g.has()) collect_names(*attribute.g);
      }
    }
  }

  std::string unique(const std::string& stem) {
    if (taken_.insert(stem).second) return stem;
    size_t& suffix = suffixes_[stem];
    std::string name;
    do {
      name = fmt::format("{}_{}", stem, ++suffix);
    } while (!taken_.insert(name).second);
    return name;
  }

  void inline_graph(schema::GraphProto& graph) {
    Nodes nodes;
    nodes.swap(graph.node);
    for (schema::NodeProto& node : nodes) add(node, graph.node);
  }

  void add(schema::NodeProto& node, Nodes& out) {
    for (schema::AttributeProto& attribute : node.attribute) {
      if (attribute.g.has()) inline_graph(attribute.g.edit());
    }
    const Function* function = find(node);
    if (function == nullptr) {
      if (++count_ > kMaxNodes) {
        fail(ErrorCode::unsupported, "the model's functions make more than {} nodes", kMaxNodes);
      }
      out.push_back(std::move(node));
      return;
    }
    with_context(
        [&] { return fmt::format("node '{}' ({}::{})", *node.name, *node.domain, *node.op_type); },
        [&] { expand(node, *function, out); });
  }

  void expand(const schema::NodeProto& call, const Function& function, Nodes& out) {
    const schema::FunctionProto& proto = function.proto;
    if (std::ranges::find(calls_, &function) != calls_.end()) {
      fail(ErrorCode::invalid_model, "the function calls itself");
    }
    if (call.input.size() > proto.input.size() || call.output.size() > proto.output.size()) {
      fail(ErrorCode::invalid_model, "the function has {} inputs and {} outputs",
           proto.input.size(), proto.output.size());
    }
    calls_.push_back(&function);
    const std::string stem = call.name->empty() ? *call.op_type : *call.name;
    Names names;
    for (size_t i = 0; i < proto.input.size(); ++i) {
      names[proto.input[i]] = i < call.input.size() ? call.input[i] : std::string();
    }
    Nodes renames;  // outputs that are inputs, or outputs twice
    for (size_t i = 0; i < call.output.size(); ++i) {
      if (call.output[i].empty()) continue;
      if (names.try_emplace(proto.output[i], call.output[i]).second) continue;
      schema::NodeProto& identity = renames.emplace_back();
      identity.op_type = "Identity";
      identity.input.push_back(names[proto.output[i]]);
      identity.output.push_back(call.output[i]);
    }
    define_outputs(proto.node, names, stem);
    for (const schema::NodeProto& original : proto.node) {
      schema::NodeProto node = original;
      node.name = stem + "/" + (node.name->empty() ? *node.op_type : *node.name);
      rename(node, names, stem);
      give_attributes(node, call, function);
      add(node, out);
    }
    std::ranges::move(renames, std::back_inserter(out));
    calls_.pop_back();
  }

  // What refers to an attribute of the call becomes that attribute.
  void give_attributes(schema::NodeProto& node, const schema::NodeProto& call,
                       const Function& function) {
    std::vector<schema::AttributeProto> attributes;
    attributes.swap(node.attribute);
    for (schema::AttributeProto& attribute : attributes) {
      const std::string& wanted = *attribute.ref_attr_name;
      if (wanted.empty()) {
        if (attribute.g.has()) {
          for (schema::NodeProto& inner : attribute.g.edit().node) {
            give_attributes(inner, call, function);
          }
        }
        node.attribute.push_back(std::move(attribute));
        continue;
      }
      const auto given = find_attribute(call.attribute, wanted);
      const auto fallback = function.defaults.find(wanted);
      if (given == call.attribute.end() && fallback == function.defaults.end()) continue;
      schema::AttributeProto& copy = node.attribute.emplace_back();
      copy = given != call.attribute.end() ? *given : fallback->second;
      copy.name = *attribute.name;
    }
  }

  void define_outputs(const Nodes& nodes, Names& names, const std::string& stem) {
    for (const schema::NodeProto& node : nodes) {
      for (const std::string& name : node.output) {
        const auto [entry, is_new] = names.try_emplace(name);
        if (is_new && !name.empty()) entry->second = unique(stem + "/" + name);
      }
    }
  }

  // A function sees nothing of the graph around it.
  static std::string known(const std::string& name, const Names& names) {
    if (name.empty()) return name;
    const auto found = names.find(name);
    if (found == names.end()) {
      fail(ErrorCode::invalid_model, "the function reads '{}', which nothing computes", name);
    }
    return found->second;
  }

  void rename(schema::NodeProto& node, const Names& names, const std::string& stem) {
    for (std::string& name : node.input) name = known(name, names);
    for (std::string& name : node.output) name = known(name, names);
    for (schema::AttributeProto& attribute : node.attribute) {
      if (attribute.g.has()) rename(attribute.g.edit(), names, stem);
    }
  }

  // A body sees the names around it; its own hide them.
  void rename(schema::GraphProto& graph, const Names& outer, const std::string& stem) {
    Names names = outer;
    const auto define = [&](schema::Maybe<std::string>& name) {
      const std::string made = unique(stem + "/" + *name);
      names[*name] = made;
      name = made;
    };
    std::set<std::string> listed;
    for (auto& info : graph.input) {
      listed.insert(*info.name);
      define(info.name);
    }
    for (auto& tensor : graph.initializer) {
      if (listed.contains(*tensor.name)) {
        tensor.name = names[*tensor.name];
      } else {
        define(tensor.name);
      }
    }
    for (const schema::NodeProto& node : graph.node) {
      for (const std::string& name : node.output) names.erase(name);
    }
    define_outputs(graph.node, names, stem);
    for (schema::NodeProto& node : graph.node) rename(node, names, stem);
    for (auto& info : graph.output) info.name = known(*info.name, names);
    graph.value_info.clear();  // names of what is inlined besides
  }

  static void collect_domains(const schema::GraphProto& graph, std::set<std::string>& used) {
    for (const auto& node : graph.node) {
      used.insert(own_domain(*node.domain));
      for (const auto& attribute : node.attribute) {
        if (attribute.g.has()) collect_domains(*attribute.g, used);
      }
    }
  }

  // Domains of functions are no longer needed; those that only functions used, are.
  void import_domains(const std::set<std::string>& used) {
    std::vector<schema::OperatorSetIdProto> imports;
    imports.swap(model_.opset_import);
    std::set<std::string> imported, defined;
    for (const auto& [key, function] : functions_) {
      defined.insert(own_domain(*function.proto.domain));
    }
    for (auto& import : imports) {
      const std::string domain = own_domain(*import.domain);
      if (!domain.empty() && defined.contains(domain) && !used.contains(domain)) continue;
      imported.insert(domain);
      model_.opset_import.push_back(std::move(import));
    }
    for (const auto& [key, function] : functions_) {
      for (const auto& import : function.proto.opset_import) {
        const std::string domain = own_domain(*import.domain);
        if (used.contains(domain) && imported.insert(domain).second) {
          model_.opset_import.push_back(import);
        }
      }
    }
  }

  schema::ModelProto& model_;
  std::map<std::string, Function> functions_;  // by domain, name and overload
  std::set<std::string> names_of_functions_;
  std::unordered_set<std::string> taken_;
  std::unordered_map<std::string, size_t> suffixes_;
  std::vector<const Function*> calls_;
  size_t count_ = 0;
};

}  // namespace

void inline_functions(schema::ModelProto& model) {
  if (!model.functions.empty()) Inliner(model).run();
}

}  // namespace nibble
