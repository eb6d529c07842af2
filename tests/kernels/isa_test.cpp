#include "nibble/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "nibble/error.h"
#include "support/isa.h"

namespace nibble {
namespace {

/// Sets NIBBLE_ISA, and puts it back.
class IsaVariable {
 public:
  explicit IsaVariable(const char* value) {
    if (const char* old = std::getenv("NIBBLE_ISA")) {
      old_ = old;
      had_ = true;
    }
    setenv("NIBBLE_ISA", value, 1);
  }
  ~IsaVariable() {
    if (had_) {
      setenv("NIBBLE_ISA", old_.c_str(), 1);
    } else {
      unsetenv("NIBBLE_ISA");
    }
  }
  IsaVariable(const IsaVariable&) = delete;
  IsaVariable& operator=(const IsaVariable&) = delete;

 private:
  std::string old_;
  bool had_ = false;
};

TEST(isa, the_variable_chooses_what_this_cpu_has) {
  for (const Isa isa : testing::all_isas()) {
    const IsaVariable variable(std::string(name_of(isa)).c_str());
    if (is_supported(isa)) {
      EXPECT_EQ(isa_from_environment(), isa);
    } else {
      EXPECT_THROW(isa_from_environment(), Error);
    }
  }
}

TEST(isa, the_environment_is_asked_once) {
  const Isa first = best_isa();
  const IsaVariable variable("avx1024");
  EXPECT_EQ(best_isa(), first);
}

TEST(isa, a_scope_chooses_while_it_lives) {
  const Isa outside = best_isa();
  {
    const ScopedIsa portable(Isa::portable);
    const ScopedIsa reference(Isa::reference);
    EXPECT_EQ(best_isa(), Isa::reference);
  }
  EXPECT_EQ(best_isa(), outside);
}

TEST(isa, an_unknown_name_is_refused) {
  const IsaVariable variable("avx1024");
  EXPECT_THROW(isa_from_environment(), Error);
}

TEST(isa, an_empty_variable_means_the_best) {
  const IsaVariable variable("");
  EXPECT_TRUE(is_supported(isa_from_environment()));
  EXPECT_NE(isa_from_environment(), Isa::reference);
}

}  // namespace
}  // namespace nibble
