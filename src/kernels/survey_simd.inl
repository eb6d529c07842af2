// The survey of a run in vectors of four, and bins; included by one file per instruction set, inside
// its own namespace, so that no code compiled for a wider instruction
// set is shared.

using Four = float __attribute__((vector_size(16)));
using FourInts = int32_t __attribute__((vector_size(16)));
using FourDoubles = double __attribute__((vector_size(32)));

void survey(const float* in, int64_t n, Survey* out) {
  const double shift = in[0];
  const Four none = {};
  Four low = none + in[0], high = low, poison = none;
  FourInts zeros = {};
  FourDoubles sum = {}, squares = {};
  int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    Four value;
    __builtin_memcpy(&value, in + i, sizeof value);
    low = value < low ? value : low;
    high = value > high ? value : high;
    poison += value * 0.0F;  // NaN from NaN and from infinity
    zeros -= value == none;
    const FourDoubles shifted = __builtin_convertvector(value, FourDoubles) - shift;
    sum += shifted;
    squares += shifted * shifted;
  }
  for (; i < n; ++i) {
    low[0] = in[i] < low[0] ? in[i] : low[0];
    high[0] = in[i] > high[0] ? in[i] : high[0];
    poison[0] += in[i] * 0.0F;
    zeros[0] += in[i] == 0.0F ? 1 : 0;
    const double shifted = static_cast<double>(in[i]) - shift;
    sum[0] += shifted;
    squares[0] += shifted * shifted;
  }
  Survey found = {.minimum = low[0], .maximum = high[0]};
  for (int lane = 0; lane < 4; ++lane) {
    found.minimum = low[lane] < found.minimum ? low[lane] : found.minimum;
    found.maximum = high[lane] > found.maximum ? high[lane] : found.maximum;
    found.zeros += zeros[lane];
  }
  const float poisoned = poison[0] + poison[1] + poison[2] + poison[3];
  found.finite = poisoned == poisoned;
  found.sum = (sum[0] + sum[1]) + (sum[2] + sum[3]);
  found.squares = (squares[0] + squares[1]) + (squares[2] + squares[3]);
  *out = found;
}

// bins_of_vectors() of the including file does as many of the first values as are whole vectors and
// says how many (`done`); it may write any number at places of `out` up to `done`.
int64_t bins(float inverse, const float* in, int32_t* out, int64_t n) {
  int64_t i = 0;
  int64_t count = bins_of_vectors(inverse, in, out, n, &i);
  for (; i < n; ++i) {
    // Exact, as the width is a power of two, but for what underflows: its bin is -1 if negative.
    const float scaled = in[i] * inverse;
    const auto truncated = static_cast<int32_t>(scaled);
    const bool above = static_cast<float>(truncated) > scaled;
    const bool just_below_zero = in[i] < 0 && truncated == 0;
    out[count] = truncated - ((above || just_below_zero) ? 1 : 0);
    count += in[i] != 0 ? 1 : 0;
  }
  return count;
}

constexpr SurveyKernels kKernels = {.survey = survey, .bins = bins};
