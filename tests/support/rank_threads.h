// Ranks that are threads of one process: what they exchange goes through its memory.
#pragma once

#include <barrier>
#include <exception>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "nibble/ranks.h"

namespace nibble::testing {

/// Calls body(ranks) on `size` threads at the same time, one for each rank; rethrows what one threw
/// after all have ended. A body that throws must do so on all ranks.
inline void on_rank_threads(int size, const std::function<void(Ranks&)>& body) {
  struct Table {
    explicit Table(int size) : texts(static_cast<size_t>(size)), all_here(size) {}
    std::vector<std::string> texts;
    std::barrier<> all_here;
  };
  struct Rank final : Ranks {
    Rank(Table& table, int number) : table(table), number(number) {}
    int rank() const override { return number; }
    int size() const override { return static_cast<int>(table.texts.size()); }
    std::vector<std::string> gather(std::string_view mine) override {
      table.texts[static_cast<size_t>(number)] = mine;
      table.all_here.arrive_and_wait();
      std::vector<std::string> all = table.texts;
      table.all_here.arrive_and_wait();
      return all;
    }
    bool give_up(std::string_view) noexcept override { return true; }
    Table& table;
    int number;
  };
  Table table(size);
  std::vector<std::exception_ptr> failures(static_cast<size_t>(size));
  std::vector<std::thread> threads;
  for (int number = 0; number < size; ++number) {
    threads.emplace_back([&, number] {
      Rank rank(table, number);
      try {
        body(rank);
      } catch (...) {
        failures[static_cast<size_t>(number)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace nibble::testing
