// nibble ops: the operators Nibble has, and what can be quantized and trained; from the op table.
#include <algorithm>

#include "base/check.h"
#include "base/text.h"
#include "cli/command.h"
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

// All but those that exist only between compile and run; or those called `name`.
std::vector<const OpRow*> find_rows(const std::string& name) {
  std::vector<const OpRow*> rows;
  for (const OpRow& row : op_table()) {
    const bool wanted = name.empty() || edit_distance(name, row.name) == 0 ||
                        edit_distance(name, full_op_name(row.name, row.domain)) == 0;
    if (row.domain != "nibble" && wanted) rows.push_back(&row);
  }
  if (!rows.empty()) return rows;
  fail(ErrorCode::invalid_argument, "Nibble does not have the operator '{}'{}", name,
       did_you_mean(name, nearest_ops(name)));
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
          {"quantized", is_quantized_role(row.quant)},
          {"quantized_how", describe(row)},
          {"trained", row.gradient == Gradient::autograd}};
}

void print_table(const std::vector<const OpRow*>& rows) {
  Table table({{"operator"}, {"inputs"}, {"outputs"}, {"trained"}, {"quantized"}});
  const auto count = [&](auto&& test) { return std::ranges::count_if(rows, test); };
  for (const OpRow* row : rows) {
    table.add_row(
        {full_op_name(row->name, row->domain), range_text(row->min_inputs, row->max_inputs),
         range_text(row->min_outputs, row->max_outputs),
         row->gradient == Gradient::autograd ? "yes" : "no",
         fmt::format("{}: {}", is_quantized_role(row->quant) ? "yes" : "no", describe(*row))});
  }
  tell("{}", table.to_string(output_columns()));
  if (rows.size() > 1) {
    tell("{} operators; {} can be quantized, {} trained.\n", rows.size(),
         count([](const OpRow* row) { return is_quantized_role(row->quant); }),
         count([](const OpRow* row) { return row->gradient == Gradient::autograd; }));
  }
}

int run(const Arguments& arguments) {
  const std::vector<const OpRow*> rows = find_rows(arguments.name);
  if (!arguments.common.json) {
    print_table(rows);
    return 0;
  }
  Json list = Json::array();
  for (const OpRow* row : rows) list.push_back(to_json(*row));
  print_json({{"operators", std::move(list)}});
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
