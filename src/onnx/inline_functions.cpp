#include "onnx/inline_functions.h"

#include <algorithm>
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

using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;
using Names = std::unordered_map<std::string, std::string>;

// Functions may call functions that call functions: a small file must not become a huge graph.
constexpr size_t kMaxNodes = 1 << 20;

// Fields of newer schemas than the installed one.
constexpr int kNodeOverload = 8;
constexpr int kFunctionDefaults = 11;
constexpr int kFunctionOverload = 13;

std::string own_domain(const std::string& domain) {
  return domain == "ai.onnx" ? std::string() : domain;
}

std::string field_of(const google::protobuf::MessageLite& message, int field) {
  const std::vector<std::string> all = length_delimited_fields(message, field);
  return all.empty() ? std::string() : all.back();
}

std::string key_of(const std::string& domain, const std::string& name,
                   const std::string& overload) {
  return own_domain(domain) + "::" + name + "::" + overload;
}

template <typename Imports>
int64_t own_opset(const Imports& imports) {
  int64_t opset = 0;
  for (const auto& import : imports) {
    if (own_domain(import.domain()).empty()) opset = std::max(opset, import.version());
  }
  return opset;
}

struct Function {
  onnx::FunctionProto proto;
  std::map<std::string, onnx::AttributeProto> defaults;
};

// The function's nodes at the opset of the model.
void raise(onnx::FunctionProto& function, int64_t to) {
  const int64_t from = own_opset(function.opset_import());
  if (from == to || from == 0 || to == 0) return;
  if (from > to) {
    fail(ErrorCode::unsupported, "function '{}' is of opset {}, the model of opset {}",
         function.name(), from, to);
  }
  onnx::GraphProto proto;
  proto.mutable_node()->Swap(function.mutable_node());
  for (const std::string& name : function.input()) proto.add_input()->set_name(name);
  for (const std::string& name : function.output()) proto.add_output()->set_name(name);
  const ModelContext context{.directory = {}, .opsets = {{"", from}}};
  Graph graph = GraphReader(context).read(proto);
  raise_opset(graph, static_cast<int>(to));
  onnx::GraphProto raised;
  write_graph(graph, raised, false);
  for (const auto& tensor : raised.initializer()) {  // what attributes became
    onnx::NodeProto& constant = *function.add_node();
    constant.set_op_type("Constant");
    constant.add_output(tensor.name());
    onnx::AttributeProto& value = *constant.add_attribute();
    value.set_name("value");
    value.set_type(onnx::AttributeProto::TENSOR);
    *value.mutable_t() = tensor;
  }
  function.mutable_node()->MergeFrom(raised.node());
}

class Inliner {
 public:
  explicit Inliner(onnx::ModelProto& model) : model_(model) {
    const int64_t opset = own_opset(model.opset_import());
    for (onnx::FunctionProto& proto : *model.mutable_functions()) {
      const std::string key =
          key_of(proto.domain(), proto.name(), field_of(proto, kFunctionOverload));
      Function& function = functions_[key];
      function.proto.Swap(&proto);
      names_of_functions_.insert(own_domain(function.proto.domain()) +
                                 "::" + function.proto.name());
      with_context([&] { return fmt::format("function '{}'", function.proto.name()); },
                   [&] { raise(function.proto, opset); });
      for (const std::string& bytes : length_delimited_fields(function.proto, kFunctionDefaults)) {
        onnx::AttributeProto attribute;
        if (!parse_proto(attribute, bytes)) fail(ErrorCode::invalid_model, "it is damaged");
        function.defaults[attribute.name()] = attribute;
      }
    }
    collect_names(model.graph());
  }

  void run() {
    inline_graph(*model_.mutable_graph());
    std::set<std::string> used;
    collect_domains(model_.graph(), used);
    import_domains(used);
    model_.clear_functions();
  }

