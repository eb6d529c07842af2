// nibble ops: the operators Nibble has, and what can be quantized and trained; from the op table.
#include <algorithm>

#include "base/check.h"
#include "base/text.h"
#include "cli/command.h"
#include "onnx/expand/expand.h"
#include "ops/op.h"
#include "ops/require_ops.h"
#include "quant/node_plan.h"
#include "report/table.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string name;
  CommonOptions common;
};

bool is_called(std::string_view name, std::string_view op, std::string_view domain) {
  return name.empty() || edit_distance(name, op) == 0 ||
         edit_distance(name, full_op_name(op, domain)) == 0;
}

// Those that become others when a model is read.
std::vector<const ExpansionRow*> find_expansions(const std::string& name) {
  std::vector<const ExpansionRow*> rows;
  for (const ExpansionRow& row : expansion_table()) {
    if (is_called(name, row.op, row.domain)) rows.push_back(&row);
  }
  return rows;
}

// All but those that exist only between compile and run; or those called `name`.
std::vector<const OpRow*> find_rows(const std::string& name) {
  std::vector<const OpRow*> rows;
  for (const OpRow& row : op_table()) {
    if (row.domain != "nibble" && is_called(name, row.name, row.domain)) rows.push_back(&row);
  }
  if (!rows.empty() || !find_expansions(name).empty()) return rows;
  std::vector<std::string> names = nearest_ops(name);
  for (const ExpansionRow& row : expansion_table()) {
    names.push_back(full_op_name(row.op, row.domain));
  }
  fail(ErrorCode::invalid_argument, "Nibble does not have the operator '{}'{}", name,
       did_you_mean(name, names));
}

std::string range_text(int least, int most) {
  if (most < 0) return fmt::format("{} or more", least);
  return most == least ? std::to_string(least) : fmt::format("{} to {}", least, most);
}

Json to_json(const OpRow& row) {
  return {{"op", row.name},
          {"domain", row.domain},
          {"inputs", {{"min", row.min_inputs}, {"max", row.max_inputs}}},
          {"outputs", {{"min", row.min_outputs}, {"max", row.max_outputs}}},
          {"quantized", can_be_quantized(row)},
          {"quantized_how", describe(row)},
          {"trained", row.gradient == Gradient::autograd}};
}

void print_table(const std::vector<const OpRow*>& rows) {
  Table table({{"operator"}, {"inputs"}, {"outputs"}, {"trained"}, {"quantized"}});
  const auto count = [&](auto&& test) { return std::ranges::count_if(rows, test); };
  for (const OpRow* row : rows) {
    table.add_row({full_op_name(row->name, row->domain),
                   range_text(row->min_inputs, row->max_inputs),
                   range_text(row->min_outputs, row->max_outputs),
                   row->gradient == Gradient::autograd ? "yes" : "no",
                   fmt::format("{}: {}", can_be_quantized(*row) ? "yes" : "no", describe(*row))});
  }
  tell("{}", table.to_string(output_columns()));
  if (rows.size() > 1) {
    tell("{} operators; {} can be quantized, {} trained.\n", rows.size(),
         count([](const OpRow* row) { return can_be_quantized(*row); }),
         count([](const OpRow* row) { return row->gradient == Gradient::autograd; }));
  }
}

void print_expansions(const std::vector<const ExpansionRow*>& rows) {
  if (rows.empty()) return;
  Table table({{"read as its parts"}, {"which are"}});
  for (const ExpansionRow* row : rows) {
    table.add_row({full_op_name(row->op, row->domain), std::string(row->becomes)});
  }
  tell("{}", table.to_string(output_columns()));
}

int run(const Arguments& arguments) {
  const std::vector<const OpRow*> rows = find_rows(arguments.name);
  const std::vector<const ExpansionRow*> expansions = find_expansions(arguments.name);
  if (!arguments.common.json) {
    if (!rows.empty()) print_table(rows);
    print_expansions(expansions);
    return 0;
  }
  Json list = Json::array(), parts = Json::array();
  for (const OpRow* row : rows) list.push_back(to_json(*row));
  for (const ExpansionRow* row : expansions) {
    parts.push_back({{"op", row->op}, {"domain", row->domain}, {"becomes", row->becomes}});
  }
  print_json({{"operators", std::move(list)}, {"read_as_parts", std::move(parts)}});
  return 0;
}

}  // namespace

std::function<int()> declare_ops(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("NAME", arguments->name, "One operator; default: all");
  arguments->common.declare(app);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
