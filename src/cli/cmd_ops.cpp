// nibble ops: the operators Nibble has, and what can be quantized and trained; from the op table.
#include <algorithm>

#include "base/check.h"
#include "base/file.h"
#include "cli/command.h"
#include "ops/require_ops.h"
#include "quant/node_plan.h"
#include "report/table.h"
#include "verbs/inspect.h"
#include "verbs/operator_list.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string name;
  std::vector<std::string> models;
  std::string output;
  CommonOptions common;
};

std::string range_text(int least, int most) {
  if (most < 0) return fmt::format("{} or more", least);
  return most == least ? std::to_string(least) : fmt::format("{} to {}", least, most);
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

// What the models need, and a source file that makes a program's linker take no more.
int run_for_models(const Arguments& arguments) {
  if (!arguments.name.empty()) {
    fail(ErrorCode::invalid_argument, "give an operator's NAME or --for a model, not both");
  }
  if (!arguments.output.empty()) check_output_file(arguments.output);
  std::vector<Graph> models;
  for (const std::string& path : arguments.models) models.push_back(load_model(path));
  const OperatorList list = list_operators(models);
  if (!arguments.output.empty()) write_file(arguments.output, as_source(list));
  if (arguments.common.json) {
    print_json(to_json(list));
    return 0;
  }
  tell("operators: {}\nfamilies: {}\n", fmt::join(list.operators, ", "),
       fmt::join(list.families, ", "));
  if (!arguments.output.empty()) tell("wrote {}\n", arguments.output);
  return 0;
}

int run(const Arguments& arguments) {
  if (!arguments.models.empty()) return run_for_models(arguments);
  if (!arguments.output.empty()) {
    fail(ErrorCode::invalid_argument, "-o writes what a model needs: name one with --for");
  }
  const Operators found = find_operators(arguments.name);
  if (arguments.common.json) {
    print_json(to_json(found));
    return 0;
  }
  if (!found.rows.empty()) print_table(found.rows);
  print_expansions(found.read_as_parts);
  return 0;
}

}  // namespace

std::function<int()> declare_ops(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  app.add_option("NAME", arguments->name, "One operator; default: all");
  app.add_option("--for", arguments->models, "List what these models need of the runtime instead")
      ->type_name("MODEL")
      ->allow_extra_args(false);
  app.add_option(
         "-o,--output", arguments->output,
         "With --for: write a C++ file, with which a program that has the runtime in it has "
         "no other operators (docs/cpp.md)")
      ->type_name("FILE");
  arguments->common.declare(app, false);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
