#include "nibble/isa.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "nibble/error.h"
#include "support/isas.h"

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
  for (const Isa isa : test::all_isas()) {
    const IsaVariable variable(std::string(name_of(isa)).c_str());
    if (is_supported(isa)) {
      EXPECT_EQ(best_isa(), isa);
    } else {
      EXPECT_THROW(best_isa(), Error);
    }
  }
}

TEST(isa, an_unknown_name_is_refused) {
  const IsaVariable variable("avx1024");
  EXPECT_THROW(best_isa(), Error);
}

TEST(isa, an_empty_variable_means_the_best) {
  const IsaVariable variable("");
  EXPECT_TRUE(is_supported(best_isa()));
  EXPECT_NE(best_isa(), Isa::reference);
}

}  // namespace
}  // namespace nibble