 private:
  const Function* find(const onnx::NodeProto& node) const {
    if (!names_of_functions_.contains(own_domain(node.domain()) + "::" + node.op_type())) {
      return nullptr;
    }
    const auto found =
        functions_.find(key_of(node.domain(), node.op_type(), field_of(node, kNodeOverload)));
    return found == functions_.end() ? nullptr : &found->second;
  }

  void collect_names(const onnx::GraphProto& graph) {
    for (const auto& info : graph.input()) taken_.insert(info.name());
    for (const auto& tensor : graph.initializer()) taken_.insert(tensor.name());
    for (const auto& node : graph.node()) {
      for (const std::string& name : node.output()) taken_.insert(name);
      for (const auto& attribute : node.attribute()) {
        if (attribute.has_g()) collect_names(attribute.g());
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

  void inline_graph(onnx::GraphProto& graph) {
    Nodes nodes;
    nodes.Swap(graph.mutable_node());
    for (onnx::NodeProto& node : nodes) add(node, *graph.mutable_node());
  }

  void add(onnx::NodeProto& node, Nodes& out) {
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) inline_graph(*attribute.mutable_g());
    }
    const Function* function = find(node);
    if (function == nullptr) {
      if (++count_ > kMaxNodes) {
        fail(ErrorCode::unsupported, "the model's functions make more than {} nodes", kMaxNodes);
      }
      out.Add()->Swap(&node);
      return;
    }
    with_context(
        [&] {
          return fmt::format("node '{}' ({}::{})", node.name(), node.domain(), node.op_type());
        },
        [&] { expand(node, *function, out); });
  }

  void expand(const onnx::NodeProto& call, const Function& function, Nodes& out) {
    const onnx::FunctionProto& proto = function.proto;
    if (std::ranges::find(calls_, &function) != calls_.end()) {
      fail(ErrorCode::invalid_model, "the function calls itself");
    }
    if (call.input_size() > proto.input_size() || call.output_size() > proto.output_size()) {
      fail(ErrorCode::invalid_model, "the function has {} inputs and {} outputs",
           proto.input_size(), proto.output_size());
    }
    calls_.push_back(&function);
    const std::string stem = call.name().empty() ? call.op_type() : call.name();
    Names names;
    for (int i = 0; i < proto.input_size(); ++i) {
      names[proto.input(i)] = i < call.input_size() ? call.input(i) : std::string();
    }
    Nodes renames;  // outputs that are inputs, or outputs twice
    for (int i = 0; i < call.output_size(); ++i) {
      if (call.output(i).empty()) continue;
      if (names.try_emplace(proto.output(i), call.output(i)).second) continue;
      onnx::NodeProto& identity = *renames.Add();
      identity.set_op_type("Identity");
      identity.add_input(names[proto.output(i)]);
      identity.add_output(call.output(i));
    }
    define_outputs(proto.node(), names, stem);
    for (const onnx::NodeProto& original : proto.node()) {
      onnx::NodeProto node = original;
      node.set_name(stem + "/" + (node.name().empty() ? node.op_type() : node.name()));
      rename(node, names, stem);
      give_attributes(node, call, function);
      add(node, out);
    }
    for (onnx::NodeProto& identity : renames) out.Add()->Swap(&identity);
    calls_.pop_back();
  }

  // What refers to an attribute of the call becomes that attribute.
  void give_attributes(onnx::NodeProto& node, const onnx::NodeProto& call,
                       const Function& function) {
    google::protobuf::RepeatedPtrField<onnx::AttributeProto> attributes;
    attributes.Swap(node.mutable_attribute());
    for (onnx::AttributeProto& attribute : attributes) {
      const std::string& wanted = attribute.ref_attr_name();
      if (wanted.empty()) {
        if (attribute.has_g()) {
          for (onnx::NodeProto& inner : *attribute.mutable_g()->mutable_node()) {
            give_attributes(inner, call, function);
          }
        }
        node.add_attribute()->Swap(&attribute);
        continue;
      }
      const auto given = std::ranges::find(call.attribute(), wanted, &onnx::AttributeProto::name);
      const auto fallback = function.defaults.find(wanted);
      if (given == call.attribute().end() && fallback == function.defaults.end()) continue;
      onnx::AttributeProto& copy = *node.add_attribute();
      copy = given != call.attribute().end() ? *given : fallback->second;
      copy.set_name(attribute.name());
    }
  }

  void define_outputs(const Nodes& nodes, Names& names, const std::string& stem) {
    for (const onnx::NodeProto& node : nodes) {
      for (const std::string& name : node.output()) {
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

  void rename(onnx::NodeProto& node, const Names& names, const std::string& stem) {
    for (std::string& name : *node.mutable_input()) name = known(name, names);
    for (std::string& name : *node.mutable_output()) name = known(name, names);
    for (onnx::AttributeProto& attribute : *node.mutable_attribute()) {
      if (attribute.has_g()) rename(*attribute.mutable_g(), names, stem);
    }
  }

  // A body sees the names around it; its own hide them.
  void rename(onnx::GraphProto& graph, const Names& outer, const std::string& stem) {
    Names names = outer;
    const auto define = [&](std::string* name) {
      const std::string made = unique(stem + "/" + *name);
      names[*name] = made;
      *name = made;
    };
    std::set<std::string> listed;
    for (auto& info : *graph.mutable_input()) {
      listed.insert(info.name());
      define(info.mutable_name());
    }
    for (auto& tensor : *graph.mutable_initializer()) {
      if (listed.contains(tensor.name())) {
        tensor.set_name(names[tensor.name()]);
      } else {
        define(tensor.mutable_name());
      }
    }
    for (const onnx::NodeProto& node : graph.node()) {
      for (const std::string& name : node.output()) names.erase(name);
    }
    define_outputs(graph.node(), names, stem);
    for (onnx::NodeProto& node : *graph.mutable_node()) rename(node, names, stem);
    for (auto& info : *graph.mutable_output()) info.set_name(known(info.name(), names));
    graph.clear_value_info();  // names of what is inlined besides
  }

  static void collect_domains(const onnx::GraphProto& graph, std::set<std::string>& used) {
    for (const auto& node : graph.node()) {
      used.insert(own_domain(node.domain()));
      for (const auto& attribute : node.attribute()) {
        if (attribute.has_g()) collect_domains(attribute.g(), used);
      }
    }
  }

  // Domains of functions are no longer needed; those that only functions used, are.
  void import_domains(const std::set<std::string>& used) {
    google::protobuf::RepeatedPtrField<onnx::OperatorSetIdProto> imports;
    imports.Swap(model_.mutable_opset_import());
    std::set<std::string> imported, defined;
    for (const auto& [key, function] : functions_) {
      defined.insert(own_domain(function.proto.domain()));
    }
    for (auto& import : imports) {
      const std::string domain = own_domain(import.domain());
      if (!domain.empty() && defined.contains(domain) && !used.contains(domain)) continue;
      imported.insert(domain);
      model_.add_opset_import()->Swap(&import);
    }
    for (const auto& [key, function] : functions_) {
      for (const auto& import : function.proto.opset_import()) {
        const std::string domain = own_domain(import.domain());
        if (used.contains(domain) && imported.insert(domain).second) {
          *model_.add_opset_import() = import;
        }
      }
    }
  }

  onnx::ModelProto& model_;
  std::map<std::string, Function> functions_;  // by domain, name and overload
  std::set<std::string> names_of_functions_;
  std::unordered_set<std::string> taken_;
  std::unordered_map<std::string, size_t> suffixes_;
  std::vector<const Function*> calls_;
  size_t count_ = 0;
};

}  // namespace

void inline_functions(onnx::ModelProto& model) {
  if (model.functions_size() > 0) Inliner(model).run();
}

}  // namespace nibble
