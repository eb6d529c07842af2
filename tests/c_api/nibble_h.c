/* That the header is C, and what the C compiler makes of it. */
#include "nibble.h"

size_t nibble_options_size(void) {
  const nibble_options options = NIBBLE_OPTIONS_INIT;
  return options.size;
}
