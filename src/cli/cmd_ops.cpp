// nibble ops: the operators Nibble has, and what can be quantized and trained; from the op table.
#include <algorithm>

#include "cli/command.h"
#include "ops/require_ops.h"
#include "quant/node_plan.h"
#include "report/table.h"
#include "verbs/inspect.h"

namespace nibble::cli {
namespace {

struct Arguments {
  std::string name;
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

int run(const Arguments& arguments) {
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
  arguments->common.declare(app, false);
  return [arguments] { return run(*arguments); };
}

}  // namespace nibble::cli
